// SPDX-License-Identifier: BSD-3-Clause

package proxy

import "time"

// serveHTTP serves the requests of one connection, one after the other.
//
// Spec: product §4.2.
func (s *Server) serveHTTP(c *session) {
	x := &exchanger{c: c}
	defer x.forgetUpstream()
	for first := true; ; first = false {
		if !first && !c.awaitRequest() {
			return
		}
		head, err := c.in.readHead(s.limits.HeaderSize)
		if err != nil {
			if first {
				s.count.refused.Add(1)
			}
			if err == errFull {
				c.finish(appendFailure(nil, 431, outcomeOf(reasonBadRequest), false))
			}
			return
		}
		r, err := parseRequest(head)
		if err != nil {
			if first {
				s.count.refused.Add(1)
			}
			c.finish(appendParseFailure(nil, err))
			return
		}
		c.requested()
		switch r.form {
		case formConnect:
			s.serveConnect(c, &r)
			return
		case formAbsolute:
			if !x.exchange(&r) {
				return
			}
		default:
			// Nothing behind this request is looked at: a web page that makes a
			// browser send one to this port chooses its body.
			c.finish(appendOwnAnswer(nil, 501, "", "text/html", page, r.method == "HEAD"))
			return
		}
	}
}

// awaitRequest waits for the first byte of another request on the connection,
// and starts the clock for the rest of its head.
func (c *session) awaitRequest() bool {
	c.client.SetReadDeadline(time.Now().Add(c.s.limits.KeepAlive))
	for {
		b := c.in.buffered()
		if len(b) >= 2 && b[0] == '\r' && b[1] == '\n' { // old programs send one behind a body
			c.in.advance(2)
			continue
		}
		if len(b) > 1 || len(b) == 1 && b[0] != '\r' {
			break
		}
		if c.in.fill(feedStart) != nil {
			return false
		}
	}
	c.client.SetReadDeadline(time.Now().Add(c.s.limits.HandshakeTimeout))
	return true
}

// serveConnect serves CONNECT.
func (s *Server) serveConnect(c *session, r *request) {
	t, err := s.admit(c.clientAddr, r.to)
	var up Conn
	if err == nil {
		up, err = c.connect(c.key(r.cred), t)
	}
	if err != nil {
		c.fail(err, false)
		return
	}
	if c.write([]byte("HTTP/1.1 200 Connection established\r\n\r\n")) != nil {
		c.abort()
		return
	}
	c.tunnel(up, nil)
}

// fail answers a request with the reason of err, and ends the connection.
//
// Spec: product §4.2 (HTTP-3), §4.6.
func (c *session) fail(err error, head bool) {
	c.s.count.failed.Add(1)
	o := outcomeFor(err)
	c.finish(appendFailure(nil, o.http, o, head))
}

// appendParseFailure appends the answer to a head that could not be taken.
func appendParseFailure(dst []byte, err error) []byte {
	switch err {
	case errScheme, errCoding:
		return appendFailure(dst, 501, outcomeOf(reasonUnknownCommand), false)
	case errVersion:
		return appendFailure(dst, 505, outcomeOf(reasonBadRequest), false)
	}
	return appendFailure(dst, 400, outcomeOf(reasonBadRequest), false)
}

// idleReader gives a silent upstream up, idleWriter keeps one alive that is
// still taking a request.
type (
	idleReader struct {
		conn Conn
		idle time.Duration
	}
	idleWriter idleReader
)

func (r idleReader) Read(p []byte) (int, error) {
	r.conn.SetReadDeadline(time.Now().Add(r.idle))
	return r.conn.Read(p)
}

func (w idleWriter) Write(p []byte) (int, error) {
	w.conn.SetReadDeadline(time.Now().Add(w.idle))
	return w.conn.Write(p)
}
