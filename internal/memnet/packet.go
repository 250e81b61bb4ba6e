// SPDX-License-Identifier: BSD-3-Clause

package memnet

import (
	"context"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

// packetQueue bounds the datagrams that wait for a socket; more are dropped.
const packetQueue = 64

type datagram struct {
	due  time.Time
	from netip.AddrPort
	data []byte
}

// PacketConn is a datagram socket, a net.PacketConn with *net.UDPAddr.
type PacketConn struct {
	host  *Host
	local netip.AddrPort

	mu      sync.Mutex
	cond    sync.Cond
	queue   []datagram
	lastDue time.Time
	closed  bool
	readDL  time.Time
	timer   *time.Timer
}

// ListenPacket opens a datagram socket on one of the host's ports, 0 for any.
func (h *Host) ListenPacket(addr netip.AddrPort) (net.PacketConn, error) {
	if !h.local(addr.Addr()) {
		return nil, opError("listen", addr, syscall.EADDRNOTAVAIL)
	}
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	port := addr.Port()
	if port == 0 {
		port = h.portLocked()
	}
	if h.packets[port] != nil {
		return nil, opError("listen", addr, syscall.EADDRINUSE)
	}
	p := &PacketConn{host: h, local: netip.AddrPortFrom(h.addr, port)}
	p.cond.L = &p.mu
	h.packets[port] = p
	return p, nil
}

// ReadFrom waits for the next datagram.
func (p *PacketConn) ReadFrom(b []byte) (int, net.Addr, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		if p.closed {
			return 0, nil, p.wrap("read", net.ErrClosed)
		}
		now := time.Now()
		if expired(p.readDL, now) {
			return 0, nil, p.wrap("read", os.ErrDeadlineExceeded)
		}
		at := p.readDL
		if len(p.queue) > 0 {
			d := p.queue[0]
			if !d.due.After(now) {
				p.queue = p.queue[1:]
				return copy(b, d.data), net.UDPAddrFromAddrPort(d.from), nil
			}
			if at.IsZero() || d.due.Before(at) {
				at = d.due
			}
		}
		if !at.IsZero() {
			if p.timer == nil {
				p.timer = time.AfterFunc(at.Sub(now), p.wake)
			} else {
				p.timer.Reset(at.Sub(now))
			}
		}
		p.cond.Wait()
	}
}

// WriteTo sends one datagram. It never blocks: a datagram nobody can take is
// lost without a word.
func (p *PacketConn) WriteTo(b []byte, to net.Addr) (int, error) {
	ua, ok := to.(*net.UDPAddr)
	if !ok {
		return 0, p.wrap("write", syscall.EAFNOSUPPORT)
	}
	p.mu.Lock()
	closed := p.closed
	p.mu.Unlock()
	if closed {
		return 0, p.wrap("write", net.ErrClosed)
	}
	dst := ua.AddrPort()
	ip := dst.Addr().Unmap()
	from := p.local
	if ip.IsLoopback() || ip.IsUnspecified() {
		if ip.IsLoopback() { // as on a real host, the answer goes to where this came from
			from = netip.AddrPortFrom(ip, from.Port())
		}
		ip = p.host.addr
	}
	n := p.host.net
	if n.cfg.Tap != nil {
		n.cfg.Tap(from, netip.AddrPortFrom(ip, dst.Port()), b)
	}
	path := n.path(p.host.addr, ip)
	n.mu.Lock()
	_, cut := n.cuts[pairOf(p.host.addr, ip)]
	var q *PacketConn
	if h := n.hosts[ip]; h != nil && !h.down && !cut {
		q = h.packets[dst.Port()]
	}
	lost := path.Loss > 0 && n.randLocked().Float64() < path.Loss
	n.mu.Unlock()
	if q != nil && !lost {
		q.deliver(datagram{due: time.Now().Add(path.Latency), from: from, data: append([]byte(nil), b...)})
	}
	return len(b), nil
}

func (p *PacketConn) deliver(d datagram) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.queue) >= packetQueue {
		return
	}
	if d.due.Before(p.lastDue) {
		d.due = p.lastDue
	}
	p.lastDue = d.due
	p.queue = append(p.queue, d)
	p.cond.Broadcast()
}

func (p *PacketConn) wake() {
	p.mu.Lock()
	p.cond.Broadcast()
	p.mu.Unlock()
}

// Close ends the socket and pending reads at once.
func (p *PacketConn) Close() error {
	p.mu.Lock()
	p.closed, p.queue = true, nil
	if p.timer != nil {
		p.timer.Stop()
	}
	p.cond.Broadcast()
	p.mu.Unlock()
	p.host.net.mu.Lock()
	if p.host.packets[p.local.Port()] == p {
		delete(p.host.packets, p.local.Port())
	}
	p.host.net.mu.Unlock()
	return nil
}

// LocalAddr returns the own address, a *net.UDPAddr.
func (p *PacketConn) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(p.local) }

// SetDeadline sets the read deadline; writes do not block.
func (p *PacketConn) SetDeadline(t time.Time) error { return p.SetReadDeadline(t) }

// SetReadDeadline ends pending and later reads at t; the zero time is none.
func (p *PacketConn) SetReadDeadline(t time.Time) error {
	p.mu.Lock()
	p.readDL = t
	p.cond.Broadcast()
	p.mu.Unlock()
	return nil
}

// SetWriteDeadline does nothing: writes do not block.
func (p *PacketConn) SetWriteDeadline(time.Time) error { return nil }

func (p *PacketConn) wrap(op string, err error) error {
	return &net.OpError{Op: op, Net: "udp", Addr: p.LocalAddr(), Err: err}
}

// ListenUDP opens a datagram socket on a free port of the host; local only
// says the address family, which is the host's own.
func (h *Host) ListenUDP(ctx context.Context, local netip.Addr) (net.PacketConn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if local.IsValid() && local.Unmap().Is4() != h.addr.Is4() {
		return nil, opError("listen", netip.AddrPortFrom(local, 0), syscall.EAFNOSUPPORT)
	}
	return h.ListenPacket(netip.AddrPortFrom(h.addr, 0))
}
