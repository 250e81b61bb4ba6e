// SPDX-License-Identifier: BSD-3-Clause

package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
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

// What goes wrong with a daemon's socket.
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
// fields that Status lacks. Errors: ErrNobody, ErrForbidden, ErrAnswer.
func Fetch(ctx context.Context, path string) (s *Status, raw []byte, err error) {
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
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+hostName+statusPath, nil)
	if err != nil {
		return nil, nil, ErrAnswer
	}
	got, err := transport.RoundTrip(r)
	switch {
	case errors.Is(dialled, syscall.EACCES), errors.Is(dialled, syscall.EPERM):
		return nil, nil, ErrForbidden
	case dialled != nil && ctx.Err() == nil:
		return nil, nil, ErrNobody
	case err != nil:
		return nil, nil, ErrAnswer
	}
	defer got.Body.Close()
	raw, err = io.ReadAll(io.LimitReader(got.Body, MaxAnswerSize+1))
	if err != nil || got.StatusCode != http.StatusOK || len(raw) > MaxAnswerSize {
		return nil, nil, ErrAnswer
	}
	raw = bytes.TrimSpace(raw)
	s = new(Status)
	if json.Unmarshal(raw, s) != nil || s.Schema != StatusSchema || bytes.ContainsAny(raw, "\r\n") {
		return nil, nil, ErrAnswer
	}
	return s, raw, nil
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
