// SPDX-License-Identifier: BSD-3-Clause

package proxy

import (
	"context"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

const (
	lingerTime = 2 * time.Second // after a last reply, for a program that is still sending
	lingerSize = 256 << 10
)

// session is one accepted connection.
type session struct {
	s      *Server
	ctx    context.Context // ends with the session
	cancel context.CancelFunc
	client net.Conn
	in     feed // the client's bytes

	clientAddr netip.Addr // invalid on unix sockets
	localAddr  netip.Addr

	shaking  bool           // the session's own goroutine: holds a handshake slot
	children sync.WaitGroup // goroutines of this session

	mu   sync.Mutex
	over bool
	open map[io.Closer]struct{} // what must be closed to end it
}

func newSession(ctx context.Context, s *Server, client net.Conn) *session {
	c := &session{s: s, client: client, open: make(map[io.Closer]struct{}, 1)}
	c.ctx, c.cancel = context.WithCancel(ctx)
	c.in.src = client
	c.clientAddr, c.localAddr = addrOf(client.RemoteAddr()).Addr(), addrOf(client.LocalAddr()).Addr()
	return c
}

// addrOf reads the address out of a net.Addr of TCP or UDP, real or simulated.
func addrOf(a net.Addr) netip.AddrPort {
	if a == nil {
		return netip.AddrPort{}
	}
	if v, ok := a.(interface{ AddrPort() netip.AddrPort }); ok {
		return v.AddrPort()
	}
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.AddrPort{}
	}
	return ap
}

// plain is an address without mapping and zone, for comparison.
func plain(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

// key builds the isolation key of this connection, for every target.
func (c *session) key(cred credentials) Isolation {
	return isolationKey(c.s.cfg.Name, clientText(c.clientAddr), cred)
}

// spawn runs f on a goroutine that ends before the session does.
func (c *session) spawn(f func()) {
	c.children.Add(1)
	go func() {
		defer c.children.Done()
		defer c.s.recovered(c)
		f()
	}()
}

// attach makes x end with the session; false when the session is over, x is
// then closed.
func (c *session) attach(x io.Closer) bool {
	c.mu.Lock()
	over := c.over
	if !over {
		c.open[x] = struct{}{}
	}
	c.mu.Unlock()
	if over {
		x.Close()
	}
	return !over
}

// drop closes x and forgets it.
func (c *session) drop(x io.Closer) {
	c.mu.Lock()
	delete(c.open, x)
	c.mu.Unlock()
	x.Close()
}

// end closes the client's connection and everything attached, once. reset asks
// for a reset instead of an orderly end, where the transport has one.
func (c *session) end(reset bool) {
	c.mu.Lock()
	over := c.over
	c.over = true
	open := c.open
	c.open = nil
	c.mu.Unlock()
	if over {
		return
	}
	c.cancel()
	if l, ok := c.client.(interface{ SetLinger(int) error }); ok && reset {
		l.SetLinger(0)
	}
	c.client.Close()
	for x := range open {
		x.Close()
	}
}

// abort ends the session with a reset: the program must not take what it got
// for the whole.
func (c *session) abort() { c.end(true) }

// requested marks the request complete: no deadline, no handshake slot.
func (c *session) requested() {
	c.client.SetDeadline(time.Time{})
	c.releaseHandshake()
}

func (c *session) releaseHandshake() {
	if c.shaking {
		c.shaking = false
		c.s.gate.leaveHandshake()
	}
}

// write sends one reply in one write (SOCKS-6).
func (c *session) write(b []byte) error {
	c.client.SetWriteDeadline(time.Now().Add(c.s.limits.HandshakeTimeout))
	_, err := c.client.Write(b)
	c.client.SetWriteDeadline(time.Time{})
	return err
}

// finish sends a last reply and ends in order. Bytes that the program is still
// sending are read away for a moment: a close with unread bytes would be a
// reset, and take the reply with it.
func (c *session) finish(reply []byte) {
	c.releaseHandshake()
	if c.write(reply) != nil {
		c.abort()
		return
	}
	c.linger()
	c.end(false)
}

// linger ends the direction towards the program and reads away what still comes.
func (c *session) linger() {
	w, ok := c.client.(interface{ CloseWrite() error })
	if !ok || w.CloseWrite() != nil {
		return
	}
	c.client.SetReadDeadline(time.Now().Add(lingerTime))
	buf := c.s.small.get()
	defer c.s.small.put(buf)
	for size := 0; size < lingerSize; {
		n, err := c.client.Read(*buf)
		if err != nil {
			return
		}
		size += n
	}
}
