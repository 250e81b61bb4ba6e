// SPDX-License-Identifier: BSD-3-Clause

package link

import (
	"context"
	"crypto/ed25519"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"chive/internal/testutil"
)

// knock connects from host n and says nothing.
func (f *fleet) knock(from netip.Addr, to byte) net.Conn {
	f.t.Helper()
	c, err := f.net.Host(from).Dial(context.Background(), hostPort(to))
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { c.Close() })
	return c
}

// isClosed reports whether the peer closed a connection.
func isClosed(c net.Conn) bool {
	c.SetReadDeadline(time.Now().Add(time.Millisecond))
	_, err := c.Read(make([]byte, 1))
	return !errors.Is(err, os.ErrDeadlineExceeded)
}

func collect(links *[]*Link) func(*Link) {
	return func(l *Link) { *links = append(*links, l) }
}

func TestHandshakesOfOneAddressAreBounded(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		f := newFleet(t, 0)
		var up []*Link
		l := f.listen(2, collect(&up))
		var all []net.Conn
		for range MaxAddressHandshakes {
			all = append(all, f.knock(hostAddr(5), 2))
		}
		other := f.knock(hostAddr(6), 2)
		synctest.Wait()
		if _, n := l.Len(); n != MaxAddressHandshakes+1 || isClosed(all[0]) {
			t.Fatal("at the cap:", n)
		}
		all = append(all, f.knock(hostAddr(5), 2))
		synctest.Wait()
		wait(20 * time.Millisecond)
		if _, n := l.Len(); n != MaxAddressHandshakes+1 || !isClosed(all[0]) || isClosed(all[1]) || isClosed(other) {
			t.Error("not the address's oldest went:", n)
		}
		// Whoever does shake hands gets in.
		near, err := Dial(context.Background(), f.net.Host(hostAddr(5)), hostPort(2), clientConfig())
		if err != nil {
			t.Fatal(err)
		}
		defer near.Close()
		wait(time.Second)
		if len(up) != 1 {
			t.Error("links:", len(up))
		}
		wait(HandshakeTimeout)
		if links, n := l.Len(); n != 0 || links != 1 {
			t.Error("after 10 s:", links, n)
		}
		for _, c := range all {
			if !isClosed(c) {
				t.Error("left open")
			}
		}
		if l.Refused() < 2 {
			t.Error("not counted:", l.Refused())
		}
	})
}

func TestAllHandshakesAreBounded(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		f := newFleet(t, 0)
		var up []*Link
		l := f.listen(2, collect(&up))
		var all []net.Conn
		for i := range MaxHandshakes {
			all = append(all, f.knock(netip.AddrFrom4([4]byte{10, 1, byte(i), byte(i >> 8)}), 2))
		}
		synctest.Wait()
		if _, n := l.Len(); n != MaxHandshakes || l.Refused() != 0 {
			t.Fatal("at the cap:", n)
		}
		f.knock(hostAddr(7), 2)
		wait(20 * time.Millisecond)
		if _, n := l.Len(); n != MaxHandshakes || !isClosed(all[0]) || isClosed(all[1]) {
			t.Error("not the oldest went:", n)
		}
	})
}

func TestIPv6CountsByNetwork(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"2001:db8::1", "2001:db8::ffff:1", true}, {"2001:db8:0:1::1", "2001:db8:0:2::1", false},
		{"10.0.0.1", "10.0.0.1", true}, {"10.0.0.1", "10.0.0.2", false},
	} {
		if (prefix(netip.MustParseAddr(c.a)) == prefix(netip.MustParseAddr(c.b))) != c.same {
			t.Error(c)
		}
	}
	if a := addrPort(&net.TCPAddr{IP: net.ParseIP("::ffff:10.0.0.1"), Port: 1}); !a.Addr().Is4() {
		t.Error("a mapped address is one of its own:", a)
	}
	if addrPort(&net.UnixAddr{}).IsValid() {
		t.Error("a path has an address")
	}
}

