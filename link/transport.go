// SPDX-License-Identifier: BSD-3-Clause

package link

import (
	"context"
	"net"
	"net/netip"
)

// Transport carries links: anything that yields reliable byte streams. A stream
// must support deadlines, and its Close must release pending reads and writes.
type Transport interface {
	// Dial connects to addr; it ends early when ctx does.
	Dial(ctx context.Context, addr netip.AddrPort) (net.Conn, error)
	// Listen accepts connections at addr.
	Listen(addr netip.AddrPort) (net.Listener, error)
}

// TCP is the first Transport.
type TCP struct{}

// Dial connects over TCP to that very address; nothing is resolved.
func (TCP) Dial(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
	var d net.Dialer
	d.KeepAlive = -1 // the link has its own
	return d.DialContext(ctx, "tcp", addr.String())
}

// Listen listens over TCP, at IPv4 or IPv6 as the address is. Only [::] stands for
// both, as a relay that publishes both has one listener.
func (TCP) Listen(addr netip.AddrPort) (net.Listener, error) {
	lc := net.ListenConfig{KeepAlive: -1}
	network := "tcp6"
	switch ip := addr.Addr(); {
	case ip.Unmap().Is4():
		network = "tcp4"
		addr = netip.AddrPortFrom(ip.Unmap(), addr.Port())
	case ip.IsUnspecified():
		network = "tcp"
	}
	return lc.Listen(context.Background(), network, addr.String())
}

// socket returns the socket of a connection, where there is one: also below what a
// Transport has wrapped around it, which then has the method NetConn.
func socket(conn net.Conn) (*net.TCPConn, bool) {
	if wrapped, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = wrapped.NetConn()
	}
	tcp, ok := conn.(*net.TCPConn)
	return tcp, ok
}

// tune sets the socket options of a link, where the connection has any.
func tune(conn net.Conn) {
	tcp, ok := socket(conn)
	if !ok {
		return
	}
	// Errors do not matter: the link works without.
	_ = tcp.SetNoDelay(true)
	if raw, err := tcp.SyscallConn(); err == nil {
		_ = raw.Control(tuneSocket)
	}
}

// scarce reports whether a connection took one of the last descriptors.
func scarce(conn net.Conn) bool {
	tcp, ok := socket(conn)
	if !ok {
		return false
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return false
	}
	few := false
	_ = raw.Control(func(fd uintptr) { few = isLate(fd) })
	return few
}
