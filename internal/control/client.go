// SPDX-License-Identifier: BSD-3-Clause

package control

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"
)

const (
	hostName   = "chive"
	statusPath = "/v1/status"
)

// MaxAnswerSize bounds an answer in bytes: a testnet's relays and circuits fit well.
const MaxAnswerSize = 4 << 20

// answersTime bounds the question whether a program accepts at a socket.
const answersTime = time.Second

// What goes wrong with a daemon's socket. A daemon that answers, but not with what it
// was asked for, gives a *Failure.
var (
	// ErrNobody means that there is no such socket, or no program behind it.
	ErrNobody = errors.New("control: no daemon is there")
	// ErrForbidden means that this user may not open the socket.
	ErrForbidden = errors.New("control: no access to the socket")
	// ErrAnswer means that something else than a chive daemon answers, or none in
	// time.
	ErrAnswer = errors.New("control: not a daemon's answer")
)

// Fetch asks the daemon behind the unix socket at path for its status, once, until
// ctx ends. raw is the answer as it came, on one line without its end: it may have
// fields that Status lacks. Errors: ErrNobody, ErrForbidden, ErrAnswer, *Failure.
func Fetch(ctx context.Context, path string) (s *Status, raw []byte, err error) {
	return ask[Status](ctx, path, http.MethodGet, statusPath, StatusSchema, nil)
}

// FetchBootstrap asks how far the client is; see Fetch.
func FetchBootstrap(ctx context.Context, path string) (*Bootstrap, []byte, error) {
	return ask[Bootstrap](ctx, path, http.MethodGet, "/v1/bootstrap", BootstrapSchema, nil)
}

// FetchCircuits asks for the client's circuits; see Fetch.
func FetchCircuits(ctx context.Context, path string) (*Circuits, []byte, error) {
	return ask[Circuits](ctx, path, http.MethodGet, "/v1/circuits", CircuitsSchema, nil)
}

// FetchStreams asks for the client's streams; see Fetch.
func FetchStreams(ctx context.Context, path string) (*Streams, []byte, error) {
	return ask[Streams](ctx, path, http.MethodGet, "/v1/streams", StreamsSchema, nil)
}

// FetchExplained asks for one stream's story; id may be last. See Fetch.
func FetchExplained(ctx context.Context, path, id string) (*Explained, []byte, error) {
	return ask[Explained](ctx, path, http.MethodGet, "/v1/explain/"+url.PathEscape(id), ExplainSchema, nil)
}

// FetchRelay asks for the relay part; see Fetch.
func FetchRelay(ctx context.Context, path string) (*RelayStatus, []byte, error) {
	return ask[RelayStatus](ctx, path, http.MethodGet, "/v1/relay", RelaySchema, nil)
}

// FetchConfig asks for the settings in force; see Fetch.
func FetchConfig(ctx context.Context, path string) (*Config, []byte, error) {
	return ask[Config](ctx, path, http.MethodGet, "/v1/config", ConfigSchema, nil)
}

// FetchReady asks whether the daemon is ready; one that is not gives a *Failure with
// the code not_ready. See Fetch.
func FetchReady(ctx context.Context, path string) (*Health, []byte, error) {
	return ask[Health](ctx, path, http.MethodGet, "/readyz", HealthSchema, nil)
}

// FetchAlive asks whether the daemon answers at all; see Fetch.
func FetchAlive(ctx context.Context, path string) (*Health, []byte, error) {
	return ask[Health](ctx, path, http.MethodGet, "/healthz", HealthSchema, nil)
}

// PostNewIdentity begins a new identity; see Fetch.
func PostNewIdentity(ctx context.Context, path string) (*NewIdentityDone, []byte, error) {
	return ask[NewIdentityDone](ctx, path, http.MethodPost, "/v1/newnym", NewIdentitySchema, nil)
}

// PostClose ends a circuit; see Fetch.
func PostClose(ctx context.Context, path, id string) (*Closed, []byte, error) {
	return ask[Closed](ctx, path, http.MethodPost, "/v1/circuits/"+url.PathEscape(id)+"/close", ClosedSchema, nil)
}

// PostReload has the configuration read again; see Fetch.
func PostReload(ctx context.Context, path string) (*ReloadDone, []byte, error) {
	return ask[ReloadDone](ctx, path, http.MethodPost, "/v1/reload", ReloadSchema, nil)
}

