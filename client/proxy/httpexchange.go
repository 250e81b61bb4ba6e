// SPDX-License-Identifier: BSD-3-Clause

package proxy

import (
	"errors"
	"io"
	"net"
	"strconv"
	"sync/atomic"
	"time"
)

const (
	maxInterim   = 32                     // 1xx answers before the real one
	bodyPatience = 250 * time.Millisecond // for the rest of a request's body once its answer is there
)

// exchanger carries the plain-HTTP requests of one connection. It keeps at most
// one upstream connection between two requests, and uses it again only for the
// same target and isolation key.
//
// Spec: product §4.2 (HTTP-1, HTTP-2), §4.5 (ISO-1).
type exchanger struct {
	c  *session
	up *upstream
}

// upstream is a stream to an origin server.
type upstream struct {
	conn Conn
	in   feed
	t    Target
	iso  Isolation
	used bool // carried a request before
}

func (x *exchanger) forgetUpstream() {
	if x.up != nil {
		x.c.drop(x.up.conn)
		x.up = nil
	}
}

// exchange carries one request and its answer; false when the connection is
// over.
func (x *exchanger) exchange(r *request) bool {
	c := x.c
	t, err := c.s.admit(c.clientAddr, r.to)
	if err != nil {
		c.fail(err, r.method == "HEAD")
		return false
	}
	iso := c.s.cfg.narrowed(c.key(r.cred), t.Host, t.Port)
	head := appendRequest(nil, r)
	for {
		if err := x.send(r, iso, t, head); err != nil {
			x.forgetUpstream()
			c.fail(err, r.method == "HEAD")
			return false
		}
		up := newUpload(x, r)
		resp, err := x.answer(r)
		if err == errStale {
			x.forgetUpstream()
			continue
		}
		if err != nil {
			err = sent(err)
			x.blame(err, up)
			x.forgetUpstream()
			up.end()
			c.failAnswer(err, up, r.method == "HEAD")
			return false
		}
		return x.deliver(r, resp, up)
	}
}

// errStale: the upstream connection had ended before this request reached it.
var errStale = errors.New("proxy: upstream connection was over")

// send brings the head upstream, on the kept connection if it fits and the
// request may be repeated should that turn out to be over. Only such requests
// travel as early data: a Dialer may try those more than once.
func (x *exchanger) send(r *request, iso Isolation, t Target, head []byte) error {
	if u := x.up; u != nil && u.iso == iso && u.t == t && r.replayable() {
		u.used = true
		if writeAll(u.conn, head) == nil {
			return nil
		}
	}
	x.forgetUpstream()
	var early []byte
	if r.replayable() {
		early = head[:min(len(head), MaxEarly)]
	}
	conn, err := x.c.dial(iso, t, early)
	if err != nil {
		return err
	}
	x.up = &upstream{conn: conn, t: t, iso: iso}
	x.up.in.src = idleReader{conn, x.c.s.limits.AnswerIdle}
	if rest := head[len(early):]; len(rest) > 0 {
		if _, err := conn.Write([]byte(rest)); err != nil {
			err = answerError(err)
			x.blame(err, nil)
			return err
		}
	}
	return nil
}

