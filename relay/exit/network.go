// SPDX-License-Identifier: BSD-3-Clause

package exit

import (
	"context"
	"net"
	"net/netip"
)

// Network is what an exit reaches the outside through. System is the real one;
// testnets and tests bring their own. Implementations are safe for concurrent
// use, end each call soon after its context does, and fail with the errors of
// net and syscall, so that they can be classified.
type Network interface {
	// DialTCP connects to that very address. The connection has CloseWrite if
	// half-closing it is possible.
	DialTCP(ctx context.Context, addr netip.AddrPort) (net.Conn, error)
	// LookupAddrs returns the addresses of a name: lower case, no trailing
	// dot, never the text of an address. A name that does not exist is a
	// *net.DNSError with IsNotFound.
	LookupAddrs(ctx context.Context, host string) ([]netip.Addr, error)
	// LookupNames returns the names of an address. Errors as LookupAddrs.
	LookupNames(ctx context.Context, addr netip.Addr) ([]string, error)
	// ListenUDP opens a socket on a free port of local, which is the
	// unspecified address of IPv4 or IPv6; the socket speaks that version
	// only. Addresses from and to it are *net.UDPAddr.
	ListenUDP(ctx context.Context, local netip.Addr) (net.PacketConn, error)
}

// Judged is a Network that asks the exit's judge once more about the very address
// it is about to connect to, so that no look-up lies between check and use. New
// gives it the judge.
type Judged interface {
	Network
	// WithJudge returns a Network that connects only where permit is true.
	WithJudge(permit func(netip.AddrPort) bool) Network
}
