// SPDX-License-Identifier: BSD-3-Clause

package exit

import (
	"context"
	"net"
	"net/netip"
	"syscall"
)

// System is the operating system's network. It dials only for the exit it was
// given to: New puts the judge into the dialler's hook, which sees the address
// that the socket is about to connect to. A System of no exit dials nothing.
type System struct{ permit func(netip.AddrPort) bool }

// WithJudge implements Judged.
func (System) WithJudge(permit func(netip.AddrPort) bool) Network { return System{permit: permit} }

// DialTCP connects to addr without delay of small writes.
func (s System) DialTCP(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
	network := "tcp6"
	addr = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	if addr.Addr().Is4() {
		network = "tcp4"
	}
	d := net.Dialer{Control: s.control}
	conn, err := d.DialContext(ctx, network, addr.String())
	if err != nil {
		return nil, err
	}
	if t, ok := conn.(*net.TCPConn); ok {
		_ = t.SetNoDelay(true) // it is the default; what fails is told by the first write
	}
	return conn, nil
}

// control is called with the address in the kernel's hands, before connect.
func (s System) control(_, address string, _ syscall.RawConn) error {
	target, err := netip.ParseAddrPort(address)
	if err != nil || s.permit == nil || !s.permit(target) {
		return Error{ReasonPolicy}
	}
	return nil
}

// LookupAddrs asks the system's name servers. The name is taken as it is: no
// search domain of the host is tried.
func (System) LookupAddrs(ctx context.Context, host string) ([]netip.Addr, error) {
	r := net.Resolver{PreferGo: true}
	return r.LookupNetIP(ctx, "ip", host+".")
}

// LookupNames asks the system's name servers.
func (System) LookupNames(ctx context.Context, addr netip.Addr) ([]string, error) {
	r := net.Resolver{PreferGo: true}
	return r.LookupAddr(ctx, addr.String())
}

// ListenUDP opens a socket that is connected to nobody: where each datagram goes
// is judged and then given to the kernel with it.
func (System) ListenUDP(ctx context.Context, local netip.Addr) (net.PacketConn, error) {
	network := "udp6"
	if local.Is4() {
		network = "udp4"
	}
	var l net.ListenConfig
	return l.ListenPacket(ctx, network, netip.AddrPortFrom(local, 0).String())
}

// InterfaceAddrs returns the addresses of this machine's interfaces, for
// Config.Own.
func InterfaceAddrs() ([]netip.Addr, error) {
	list, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	var out []netip.Addr
	for _, a := range list {
		if n, ok := a.(*net.IPNet); ok {
			if addr, ok := netip.AddrFromSlice(n.IP); ok {
				out = append(out, addr.Unmap())
			}
		}
	}
	return out, nil
}