// answer reads heads until the one that is not interim. errStale: nothing came
// on a connection that was used before. Other errors have a Reason.
func (x *exchanger) answer(r *request) (*response, error) {
	u, c := x.up, x.c
	for range maxInterim {
		_, err := decode(&u.in, len(answerStart), parseAnswerStart)
		var head string
		if err == nil {
			head, err = u.in.readHead(c.s.limits.HeaderSize)
		}
		if err != nil {
			if u.used && len(u.in.buffered()) == 0 && !isTimeout(err) {
				return nil, errStale
			}
			return nil, answerError(err)
		}
		u.used = false // from here on it is proved alive
		resp, err := parseResponse(head)
		if err != nil || resp.status == 407 || resp.status == 101 && !r.upgrade {
			return nil, refusal(reasonBadAnswer)
		}
		if resp.status >= 200 || resp.status == 101 {
			return &resp, nil
		}
		if r.minor == 1 {
			if err := c.forward(appendResponse(nil, &resp, false, false, false)); err != nil {
				return nil, err
			}
		}
	}
	return nil, refusal(reasonBadAnswer)
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// answerError gives a failed read of an answer its reason.
func answerError(err error) error {
	var r interface{ Reason() string }
	switch {
	case errors.As(err, &r):
		return err
	case err == io.EOF, err == io.ErrUnexpectedEOF:
		return refusal(reasonRefusedByTarget)
	case err == errFull, err == errHead:
		return refusal(reasonBadAnswer)
	case isTimeout(err):
		return refusal(reasonTimeout)
	}
	return refusal(reasonCircuitFailed)
}

// blame tells the stream why it did not serve, so that the user's own daemon can say it
// later: nothing else than the program's answer would. up may be nil. What is the program's
// own fault is no stream's.
//
// Spec: product §4.6.
func (x *exchanger) blame(err error, up *upload) {
	s, can := x.up.conn.(interface{ Failed(Refused) })
	if !can || err == errGone || up != nil && up.faulted() {
		return
	}
	t := x.up.t
	s.Failed(describe(RefusedConnect, net.JoinHostPort(t.Host, strconv.Itoa(int(t.Port))), err))
}

// errGone: the program's side failed; there is nobody to answer.
var errGone = errors.New("proxy: the program is gone")

func (c *session) forward(b []byte) error {
	if _, err := c.client.Write(b); err != nil {
		return errGone
	}
	return nil
}

// failAnswer ends a connection whose answer never came. A request body that the
// program sent malformed is its own fault; one that it broke off has nobody to
// tell.
func (c *session) failAnswer(err error, up *upload, head bool) {
	switch {
	case err == errGone || up.err != nil && up.err != errHead && up.err != errWrite:
		c.abort()
	case up.err == errHead:
		c.fail(refusal(reasonBadRequest), head)
	default:
		c.fail(err, head)
	}
}

// deliver brings an answer to the program; false when the connection is over.
func (x *exchanger) deliver(r *request, resp *response, up *upload) bool {
	c, u := x.c, x.up
	if resp.status == 101 {
		x.up = nil // the tunnel's, and with it the session's
		if up.wait() != nil || c.forward(appendResponse(nil, resp, false, false, true)) != nil {
			c.abort()
			return false
		}
		u.conn.SetReadDeadline(time.Time{})
		c.tunnel(u.conn, u.in.buffered())
		return false
	}
	bodiless := resp.bodiless(r.method)
	toEnd := !bodiless && !resp.body.chunked && resp.body.length < 0
	chunked := resp.body.chunked && r.minor == 1 && (!bodiless || r.method == "HEAD")
	over := !r.keepAlive() || toEnd || resp.body.chunked && !chunked && !bodiless
	err := c.forward(appendResponse(nil, resp, chunked, over, false))
	if err == nil && !bodiless {
		err = c.s.copyBody(c.client, &u.in, resp.body, chunked)
	}
	if err != nil { // cut short: the program must not take it for the whole
		c.abort()
		x.forgetUpstream()
		up.end()
		return false
	}
	complete := up.wait() == nil
	if !complete || !resp.reuse || toEnd || len(u.in.buffered()) > 0 {
		x.forgetUpstream()
	}
	if over || !complete {
		c.linger()
		return false
	}
	return true
}

// upload brings a request's body upstream while the answer may already come.
// Until done is closed it owns the session's feed.
type upload struct {
	c     *session
	conn  Conn
	state atomic.Int32
	done  chan struct{}
	err   error // valid once done is closed; errWrite where the program is not at fault
}

// States of an upload: who ended it before its time.
const (
	uploadGoing int32 = iota
	uploadFaulted
	uploadStopped
)

func newUpload(x *exchanger, r *request) *upload {
	u := &upload{c: x.c, conn: x.up.conn, done: make(chan struct{})}
	if !r.body.chunked && r.body.length <= 0 {
		close(u.done)
		return u
	}
	u.c.spawn(func() {
		defer close(u.done)
		w := idleWriter{u.conn, u.c.s.limits.AnswerIdle}
		err := u.c.s.copyBody(w, &u.c.in, r.body, r.body.chunked)
		if err == nil {
			return
		}
		u.err = errWrite
		if err != errWrite && u.state.CompareAndSwap(uploadGoing, uploadFaulted) {
			// Half a request must not look like a whole one, and whoever waits for
			// its answer is woken.
			u.err = err
			u.c.drop(u.conn)
		}
	})
	return u
}

// faulted reports whether the program's body has ended the upload.
func (u *upload) faulted() bool { return u.state.Load() == uploadFaulted }

// wait gives the body a moment to end, now that the answer is there, and says
// whether all of it went.
func (u *upload) wait() error {
	t := time.NewTimer(bodyPatience)
	defer t.Stop()
	select {
	case <-u.done:
		return u.err
	case <-t.C:
		return u.end()
	}
}

// end stops the body where it is, and says whether all of it went.
func (u *upload) end() error {
	select {
	case <-u.done:
		return u.err
	default:
	}
	if u.state.CompareAndSwap(uploadGoing, uploadStopped) {
		u.c.drop(u.conn)
		u.c.client.SetReadDeadline(time.Now())
	}
	<-u.done
	return u.err
}
