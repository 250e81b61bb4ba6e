// SPDX-License-Identifier: BSD-3-Clause

package exit

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"
)

// fakeNet is a Network that counts what is asked of it. Every field is optional.
type fakeNet struct {
	dial    func(ctx context.Context, to netip.AddrPort) (net.Conn, error)
	lookup  func(ctx context.Context, host string) ([]netip.Addr, error)
	reverse func(ctx context.Context, addr netip.Addr) ([]string, error)

	mu      sync.Mutex
	dialled []netip.AddrPort
	asked   []string
	sent    []netip.AddrPort
	sockets []*fakeSocket
}

func (n *fakeNet) DialTCP(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	n.mu.Lock()
	n.dialled = append(n.dialled, to)
	n.mu.Unlock()
	if n.dial != nil {
		return n.dial(ctx, to)
	}
	return newFakeConn(), nil
}

func (n *fakeNet) LookupAddrs(ctx context.Context, host string) ([]netip.Addr, error) {
	n.mu.Lock()
	n.asked = append(n.asked, host)
	n.mu.Unlock()
	if n.lookup != nil {
		return n.lookup(ctx, host)
	}
	return nil, &net.DNSError{IsNotFound: true}
}

func (n *fakeNet) LookupNames(ctx context.Context, addr netip.Addr) ([]string, error) {
	n.mu.Lock()
	n.asked = append(n.asked, addr.String())
	n.mu.Unlock()
	if n.reverse != nil {
		return n.reverse(ctx, addr)
	}
	return nil, &net.DNSError{IsNotFound: true}
}

func (n *fakeNet) ListenUDP(_ context.Context, local netip.Addr) (net.PacketConn, error) {
	s := &fakeSocket{net: n, local: local, in: make(chan fakeDatagram, 1), closed: make(chan struct{})}
	n.mu.Lock()
	n.sockets = append(n.sockets, s)
	n.mu.Unlock()
	return s, nil
}

// contacts returns how many connects and datagrams left the exit.
func (n *fakeNet) contacts() (dialled, sent []netip.AddrPort) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append(dialled, n.dialled...), append(sent, n.sent...)
}

func (n *fakeNet) questions() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]string(nil), n.asked...)
}

func (n *fakeNet) socket(i int) *fakeSocket {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.sockets[i]
}

// fakeConn is a connection that only opens and closes.
type fakeConn struct {
	net.Conn
	once   sync.Once
	closed chan struct{}
}

func newFakeConn() *fakeConn { return &fakeConn{closed: make(chan struct{})} }

func (c *fakeConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return nil
}

func (c *fakeConn) isClosed() bool {
	select {
	case <-c.closed:
		return true
	default:
		return false
	}
}

type fakeDatagram struct {
	payload []byte
	from    netip.AddrPort
}

// fakeSocket is a datagram socket that the test feeds.
type fakeSocket struct {
	net.PacketConn
	net    *fakeNet
	local  netip.Addr
	in     chan fakeDatagram
	once   sync.Once
	closed chan struct{}
}

func (s *fakeSocket) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case d := <-s.in:
		return copy(b, d.payload), net.UDPAddrFromAddrPort(d.from), nil
	case <-s.closed:
		return 0, nil, net.ErrClosed
	}
}

func (s *fakeSocket) WriteTo(b []byte, to net.Addr) (int, error) {
	s.net.mu.Lock()
	s.net.sent = append(s.net.sent, to.(*net.UDPAddr).AddrPort())
	s.net.mu.Unlock()
	return len(b), nil
}

func (s *fakeSocket) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

// The exit of the tests: its own addresses, and a relay's link it must not reach.
var (
	ownAddr4  = netip.MustParseAddr("5.5.5.5")
	ownAddr6  = netip.MustParseAddr("2600:5::5")
	relayLink = netip.MustParseAddrPort("7.7.7.7:9240")
)

func newExit(t testing.TB, n Network, change func(*Config)) *Exit {
	t.Helper()
	policy, err := ParsePolicy("accept any *:*")
	if err != nil {
		t.Fatal(err)
	}
	c := Config{
		Network:   n,
		Policy:    policy,
		Own:       func() ([]netip.Addr, error) { return []netip.Addr{ownAddr4, ownAddr6}, nil },
		Forbidden: func(a netip.AddrPort) bool { return a == relayLink },
	}
	if change != nil {
		change(&c)
	}
	e, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func mustPolicy(t testing.TB, text string) *Policy {
	t.Helper()
	p, err := ParsePolicy(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func addrs(texts ...string) (out []netip.Addr) {
	for _, s := range texts {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

// wantReason fails unless err has that reason.
func wantReason(t testing.TB, err error, want Reason) {
	t.Helper()
	if got := ReasonOf(err); got != want {
		t.Errorf("reason %v (%v), want %v", got, err, want)
	}
}

// wantIdle fails if something is still held.
func wantIdle(t testing.TB, e *Exit) {
	t.Helper()
	c := e.Counters()
	if c.OpenStreams != 0 || c.Connecting != 0 || c.Resolving != 0 || c.Associations != 0 {
		t.Errorf("still held: %d streams, %d connects, %d look-ups, %d associations",
			c.OpenStreams, c.Connecting, c.Resolving, c.Associations)
	}
}

// pass lets virtual time pass.
func pass(d time.Duration) { <-time.After(d) }
