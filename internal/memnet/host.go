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

const (
	firstEphemeral = 32768
	backlog        = 512               // connections not yet accepted, a listener
	dialTimeout    = 127 * time.Second // of a dial into a black hole, as Linux does it
)

// Host is one host's view of the network. Its dials come from its own address.
type Host struct {
	net  *Network
	addr netip.Addr

	// Under net.mu.
	down      bool
	listeners map[uint16]*Listener
	packets   map[uint16]*PacketConn
	conns     map[*Conn]struct{}
	nextPort  uint16

	// Under net.rateMu.
	up, down8        int64 // bytes per second shared by all connections; 0 unlimited
	upFree, downFree time.Time
}

// Addr returns the host's address.
func (h *Host) Addr() netip.Addr { return h.addr }

// SetRate sets the bytes per second that all connections of the host share,
// each way; 0 is unlimited.
func (h *Host) SetRate(up, down int64) {
	h.net.rateMu.Lock()
	h.up, h.down8 = up, down
	h.net.rateMu.Unlock()
}

// takeLocked removes everything open from the host.
func (h *Host) takeLocked() (conns []*Conn, ls []*Listener, ps []*PacketConn) {
	for c := range h.conns {
		conns = append(conns, c)
	}
	for _, l := range h.listeners {
		ls = append(ls, l)
	}
	for _, p := range h.packets {
		ps = append(ps, p)
	}
	return conns, ls, ps
}

// withLocked lists h's ends of connections with other.
func (h *Host) withLocked(other *Host) (conns []*Conn) {
	for c := range h.conns {
		if c.peer.host == other {
			conns = append(conns, c)
		}
	}
	return conns
}

// portLocked returns a port that the host does not use.
func (h *Host) portLocked() uint16 {
	for {
		p := h.nextPort
		h.nextPort++
		if h.nextPort < firstEphemeral {
			h.nextPort = firstEphemeral
		}
		if h.listeners[p] == nil && h.packets[p] == nil {
			return p
		}
	}
}

// local turns an address the host may listen on into the port; loopback and
// the unspecified address mean the host itself.
func (h *Host) local(a netip.Addr) bool {
	a = a.Unmap()
	return !a.IsValid() || a == h.addr || a.IsUnspecified() || a.IsLoopback()
}

// Listen opens a listener on one of the host's ports, 0 for any. The address
// must be the host's own, unspecified or loopback, which all mean the host.
func (h *Host) Listen(addr netip.AddrPort) (net.Listener, error) {
	if !h.local(addr.Addr()) {
		return nil, opError("listen", addr, syscall.EADDRNOTAVAIL)
	}
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	port := addr.Port()
	if port == 0 {
		port = h.portLocked()
	}
	if h.down {
		return nil, opError("listen", addr, syscall.ENETDOWN)
	}
	if h.listeners[port] != nil {
		return nil, opError("listen", addr, syscall.EADDRINUSE)
	}
	ip := h.addr
	if addr.Addr().IsLoopback() {
		ip = addr.Addr().Unmap()
	}
	l := &Listener{
		host:  h,
		addr:  netip.AddrPortFrom(ip, port),
		queue: make(chan *Conn, backlog),
		done:  make(chan struct{}),
	}
	h.listeners[port] = l
	return l, nil
}

// Dial connects to a listener; it takes one round trip. Refused, unreachable
// and timed-out dials fail as the system's do, with a *net.OpError.
func (h *Host) Dial(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
	return h.DialTCP(ctx, addr)
}

// DialTCP is Dial under the name that an exit's network uses.
func (h *Host) DialTCP(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
	n := h.net
	target := netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	to := target.Addr()
	if to.IsLoopback() || to.IsUnspecified() {
		to = h.addr
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()

	forth, back := n.path(h.addr, to), n.path(to, h.addr)
	if err := pause(ctx, forth.Latency); err != nil {
		return nil, opError("dial", target, ctxError(err))
	}
	for {
		n.mu.Lock()
		severed, cut := n.cuts[pairOf(h.addr, to)]
		changed := n.changed
		if h.down {
			n.mu.Unlock()
			return nil, opError("dial", target, syscall.ENETDOWN)
		}
		if cut && !severed { // a black hole: hang until it heals
			n.mu.Unlock()
			select {
			case <-changed:
				continue
			case <-ctx.Done():
				return nil, opError("dial", target, ctxError(ctx.Err()))
			}
		}
		dst := n.hosts[to]
		if dst == nil || severed {
			n.mu.Unlock()
			return nil, opError("dial", target, syscall.EHOSTUNREACH)
		}
		l := dst.listeners[target.Port()]
		if l == nil || dst.down {
			n.mu.Unlock()
			if err := pause(ctx, back.Latency); err != nil {
				return nil, opError("dial", target, ctxError(err))
			}
			return nil, opError("dial", target, syscall.ECONNREFUSED)
		}
		src := h.addr
		if target.Addr().IsLoopback() {
			src = target.Addr()
		}
		local := netip.AddrPortFrom(src, h.portLocked())
		near, far := n.connectLocked(h, dst, local, target, forth, back)
		n.mu.Unlock()

		select {
		case l.queue <- far:
		default: // the backlog is full
			near.reset()
			return nil, opError("dial", target, syscall.ECONNREFUSED)
		}
		select {
		case <-l.done: // closed in between
			near.reset()
			return nil, opError("dial", target, syscall.ECONNREFUSED)
		default:
		}
		if err := pause(ctx, back.Latency); err != nil {
			near.Close()
			return nil, opError("dial", target, ctxError(err))
		}
		return near, nil
	}
}

// LookupAddrs returns a name's addresses from the network's table.
func (h *Host) LookupAddrs(ctx context.Context, host string) ([]netip.Addr, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return h.net.lookupAddrs(host)
}

// LookupNames returns an address's names from the network's table.
func (h *Host) LookupNames(ctx context.Context, addr netip.Addr) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return h.net.lookupNames(addr)
}

// Listener is a memnet listener.
type Listener struct {
	host  *Host
	addr  netip.AddrPort
	queue chan *Conn
	done  chan struct{}
	once  sync.Once
}

// Accept waits for the next connection.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case <-l.done:
		return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.Addr(), Err: net.ErrClosed}
	default:
	}
	select {
	case c := <-l.queue:
		return c, nil
	case <-l.done:
		return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.Addr(), Err: net.ErrClosed}
	}
}

// Close ends Accept and resets connections nobody accepted.
func (l *Listener) Close() error {
	l.once.Do(func() {
		close(l.done)
		l.host.net.mu.Lock()
		if l.host.listeners[l.addr.Port()] == l {
			delete(l.host.listeners, l.addr.Port())
		}
		l.host.net.mu.Unlock()
		for {
			select {
			case c := <-l.queue:
				c.reset()
			default:
				return
			}
		}
	})
	return nil
}

// Addr returns the listener's address, a *net.TCPAddr.
func (l *Listener) Addr() net.Addr { return net.TCPAddrFromAddrPort(l.addr) }

func opError(op string, addr netip.AddrPort, err error) error {
	if errno, ok := err.(syscall.Errno); ok && op == "dial" {
		err = os.NewSyscallError("connect", errno)
	}
	return &net.OpError{Op: op, Net: "tcp", Addr: net.TCPAddrFromAddrPort(addr), Err: err}
}

// ctxError is the error a dial ends with when its context did.
func ctxError(err error) error {
	if err == context.DeadlineExceeded {
		return os.ErrDeadlineExceeded
	}
	return err
}
