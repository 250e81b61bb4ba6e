// SPDX-License-Identifier: BSD-3-Clause

package proxy

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// TestARequestThatWasSentMayHaveArrived (HTTP-3): whatever ends it before there is an answer, the
// program is told so, whether the request went with the one for the connection or after it, and in
// whose words; not where an answer came, nor where nothing was sent.
func TestARequestThatWasSentMayHaveArrived(t *testing.T) {
	const get, post = "GET http://a.test/ HTTP/1.1\r\nHost: x\r\n\r\n", "POST http://a.test/ HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody"
	silent := func(c *net.TCPConn) { io.Copy(io.Discard, c) }
	hangsUp := func(c *net.TCPConn) {
		io.ReadAtLeast(c, make([]byte, 4096), len("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"))
	}
	odd := func(c *net.TCPConn) { c.Write([]byte("no http\r\n\r\n")); io.Copy(io.Discard, c) }
	own := arrivedError{"circuit_failed"}
	for name, c := range map[string]struct {
		request string
		serve   func(*net.TCPConn)
		dial    error
		reason  string
		says    int
	}{
		"GET, silence":            {get, silent, nil, reasonTimeout, 1},
		"POST, silence":           {post, silent, nil, reasonTimeout, 1},
		"GET, the end":            {get, hangsUp, nil, reasonRefusedByTarget, 1},
		"an answer":               {get, odd, nil, reasonBadAnswer, 0},
		"not sent":                {get, silent, refusal(reasonTimeout), reasonTimeout, 0},
		"early, no words":         {get, silent, arrivedError{reasonTimeout}, reasonTimeout, 1},
		"early, the Dialer's own": {get, silent, own, reasonCircuitFailed, 1},
	} {
		f := newFar(t, c.serve)
		f.fail = func(Target) error { return c.dial }
		_, addr := start(t, Config{Dialer: f, Limits: Limits{AnswerIdle: 50 * time.Millisecond}})
		p := open(t, addr)
		p.send([]byte(c.request))
		if b := string(p.rest()); !strings.Contains(b, "\r\nX-Chive-Error: "+c.reason+"\r\n") || strings.Count(b, "may have arrived") != c.says {
			t.Errorf("%s: %q", name, b)
		}
	}
}

// arrivedError is a Dialer's error for early data that may have arrived.
type arrivedError struct{ reason string }

func (e arrivedError) Error() string    { return "it broke; what was sent may have arrived" }
func (e arrivedError) Fix() string      { return "look" }
func (e arrivedError) Reason() string   { return e.reason }
func (arrivedError) MaybeArrived() bool { return true }
