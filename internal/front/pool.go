// SPDX-License-Identifier: BSD-3-Clause

package front

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// errNoSocket means that every UDP socket inside is lent.
var errNoSocket = errors.New("front: no UDP socket is free")

// pool lends the UDP sockets inside: none can be made from outside.
type pool struct {
	mu   sync.Mutex
	free []net.PacketConn
	all  []net.PacketConn
	over bool
}

func newPool(sockets []net.PacketConn) *pool {
	return &pool{all: sockets, free: append([]net.PacketConn(nil), sockets...)}
}

// take lends a socket of addr, which is loopback's first address.
func (p *pool) take(netip.Addr) (net.PacketConn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.free) == 0 || p.over {
		return nil, errNoSocket
	}
	c := p.free[0]
	p.free = p.free[1:]
	return &lent{PacketConn: c, pool: p, reading: make(chan struct{}, 1)}, nil
}

func (p *pool) giveBack(c net.PacketConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.over {
		p.free = append(p.free, c)
	}
}

func (p *pool) close() {
	p.mu.Lock()
	p.over = true
	p.mu.Unlock()
	for _, c := range p.all {
		_ = c.Close()
	}
}

// lent is a socket whose Close gives it back, without what was still to be read.
type lent struct {
	net.PacketConn
	pool    *pool
	closed  atomic.Bool
	reading chan struct{} // full while somebody reads
}

// ReadFrom is called by one goroutine.
func (l *lent) ReadFrom(b []byte) (int, net.Addr, error) {
	if l.closed.Load() {
		return 0, nil, net.ErrClosed
	}
	l.reading <- struct{}{}
	defer func() { <-l.reading }()
	n, from, err := l.PacketConn.ReadFrom(b)
	if l.closed.Load() {
		return 0, nil, net.ErrClosed
	}
	return n, from, err
}

func (l *lent) WriteTo(b []byte, to net.Addr) (int, error) {
	if l.closed.Load() {
		return 0, net.ErrClosed
	}
	return l.PacketConn.WriteTo(b, to)
}

func (l *lent) Close() error {
	if l.closed.Swap(true) {
		return nil
	}
	_ = l.PacketConn.SetReadDeadline(time.Unix(1, 0))
	l.reading <- struct{}{}
	<-l.reading
	_ = l.PacketConn.SetReadDeadline(time.Time{})
	if raw, ok := l.PacketConn.(syscall.Conn); ok {
		drain(raw)
	}
	l.pool.giveBack(l.PacketConn)
	return nil
}
