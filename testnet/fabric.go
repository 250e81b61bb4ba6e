// SPDX-License-Identifier: BSD-3-Clause

package testnet

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"

	"chive/link"
	"chive/relay/exit"
)

// Fabric is what a testnet's nodes stand in.
type Fabric interface {
	// Relay reserves a place for relay i. listen is its link address, free until
	// transport.Listen(listen) is called, once.
	Relay(i int) (transport link.Transport, listen netip.AddrPort, err error)
	// Exit is what relay i connects to destinations through.
	Exit(i int) exit.Network
	// Client is what client i reaches its guards through.
	Client(i int) link.Transport
	// Target opens the listener of the built-in web server.
	Target() (net.Listener, error)
	// Close gives back what was reserved and not used.
	Close()
}

// TargetName is the host name of the built-in web server. Only exits of this
// testnet know it.
const TargetName = "hello.test"

// targetAddr is what TargetName resolves to. Exits lead its port 80 to the built-in
// server, which may then use any free port, and refuse every other port: nobody
// connects to this address. It is no loopback address because programs that
// resolve first, such as torsocks, refuse to connect to those; it lies in a block
// set aside for servers that answer look-ups of private addresses (RFC 7535).
var targetAddr = netip.AddrFrom4([4]byte{192, 31, 196, 80})

// Loopback is the Fabric of real sockets on 127.0.0.1.
type Loopback struct {
	mu     sync.Mutex
	relays []*reserved
	target netip.AddrPort
}

var errListen = errors.New("testnet: no free port on 127.0.0.1")

// Relay implements Fabric with a free port.
func (f *Loopback) Relay(int) (link.Transport, netip.AddrPort, error) {
	// The listener is open from here on, so that nobody else takes the port.
	ln, err := link.TCP{}.Listen(netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0))
	if err != nil {
		return nil, netip.AddrPort{}, errListen
	}
	r := &reserved{ln: ln}
	f.mu.Lock()
	f.relays = append(f.relays, r)
	f.mu.Unlock()
	return r, ln.Addr().(*net.TCPAddr).AddrPort(), nil
}

// Exit implements Fabric.
func (f *Loopback) Exit(int) exit.Network { return &guided{Network: exit.System{}, to: f.targetAt} }

// Client implements Fabric.
func (f *Loopback) Client(int) link.Transport { return link.TCP{} }

// Target implements Fabric.
func (f *Loopback) Target() (net.Listener, error) {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, errListen
	}
	f.mu.Lock()
	f.target = ln.Addr().(*net.TCPAddr).AddrPort()
	f.mu.Unlock()
	return ln, nil
}

func (f *Loopback) targetAt() netip.AddrPort {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.target
}

// Close implements Fabric.
func (f *Loopback) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.relays {
		r.mu.Lock()
		if r.ln != nil {
			_ = r.ln.Close()
			r.ln = nil
		}
		r.mu.Unlock()
	}
}

// reserved is a transport whose listener is open already.
type reserved struct {
	link.TCP
	mu sync.Mutex
	ln net.Listener
}

// Listen hands out the open listener, and opens a new one after that.
func (r *reserved) Listen(addr netip.AddrPort) (net.Listener, error) {
	r.mu.Lock()
	ln := r.ln
	r.ln = nil
	r.mu.Unlock()
	if ln != nil {
		return ln, nil
	}
	return r.TCP.Listen(addr)
}

// guided is an exit's network that knows TargetName.
type guided struct {
	exit.Network
	to func() netip.AddrPort
}

// WithJudge implements exit.Judged, so that the address behind TargetName is judged
// as any other.
func (g *guided) WithJudge(permit func(netip.AddrPort) bool) exit.Network {
	if j, ok := g.Network.(exit.Judged); ok {
		return &guided{Network: j.WithJudge(permit), to: g.to}
	}
	return g
}

// LookupAddrs implements exit.Network.
func (g *guided) LookupAddrs(ctx context.Context, host string) ([]netip.Addr, error) {
	if host == TargetName {
		return []netip.Addr{targetAddr}, nil
	}
	return g.Network.LookupAddrs(ctx, host)
}

// DialTCP implements exit.Network.
func (g *guided) DialTCP(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
	if addr.Addr() != targetAddr {
		return g.Network.DialTCP(ctx, addr)
	}
	if addr.Port() != 80 {
		return nil, &net.OpError{Op: "dial", Net: "tcp4", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	}
	return g.Network.DialTCP(ctx, g.to())
}
