// SPDX-License-Identifier: BSD-3-Clause

package memnet

import (
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
)

// Conn is one end of a stream connection. It is a net.Conn whose addresses are
// *net.TCPAddr and which can close its sending half alone.
type Conn struct {
	host          *Host
	peer          *Conn
	in, out       *pipe
	local, remote netip.AddrPort
}

// connectLocked makes both ends of a connection. n.mu is held.
func (n *Network) connectLocked(a, b *Host, local, remote netip.AddrPort, forth, back Path) (near, far *Conn) {
	out := n.pipeLocked(a, b, local, remote, forth, back)
	in := n.pipeLocked(b, a, remote, local, back, forth)
	near = &Conn{host: a, in: in, out: out, local: local, remote: remote}
	far = &Conn{host: b, in: out, out: in, local: remote, remote: local}
	near.peer, far.peer = far, near
	a.conns[near] = struct{}{}
	b.conns[far] = struct{}{}
	return near, far
}

func (n *Network) pipeLocked(from, to *Host, src, dst netip.AddrPort, path, back Path) *pipe {
	p := &pipe{net: n, from: from, to: to, path: path, window: n.cfg.Window}
	p.cond.L = &p.mu
	if path.Rate > 0 {
		bdp := int(2 * float64(path.Rate) * (path.Latency + back.Latency).Seconds())
		p.window = max(p.window, bdp)
	}
	if path.Jitter > 0 || path.Loss > 0 {
		p.rng = n.randLocked()
	}
	if tap := n.cfg.Tap; tap != nil {
		p.tap = func(b []byte) { tap(src, dst, b) }
	}
	return p
}

// Read reads what has arrived and waits if there is nothing.
func (c *Conn) Read(b []byte) (int, error) {
	n, err := c.in.read(b)
	return n, c.wrap("read", err)
}

// Write hands b over; it waits while the send queue or the window is full.
func (c *Conn) Write(b []byte) (int, error) {
	n, err := c.out.write(b)
	return n, c.wrap("write", err)
}

// Close ends both halves. Pending reads and writes return at once; what was
// written before still reaches the peer.
func (c *Conn) Close() error {
	c.out.closeWrite(net.ErrClosed)
	c.in.closeRead()
	c.forget()
	return nil
}

// CloseWrite ends the sending half: the peer reads what was written, then EOF.
func (c *Conn) CloseWrite() error {
	c.out.closeWrite(os.NewSyscallError("write", syscall.EPIPE))
	return nil
}

// reset breaks the connection on both sides at once.
func (c *Conn) reset() {
	for _, p := range []*pipe{c.in, c.out} {
		p.fail(syscall.ECONNRESET)
	}
	c.forget()
	c.peer.forget()
}

func (c *Conn) hold(cut bool) {
	c.in.hold(cut)
	c.out.hold(cut)
}

func (c *Conn) forget() {
	c.host.net.mu.Lock()
	delete(c.host.conns, c)
	c.host.net.mu.Unlock()
}

// LocalAddr returns the own address, a *net.TCPAddr.
func (c *Conn) LocalAddr() net.Addr { return net.TCPAddrFromAddrPort(c.local) }

// RemoteAddr returns the peer's address, a *net.TCPAddr.
func (c *Conn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.remote) }

// SetDeadline sets both deadlines.
func (c *Conn) SetDeadline(t time.Time) error {
	c.SetReadDeadline(t)
	return c.SetWriteDeadline(t)
}

// SetReadDeadline ends pending and later reads at t; the zero time is none.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.in.setDeadline(&c.in.readDL, t)
	return nil
}

// SetWriteDeadline ends pending and later writes at t; the zero time is none.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.out.setDeadline(&c.out.writeDL, t)
	return nil
}

// wrap gives errors the form the net package gives them; io.EOF stays bare.
func (c *Conn) wrap(op string, err error) error {
	switch err {
	case net.ErrClosed, os.ErrDeadlineExceeded:
	default:
		if err == nil || !isSyscall(err) {
			return err
		}
	}
	return &net.OpError{Op: op, Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}

func isSyscall(err error) bool {
	switch err.(type) {
	case syscall.Errno, *os.SyscallError:
		return true
	}
	return false
}
