// SPDX-License-Identifier: BSD-3-Clause

package web

import (
	"net"
	"sync"
)

// gate counts who is inside, so that its closer can wait for all.
type gate struct {
	mu     sync.Mutex
	empty  *sync.Cond
	inside int
	closed bool
}

func newGate() *gate {
	g := new(gate)
	g.empty = sync.NewCond(&g.mu)
	return g
}

func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.inside++
	return true
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.inside--; g.inside == 0 {
		g.empty.Broadcast()
	}
}

// close lets nobody in any more, and waits until nobody is inside.
func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	for g.inside > 0 {
		g.empty.Wait()
	}
}

// listener lets ConnectionCount connections in at a time.
type listener struct {
	net.Listener
	room   chan struct{}
	closed chan struct{}
	once   sync.Once
}

func limitConnections(l net.Listener) *listener {
	return &listener{Listener: l, room: make(chan struct{}, ConnectionCount), closed: make(chan struct{})}
}

// Accept waits for room, and then for a connection.
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
	return &conn{Conn: c, room: l.room}, nil
}

// Close ends both waits of Accept.
func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// conn gives its room back when it is first closed.
type conn struct {
	net.Conn
	room chan struct{}
	once sync.Once
}

// Close closes the connection.
func (c *conn) Close() error {
	c.once.Do(func() { <-c.room })
	return c.Conn.Close()
}
