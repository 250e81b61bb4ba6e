// SPDX-License-Identifier: BSD-3-Clause

package proxy

import (
	"context"
	"io"
	"sync/atomic"
	"time"
)

// connect dials t with the bytes that arrived with or behind the request as
// early data, and attaches the stream to the session.
//
// Spec: product §4.1 (SOCKS-10).
func (c *session) connect(iso Isolation, t Target) (Conn, error) {
	if p, err := c.in.room(MaxEarly); err == nil {
		c.in.w += readReady(c.client, p)
	}
	iso = c.s.cfg.narrowed(iso, t.Host, t.Port)
	early := c.in.buffered()
	early = early[:min(len(early), MaxEarly)]
	up, err := c.dial(iso, t, early)
	if err == nil {
		c.in.advance(len(early))
	}
	return up, err
}

func (c *session) dial(iso Isolation, t Target, early []byte) (Conn, error) {
	ctx, cancel := context.WithTimeout(c.ctx, c.s.limits.DialTimeout)
	defer cancel()
	up, err := c.s.cfg.Dialer.Dial(ctx, iso, t, early)
	if err != nil {
		return nil, explain(t, err)
	}
	if !c.attach(up) {
		return nil, refusal(reasonCircuitFailed)
	}
	c.s.count.streams.Add(1)
	return up, nil
}

// tunnel carries bytes both ways until both directions ended. head goes to the
// program before anything else. How it ends:
//
//	program ends its direction     CloseWrite to the far side, the other direction goes on
//	far side ends its direction    CloseWrite to the program, the other direction goes on
//	program resets                 the far side is reset
//	far side or circuit breaks     the program is reset, behind an exact prefix
//	far side takes no more         the other direction goes on; then the program is reset
//
// Spec: product §4.1 (SOCKS-12).
func (c *session) tunnel(up Conn, head []byte) {
	t := &tunnel{c: c, up: up}
	c.spawn(t.upload)
	t.download(head)
	c.children.Wait()
	if t.refused.Load() {
		c.linger()
		c.abort()
		return
	}
	c.end(false)
}

type tunnel struct {
	c  *session
	up Conn

	upDone, downDone atomic.Bool // that direction ended in order
	refused          atomic.Bool // the far side takes no more
}

func (t *tunnel) upload() {
	readErr, writeErr := t.c.s.pump(t.up, &source{t: t})
	switch {
	case readErr != nil:
		t.c.abort()
	case writeErr != nil || t.up.CloseWrite() != nil:
		t.refused.Store(true)
	default:
		t.upDone.Store(true)
		t.up.SetReadDeadline(time.Now().Add(t.c.s.limits.HalfIdle))
	}
}

func (t *tunnel) download(head []byte) {
	dst := &sink{t: t}
	if len(head) > 0 {
		if _, err := dst.Write(head); err != nil {
			t.c.abort()
			return
		}
	}
	if t.c.s.pull(dst, t.up) != nil {
		t.c.abort()
		return
	}
	w, ok := t.c.client.(interface{ CloseWrite() error })
	if !ok { // a transport without half-close: the end of one direction is the end
		t.c.end(false)
		return
	}
	if w.CloseWrite() != nil {
		t.c.abort()
		return
	}
	t.downDone.Store(true)
	t.c.client.SetReadDeadline(time.Now().Add(t.c.s.limits.HalfIdle))
}

// source is the program's side of a tunnel. It keeps the error that ended it,
// so that a failed ReadFrom tells which side failed.
type source struct {
	t   *tunnel
	err error
}

func (r *source) Read(p []byte) (int, error) {
	if r.t.downDone.Load() {
		r.t.c.client.SetReadDeadline(time.Now().Add(r.t.c.s.limits.HalfIdle))
	}
	r.t.c.in.release()
	n, err := r.t.c.in.Read(p)
	if err != nil && err != io.EOF {
		r.err = err
	}
	return n, err
}

// sink is the way towards the program; what arrives proves the far side alive.
type sink struct{ t *tunnel }

func (w *sink) Write(p []byte) (int, error) {
	if w.t.upDone.Load() {
		w.t.up.SetReadDeadline(time.Now().Add(w.t.c.s.limits.HalfIdle))
	}
	return w.t.c.client.Write(p)
}

// pump copies src to dst until src ends; at most one of the errors is set.
func (s *Server) pump(dst io.Writer, src *source) (readErr, writeErr error) {
	var err error
	if r, ok := dst.(io.ReaderFrom); ok {
		_, err = r.ReadFrom(src)
	} else {
		err = s.copy(dst, src)
	}
	if src.err != nil {
		return src.err, nil
	}
	return nil, err
}

// pull copies src to dst until src ends in order.
func (s *Server) pull(dst io.Writer, src Conn) error {
	if w, ok := src.(io.WriterTo); ok {
		_, err := w.WriteTo(dst)
		return err
	}
	return s.copy(dst, src)
}

// copy moves bytes through a small buffer while they come singly and through a
// large one while they fill it.
func (s *Server) copy(dst io.Writer, src io.Reader) error {
	pool := &s.small
	buf := pool.get()
	defer func() { pool.put(buf) }()
	for {
		n, err := src.Read(*buf)
		if n > 0 {
			if _, err := dst.Write((*buf)[:n]); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		next := pool
		if n == len(*buf) {
			next = &s.large
		} else if n < smallBuffer {
			next = &s.small
		}
		if next != pool {
			pool.put(buf)
			pool, buf = next, next.get()
		}
	}
}
