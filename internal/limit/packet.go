// SPDX-License-Identifier: BSD-3-Clause

package limit

import (
	"net"
	"sync"
	"time"
)

// PacketConn is a socket for datagrams under a Meter, which counts their payloads. One
// goroutine may read; everything else may be called by any.
//
// How large a datagram is shows only when it is there. So it is received as soon as the
// rate allows anything, and charged then: a socket is ahead of the rate by at most one
// datagram. A quota is asked before, for as much as the reader has room for.
type PacketConn struct {
	net.PacketConn
	in, out side
	once    sync.Once
	closed  chan struct{}
}

// PacketConn puts c under the meter. c is the socket's afterwards.
func (m *Meter) PacketConn(c net.PacketConn) *PacketConn {
	return &PacketConn{
		PacketConn: c, closed: make(chan struct{}),
		in:  side{flow: &m.in, until: c.SetReadDeadline, changed: make(chan struct{}, 1)},
		out: side{flow: &m.out, until: c.SetWriteDeadline, changed: make(chan struct{}, 1)},
	}
}

// ReadFrom receives a datagram.
func (c *PacketConn) ReadFrom(b []byte) (n int, from net.Addr, err error) {
	f := c.in.flow
	if f.limited.Load() {
		may, err := c.in.await(1, c.closed)
		if err != nil {
			return 0, nil, err
		}
		f.settle(may, 0)
	}
	if q := f.bound.Load(); q != nil && len(b) > 0 {
		may := q.take(int64(len(b)))
		defer q.give(may)
		if may < int64(len(b)) {
			return 0, nil, ErrSpent
		}
	}
	n, from, err = c.PacketConn.ReadFrom(b)
	f.passed(n)
	return n, from, err
}

// WriteTo sends a datagram when the rate allows all of it.
func (c *PacketConn) WriteTo(b []byte, to net.Addr) (int, error) {
	f := c.out.flow
	whole := int64(len(b))
	if q := f.bound.Load(); q != nil && whole > 0 {
		may := q.take(whole)
		defer q.give(may)
		if may < whole {
			return 0, ErrSpent
		}
	}
	if !f.limited.Load() {
		n, err := c.PacketConn.WriteTo(b, to)
		f.passed(n)
		return n, err
	}
	for left := whole; left > 0; { // one turn, unless the burst is smaller than a datagram
		may, err := c.out.await(left, c.closed)
		if err != nil {
			return 0, err
		}
		f.charge(may)
		left -= may
	}
	n, err := c.PacketConn.WriteTo(b, to)
	f.total.Add(uint64(n))
	return n, err
}

// SetDeadline sets both deadlines.
func (c *PacketConn) SetDeadline(t time.Time) error {
	if err := c.in.setUser(t); err != nil {
		return err
	}
	return c.out.setUser(t)
}

// SetReadDeadline ends pending and later reads at t; the zero time is none.
func (c *PacketConn) SetReadDeadline(t time.Time) error { return c.in.setUser(t) }

// SetWriteDeadline ends pending and later writes at t; the zero time is none.
func (c *PacketConn) SetWriteDeadline(t time.Time) error { return c.out.setUser(t) }

// Close closes the socket and ends pending reads and writes.
func (c *PacketConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.PacketConn.Close()
}
