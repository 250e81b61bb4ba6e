// SPDX-License-Identifier: BSD-3-Clause

package web

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log"
	"net"
	"net/http"
	"strings"
	"time"
)

// Limits of our own.
const (
	// ConnectionCount is how many connections are served at once; more wait.
	ConnectionCount = 64
	// MaxBodySize bounds what is sent to the page, in bytes. Spec: security B31.
	MaxBodySize = 64 << 10

	headerSize  = 16 << 10         // bytes
	requestTime = 5 * time.Second  // for a whole request
	answerTime  = 10 * time.Second // for an answer to be taken
	idleTime    = 30 * time.Second // between two requests
)

// What Serve may answer.
var (
	// ErrServe means that the listener broke.
	ErrServe = errors.New("web: the page cannot be served")
	// ErrNotLoopback means that other machines could reach the listener.
	ErrNotLoopback = errors.New("web: the listener is not on loopback")
)

// Config is what a page is made of.
type Config struct {
	// API answers the requests below /v1/ that a session makes. Its handlers return
	// when their request's context ends. Never nil.
	API http.Handler
	// Tokens are good for a session here. Never nil.
	Tokens *Tokens
}

// openFix says where an address is had. Which folder it is stays unsaid: whoever has no
// session may be another user of this machine.
const openFix = "Open the address that chive status --web (with the --state DIR that the daemon runs with, if it has one) prints"

//go:embed assets
var assets embed.FS

// Serve serves the page on l until ctx ends; it closes l and every connection, waits for
// what it answers, and returns nil then. Errors: ErrNotLoopback, ErrServe.
//
// Spec: product PAGE-1, PAGE-2.
func Serve(ctx context.Context, l net.Listener, cfg Config) error {
	at, isTCP := l.Addr().(*net.TCPAddr)
	if !isTCP || !at.IP.IsLoopback() {
		_ = l.Close()
		return ErrNotLoopback
	}
	ctx, end := context.WithCancel(ctx)
	defer end()
	p := &page{Config: cfg, ctx: ctx, hosts: hosts(at), files: files()}
	answering := newGate()
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if answering.enter() {
				defer answering.leave()
				p.ServeHTTP(w, r)
			}
		}),
		ErrorLog: log.New(io.Discard, "", 0), MaxHeaderBytes: headerSize,
		ReadTimeout: requestTime, WriteTimeout: answerTime, IdleTimeout: idleTime,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	err := server.Serve(limitConnections(l))
	ended := ctx.Err() != nil || errors.Is(err, http.ErrServerClosed)
	_ = server.Close()
	end()
	answering.close()
	if ended {
		return nil
	}
	return ErrServe
}

// page answers requests.
type page struct {
	Config
	ctx      context.Context // ends with Serve
	hosts    map[string]bool
	files    map[string]file
	sessions sessions
}

// file is one of the embedded files.
type file struct {
	kind string // media type
	data []byte
}

// files reads the embedded files, by their path on the page.
func files() map[string]file {
	out := map[string]file{}
	for name, kind := range map[string]string{
		"index.html": "text/html; charset=utf-8", "app.js": "text/javascript; charset=utf-8",
		"style.css": "text/css; charset=utf-8", "icon.svg": "image/svg+xml",
	} {
		data, err := fs.ReadFile(assets, "assets/"+name)
		if err != nil {
			continue // TestFilesAreThere
		}
		out["/"+strings.TrimPrefix(name, "index.html")] = file{kind, data}
	}
	return out
}

// ServeHTTP answers one request.
func (p *page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	protect(w.Header())
	r.Body = http.MaxBytesReader(w, r.Body, MaxBodySize)
	if !p.hosts[r.Host] || fromElsewhere(r) {
		refuse(w, http.StatusForbidden, "host", "This page is there for this machine's user only", openFix+".")
		return
	}
	switch {
	case r.URL.Path == sessionPath:
		p.session(w, r)
	case strings.HasPrefix(r.URL.Path, "/v1/"):
		p.api(w, r)
	default:
		p.file(w, r)
	}
}

