// SPDX-License-Identifier: BSD-3-Clause

package control

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"time"
)

// Limits of our own. Spec: security B31 (body).
const (
	// ConnectionCount is how many connections are served at once; more wait.
	ConnectionCount = 16

	headerSize  = 16 << 10         // bytes
	requestTime = 5 * time.Second  // for a whole request
	answerTime  = 10 * time.Second // for an answer to be taken
	idleTime    = 30 * time.Second // between two requests
)

// ErrServe means that the socket broke.
var ErrServe = errors.New("control: the socket cannot be served")

// Source is asked for what the API serves. Status must not block for long; the
// result belongs to the caller.
type Source interface{ Status() *Status }

// Serve answers requests on l until ctx ends; it closes l and every connection,
// and returns nil then. Whoever can open l is answered: l is a socket that its owner
// alone can open. Error: ErrServe.
//
// Spec: product API-1.
func Serve(ctx context.Context, l net.Listener, source Source) error {
	limited := &listener{Listener: l, room: make(chan struct{}, ConnectionCount), closed: make(chan struct{})}
	server := &http.Server{
		Handler: handler(source), ErrorLog: log.New(io.Discard, "", 0), MaxHeaderBytes: headerSize,
		ReadTimeout: requestTime, WriteTimeout: answerTime, IdleTimeout: idleTime,
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	err := server.Serve(limited)
	_ = server.Close()
	if ctx.Err() != nil || errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return ErrServe
}

// handler answers one request.
func handler(source Source) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		switch {
		case r.Host != "localhost" && r.Host != hostName, r.Header.Get("Origin") != "":
			refuse(w, http.StatusForbidden, "host", "This API answers local programs only", "Use the host name localhost, and no browser.")
		case r.URL.Path != statusPath:
			refuse(w, http.StatusNotFound, "not_found", "There is nothing at this path", "Ask for "+statusPath+".")
		case r.Method != http.MethodGet:
			h.Set("Allow", http.MethodGet)
			refuse(w, http.StatusMethodNotAllowed, "method", "This path is read with GET only", "Use GET.")
		case r.ContentLength != 0:
			h.Set("Connection", "close")
			refuse(w, http.StatusRequestEntityTooLarge, "body", "A GET takes no body", "Send none.")
		default:
			s := source.Status()
			s.Schema = StatusSchema
			answer(w, http.StatusOK, s)
		}
	})
}

// failure is an error for programs. Spec: product CLI-5.
type failure struct {
	Schema string `json:"schema"`
	Code   string `json:"code"`
	Text   string `json:"text"`
	Fix    string `json:"fix"`
}

func refuse(w http.ResponseWriter, status int, code, text, fix string) {
	answer(w, status, failure{"chive.error/1", code, text, fix})
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

// listener lets ConnectionCount connections in at a time.
type listener struct {
	net.Listener
	room   chan struct{}
	closed chan struct{}
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case l.room <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.room
		return nil, err
	}
	return &conn{Conn: c, room: l.room, open: make(chan struct{}, 1)}, nil
}

// Close is called once, by the server.
func (l *listener) Close() error {
	select {
	case <-l.closed:
	default:
		close(l.closed)
	}
	return l.Listener.Close()
}

// conn gives its room back when it is first closed.
type conn struct {
	net.Conn
	room chan struct{}
	open chan struct{} // full once it was closed
}

func (c *conn) Close() error {
	select {
	case c.open <- struct{}{}:
		<-c.room
	default:
	}
	return c.Conn.Close()
}