func TestClientLinksOfOneAddressAreBounded(t *testing.T) {
	for _, limits := range []bool{true, false} {
		testutil.Bubble(t, func(t *testing.T) {
			f := newFleet(t, 0)
			ln, err := f.net.Host(hostAddr(2)).Listen(hostPort(2))
			if err != nil {
				t.Fatal(err)
			}
			id := testIdentity(t, 2)
			l := NewListener(ln, ListenerConfig{Link: func() Config { return relayConfig(id) }, NoAddressLimits: !limits})
			defer l.Close()
			dial := func(cfg Config) *Link {
				near, err := Dial(context.Background(), f.net.Host(hostAddr(5)), hostPort(2), cfg)
				if err != nil {
					return nil
				}
				far, err := l.Accept(context.Background())
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { near.Close(); far.Close() })
				return near
			}
			// A relay's link does not count.
			dial(relayConfig(testIdentity(t, 3)))
			var first *Link
			for range MaxAddressLinks {
				if first = dial(clientConfig()); first == nil {
					t.Fatal("refused below the cap")
				}
			}
			if !limits {
				if dial(clientConfig()) == nil {
					t.Error("refused though limits are off")
				}
				return
			}
			if near, err := Dial(context.Background(), f.net.Host(hostAddr(5)), hostPort(2), clientConfig()); err == nil {
				near.Close()
				t.Error("one more than the cap")
			}
			other, err := Dial(context.Background(), f.net.Host(hostAddr(6)), hostPort(2), clientConfig())
			if err != nil {
				t.Fatal("another address suffers:", err)
			}
			defer other.Close()
			far, _ := l.Accept(context.Background())
			defer far.Close()
			first.Close()
			wait(time.Second)
			if dial(clientConfig()) == nil {
				t.Error("refused after one ended")
			}
		})
	}
}

func TestAllLinksAreBounded(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		f := newFleet(t, 0)
		ln, err := f.net.Host(hostAddr(2)).Listen(hostPort(2))
		if err != nil {
			t.Fatal(err)
		}
		id := testIdentity(t, 2)
		l := NewListener(ln, ListenerConfig{Link: func() Config { return relayConfig(id) }, MaxLinks: 3})
		defer l.Close()
		dial := func(from byte, cfg Config) (near, far *Link) {
			near, err := Dial(context.Background(), f.net.Host(hostAddr(from)), hostPort(2), cfg)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			far, _ = l.Accept(ctx)
			t.Cleanup(func() {
				near.Close()
				if far != nil {
					far.Close()
				}
			})
			return near, far
		}
		_, relay := dial(5, relayConfig(testIdentity(t, 5)))
		busyNear, busy := dial(6, clientConfig())
		if _, err := busyNear.Open(StreamCircuit); err != nil {
			t.Fatal(err)
		}
		_, idle := dial(7, clientConfig())
		if n, _ := l.Len(); n != 3 || idle.Err() != nil {
			t.Fatal("at the cap:", n)
		}
		near, far := dial(8, clientConfig())
		if far == nil || idle.Err() != ErrClosed || relay.Err() != nil || busy.Err() != nil {
			t.Fatal("not the idle client went:", relay.Err(), busy.Err(), idle.Err())
		}
		if _, err := near.Open(StreamCircuit); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		wait(time.Second)
		if near, far := dial(9, clientConfig()); far != nil {
			t.Error("accepted though all are busy")
		} else if <-near.Done(); l.Refused() == 0 {
			t.Error("not counted")
		}
		if n, _ := l.Len(); n != 3 {
			t.Error(n)
		}
	})
}

func TestListenerUsesTheIdentityOfTheDay(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		f := newFleet(t, 0)
		ln, err := f.net.Host(hostAddr(2)).Listen(hostPort(2))
		if err != nil {
			t.Fatal(err)
		}
		id := testIdentity(t, 2)
		l := NewListener(ln, ListenerConfig{Link: func() Config { return relayConfig(id) }})
		defer l.Close()
		if l.AddrPort() != hostPort(2) {
			t.Error(l.AddrPort())
		}
		dial := func() error {
			near, err := Dial(context.Background(), f.net.Host(hostAddr(5)), hostPort(2), clientConfig())
			if err == nil {
				far, _ := l.Accept(context.Background())
				near.Close()
				far.Close()
			}
			return err
		}
		if err := dial(); err != nil {
			t.Error(err)
		}
		wait(50 * time.Hour)
		if err := dial(); err != ErrCertificateTime {
			t.Error("an old certificate is accepted:", err)
		}
		id = testIdentity(t, 2)
		if err := dial(); err != nil {
			t.Error(err)
		}
	})
}

func TestClosedListener(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		f := newFleet(t, 0)
		ln, err := f.net.Host(hostAddr(2)).Listen(hostPort(2))
		if err != nil {
			t.Fatal(err)
		}
		id := testIdentity(t, 2)
		l := NewListener(ln, ListenerConfig{Link: func() Config { return relayConfig(id) }})
		c := f.knock(hostAddr(5), 2)
		unaccepted, err := Dial(context.Background(), f.net.Host(hostAddr(5)), hostPort(2), clientConfig())
		if err != nil {
			t.Fatal(err)
		}
		wait(time.Second)
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := l.Accept(ctx); err != nil && err != context.Canceled {
			t.Error(err)
		}
		accepts := make(chan error, 1)
		start := time.Now()
		l.Close()
		go func() { _, err := l.Accept(context.Background()); accepts <- err }()
		if err := <-accepts; err != ErrClosed || time.Since(start) != 0 {
			t.Error(err, time.Since(start))
		}
		wait(20 * time.Millisecond)
		if !isClosed(c) {
			t.Error("a handshake goes on")
		}
		unaccepted.Close()
		if _, err := f.net.Host(hostAddr(5)).Dial(context.Background(), hostPort(2)); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Error(err)
		}
	})
}