// PostDrain makes the daemon take no new circuits and end, after that time at the
// latest; zero: the time that its configuration names. See Fetch.
func PostDrain(ctx context.Context, path string, after time.Duration) (*DrainBegun, []byte, error) {
	return ask[DrainBegun](ctx, path, http.MethodPost, "/v1/drain", DrainSchema, DrainAsked{After: after.Seconds()})
}

// PostWeb asks for an address of the local page; see Fetch.
func PostWeb(ctx context.Context, path string) (*Web, []byte, error) {
	return ask[Web](ctx, path, http.MethodPost, "/v1/web", WebSchema, nil)
}

// FetchEvents hands the daemon's events to each, from now on, until each returns an
// error, which it returns, or ctx ends, which is nil, or the daemon does: ErrNobody.
// Other errors are as of Fetch.
func FetchEvents(ctx context.Context, path string, each func(e Event, raw []byte) error) error {
	got, err := exchange(ctx, path, http.MethodGet, "/v1/events", nil)
	if err != nil {
		return overWhen(ctx, err)
	}
	defer got.Body.Close()
	if got.StatusCode != http.StatusOK {
		_, _, err := decode[Event](got, EventSchema)
		return overWhen(ctx, err)
	}
	lines := bufio.NewScanner(got.Body)
	lines.Buffer(nil, MaxBodySize)
	for lines.Scan() {
		raw, isData := bytes.CutPrefix(lines.Bytes(), []byte("data: "))
		if !isData {
			continue
		}
		var e Event
		if json.Unmarshal(raw, &e) != nil || e.Schema != EventSchema {
			return ErrAnswer
		}
		if err := each(e, raw); err != nil {
			return err
		}
	}
	return overWhen(ctx, ErrNobody)
}

// overWhen is err unless ctx has ended.
func overWhen(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// ask sends one request and decodes its answer.
func ask[T any](ctx context.Context, path, method, what, schema string, body any) (*T, []byte, error) {
	got, err := exchange(ctx, path, method, what, body)
	if err != nil {
		return nil, nil, err
	}
	defer got.Body.Close()
	return decode[T](got, schema)
}

// exchange sends one request; the caller closes the answer's body, which ends the
// connection.
func exchange(ctx context.Context, path, method, what string, body any) (*http.Response, error) {
	var sent io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return nil, ErrAnswer
		}
		sent = bytes.NewReader(data)
	}
	var dialled error
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			c, err := d.DialContext(ctx, "unix", path)
			dialled = err
			return c, err
		},
	}
	defer transport.CloseIdleConnections()
	r, err := http.NewRequestWithContext(ctx, method, "http://"+hostName+what, sent)
	if err != nil {
		return nil, ErrAnswer
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	got, err := transport.RoundTrip(r)
	switch {
	case errors.Is(dialled, syscall.EACCES), errors.Is(dialled, syscall.EPERM):
		return nil, ErrForbidden
	case dialled != nil && ctx.Err() == nil:
		return nil, ErrNobody
	case err != nil:
		return nil, ErrAnswer
	}
	return got, nil
}

// decode reads an answer of that schema, or the failure that stands in its place.
func decode[T any](got *http.Response, schema string) (*T, []byte, error) {
	raw, err := io.ReadAll(io.LimitReader(got.Body, MaxAnswerSize+1))
	if err != nil || len(raw) > MaxAnswerSize {
		return nil, nil, ErrAnswer
	}
	raw = bytes.TrimSpace(raw)
	var head struct {
		Schema string `json:"schema"`
	}
	if json.Unmarshal(raw, &head) != nil || bytes.ContainsAny(raw, "\r\n") {
		return nil, nil, ErrAnswer
	}
	if got.StatusCode != http.StatusOK {
		f := &Failure{Status: got.StatusCode}
		if head.Schema != FailureSchema || json.Unmarshal(raw, f) != nil || strings.TrimSpace(f.Code) == "" {
			return nil, nil, ErrAnswer
		}
		return nil, nil, f
	}
	out := new(T)
	if head.Schema != schema || json.Unmarshal(raw, out) != nil {
		return nil, nil, ErrAnswer
	}
	return out, raw, nil
}

// Answers reports whether a program accepts connections at the unix socket at
// path. In doubt one does.
func Answers(path string) bool {
	c, err := net.DialTimeout("unix", path, answersTime)
	if err == nil {
		_ = c.Close()
	}
	return !errors.Is(err, syscall.ECONNREFUSED)
}