func (p *page) file(w http.ResponseWriter, r *http.Request) {
	f, ok := p.files[r.URL.Path]
	switch {
	case !ok:
		refuse(w, http.StatusNotFound, "not_found", "There is nothing at this path", "Open the page at /.")
	case r.Method != http.MethodGet:
		w.Header().Set("Allow", http.MethodGet)
		refuse(w, http.StatusMethodNotAllowed, "method", "The page is read with GET only", "Use GET.")
	default:
		w.Header().Set("Content-Type", f.kind)
		_, _ = w.Write(f.data) // who asked may be gone
	}
}

const (
	sessionPath   = "/v1/session"
	sessionSchema = "chive.session/1"
)

// session begins a session for a token, or ends the one of a secret.
func (p *page) session(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodPost:
		var asked struct {
			Token string `json:"token"`
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			refuse(w, http.StatusRequestEntityTooLarge, "body", "The body is too long, or did not arrive", "Send 64 KiB at most.")
			return
		}
		if json.Unmarshal(body, &asked) != nil || !p.Tokens.take(asked.Token) {
			p.wrong(w, "token", "This address was used before, or is older than a minute")
			return
		}
		secret, ok := p.sessions.begin(p.ctx)
		if !ok {
			refuse(w, http.StatusServiceUnavailable, "sessions", "As many pages are open as may", "Sign out of another one, or wait an hour.")
			return
		}
		answer(w, http.StatusOK, struct {
			Schema string  `json:"schema"`
			Secret string  `json:"secret"`
			Idle   float64 `json:"idle_seconds"`
		}{sessionSchema, secret, IdleTime.Seconds()})
	case http.MethodDelete:
		p.sessions.close(bearer(r))
		w.WriteHeader(http.StatusNoContent)
	default:
		w.Header().Set("Allow", "POST, DELETE")
		refuse(w, http.StatusMethodNotAllowed, "method", "A session is begun with POST and ended with DELETE", "Use one of them.")
	}
}

// api passes on a request that a session makes.
func (p *page) api(w http.ResponseWriter, r *http.Request) {
	s := p.sessions.enter(bearer(r))
	if s == nil {
		w.Header().Set("WWW-Authenticate", "Bearer")
		p.wrong(w, "session", "There is no session of this page, or it has ended")
		return
	}
	defer p.sessions.leave(s)
	ctx, end := context.WithCancel(r.Context())
	defer end()
	stop := context.AfterFunc(s.ctx, end)
	defer stop()
	if r.Method == http.MethodGet && r.Header.Get(absentHeader) == "empty" {
		w = &orEmpty{ResponseWriter: w}
	}
	p.API.ServeHTTP(w, r.WithContext(ctx))
}

// absentHeader is what the page sends, with the value empty, when it asks for what not
// every daemon has.
const absentHeader = "X-Chive-Absent"

// orEmpty answers 204 instead of 404, without a body: a browser writes every 404 into
// its console as an error, and that a daemon lacks something is none.
type orEmpty struct {
	http.ResponseWriter
	empty bool
}

// WriteHeader begins the answer.
func (w *orEmpty) WriteHeader(status int) {
	if status == http.StatusNotFound {
		w.empty, status = true, http.StatusNoContent
		w.Header().Del("Content-Type")
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write writes a part of the body, if there is one.
func (w *orEmpty) Write(b []byte) (int, error) {
	if w.empty {
		return len(b), nil
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap gives http.ResponseController what it needs for events.
func (w *orEmpty) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (p *page) wrong(w http.ResponseWriter, code, text string) {
	const fix = openFix + " now."
	if p.sessions.tooWrong() {
		w.Header().Set("Retry-After", "60")
		refuse(w, http.StatusTooManyRequests, code, text, fix)
		return
	}
	refuse(w, http.StatusUnauthorized, code, text, fix)
}

// bearer is the secret that a request carries.
func bearer(r *http.Request) string {
	secret, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return secret
}

func refuse(w http.ResponseWriter, status int, code, text, fix string) {
	answer(w, status, struct {
		Schema string `json:"schema"`
		Code   string `json:"code"`
		Text   string `json:"text"`
		Fix    string `json:"fix"`
	}{"chive.error/1", code, text, fix})
}

func answer(w http.ResponseWriter, status int, object any) {
	data, err := json.Marshal(object)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(data, '\n')) // who asked may be gone
}