// exhausted is a listener whose process has no descriptor left for a while.
type exhausted struct {
	net.Listener
	failures int
	tries    []time.Time
}

func (e *exhausted) Accept() (net.Conn, error) {
	e.tries = append(e.tries, time.Now())
	if e.failures > 0 {
		e.failures--
		return nil, &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	}
	return e.Listener.Accept()
}

func TestAcceptPausesWithoutDescriptors(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		f := newFleet(t, 0)
		ln, err := f.net.Host(hostAddr(2)).Listen(hostPort(2))
		if err != nil {
			t.Fatal(err)
		}
		e := &exhausted{Listener: ln, failures: 12}
		id := testIdentity(t, 2)
		l := NewListener(e, ListenerConfig{Link: func() Config { return relayConfig(id) }})
		defer l.Close()
		near, err := Dial(context.Background(), f.net.Host(hostAddr(5)), hostPort(2), clientConfig())
		if err != nil {
			t.Fatal(err)
		}
		defer near.Close()
		far, err := l.Accept(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		defer far.Close()
		synctest.Wait()
		want := 5 * time.Millisecond
		for i := 1; i <= 12; i++ {
			if d := e.tries[i].Sub(e.tries[i-1]); d != want {
				t.Errorf("pause %d: %v, want %v", i, d, want)
			}
			want = min(2*want, time.Second)
		}
		if at := l.Scarce(); !at.Equal(e.tries[11]) || l.Refused() != 12 {
			t.Errorf("descriptors were short at %v, %d refused", at, l.Refused())
		}
	})
}

// Half-open handshakes and floods of them leave honest peers served.
func TestHonestPeerGetsInDuringAFlood(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		f := newFleet(t, 0)
		var up []*Link
		f.listen(2, collect(&up))
		for i := range 1000 {
			c := f.knock(netip.AddrFrom4([4]byte{10, 2, byte(i % 7), byte(i >> 8)}), 2)
			c.Write([]byte{1})
			if i%100 == 0 {
				start := time.Now()
				near, err := Dial(context.Background(), f.net.Host(hostAddr(5)), hostPort(2), clientConfig())
				if err != nil {
					t.Fatal(err)
				}
				if d := time.Since(start); d > 200*time.Millisecond {
					t.Error("took", d)
				}
				wait(50 * time.Millisecond)
				near.Close()
			}
		}
		if len(up) != 10 {
			t.Error("links:", len(up))
		}
	})
}

// Who makes an identity up on the spot is a client; whom the network lists later has a
// relay's limits from then on. Spec: protocol §1, security B3, B5
func TestMadeUpIdentitiesAreClients(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		f := newFleet(t, 0)
		ln, err := f.net.Host(hostAddr(2)).Listen(hostPort(2))
		if err != nil {
			t.Fatal(err)
		}
		id, listed := testIdentity(t, 2), testKey(3).Public().(ed25519.PublicKey)
		var later atomic.Bool
		cfg := relayConfig(id)
		cfg.Known = func(identity ed25519.PublicKey) bool { return later.Load() || identity.Equal(listed) }
		l := NewListener(ln, ListenerConfig{Link: func() Config { return cfg }})
		defer l.Close()
		dial := func(n byte) *Link {
			near, err := Dial(context.Background(), f.net.Host(hostAddr(5)), hostPort(2), relayConfig(testIdentity(t, n)))
			if err != nil {
				return nil
			}
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			far, err := l.Accept(ctx)
			if err != nil {
				near.Close()
				return nil
			}
			t.Cleanup(func() { near.Close(); far.Close() })
			return far
		}
		var far *Link
		for n := range byte(MaxAddressLinks) {
			if far = dial(100 + n); far == nil {
				t.Fatal("refused below the cap")
			}
		}
		if dial(99) != nil {
			t.Error("one more than the cap")
		}
		far.mu.Lock()
		far.incoming = MaxClientStreams
		if far.admitLocked() {
			t.Error("more streams than a client's")
		}
		later.Store(true)
		if !far.admitLocked() {
			t.Error("a client though it is listed now")
		}
		far.incoming = 0
		far.mu.Unlock()
		if far.Close(); l.isLimitedTo(hostAddr(5)) != MaxAddressLinks-1 {
			t.Error("not taken off the address's count")
		}
	})
}

// isLimitedTo returns how many client links of an address count.
func (l *Listener) isLimitedTo(a netip.Addr) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.clients[prefix(a)]
}
