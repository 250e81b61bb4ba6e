// SPDX-License-Identifier: BSD-3-Clause

package exit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"chive/internal/testutil"
)

var (
	peer4 = netip.MustParseAddrPort("8.8.8.8:53")
	peer6 = netip.MustParseAddrPort("[2600::8]:53")
)

func openUDP(t *testing.T, c *Circuit) *Association {
	t.Helper()
	a, err := c.OpenUDP()
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func send(t *testing.T, a *Association, to netip.AddrPort) {
	t.Helper()
	if err := a.Send(t.Context(), to.Addr().String(), to.Port(), []byte("q")); err != nil {
		t.Fatalf("to %v: %v", to, err)
	}
}

// arrive hands a datagram to a fake socket and waits until it was dealt with.
func arrive(s *fakeSocket, from netip.AddrPort, payload string) {
	s.in <- fakeDatagram{[]byte(payload), from}
	synctest.Wait()
}

func wantDatagram(t *testing.T, a *Association, from netip.AddrPort, payload string) {
	t.Helper()
	got, addr, err := a.Receive(t.Context())
	if err != nil || string(got) != payload || addr != from {
		t.Errorf("received %q from %v, %v; want %q from %v", got, addr, err, payload, from)
	}
}

// Spec: EXIT-4.
func TestDatagramsComeBackFromTheAskedOnly(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		n := &fakeNet{}
		e := newExit(t, n, nil)
		a := openUDP(t, e.NewCircuit())
		if len(n.sockets) != 0 {
			t.Error("an association that sent nothing holds a socket")
		}
		send(t, a, peer4)
		send(t, a, peer6)
		send(t, a, peer4)
		if len(n.sockets) != 2 || !n.socket(0).local.Is4() || !n.socket(1).local.Is6() {
			t.Fatalf("%d sockets", len(n.sockets))
		}
		four, six := n.socket(0), n.socket(1)
		arrive(four, netip.MustParseAddrPort("8.8.8.8:54"), "another port")
		arrive(four, netip.MustParseAddrPort("8.8.8.9:53"), "another address")
		arrive(six, netip.MustParseAddrPort("[2600::9]:53"), "another address")
		arrive(four, netip.MustParseAddrPort("127.0.0.1:53"), "a neighbour")
		arrive(four, peer4, string(make([]byte, MaxDatagramSize+1)))
		arrive(four, netip.MustParseAddrPort("[::ffff:8.8.8.8]:53"), "one")
		arrive(six, peer6, "two")
		arrive(four, peer4, "")
		wantDatagram(t, a, peer4, "one")
		wantDatagram(t, a, peer6, "two")
		wantDatagram(t, a, peer4, "")
		if got := e.Counters(); got.DatagramsOut != 3 || got.DatagramsIn != 3 || got.DatagramsForeign != 5 {
			t.Errorf("counted %+v", got)
		}
		a.Close()
		for _, s := range n.sockets {
			select {
			case <-s.closed:
			default:
				t.Error("a socket is still open")
			}
		}
		wantIdle(t, e)
	})
}

func TestPolicyAndJudgeSeeEveryDatagram(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		answer := "8.0.0.1"
		n := &fakeNet{lookup: func(context.Context, string) ([]netip.Addr, error) { return addrs(answer), nil }}
		e := newExit(t, n, func(c *Config) { c.Policy = mustPolicy(t, "reject 8.0.0.2:*, accept udp *:53, accept tcp *:80") })
		a := openUDP(t, e.NewCircuit())
		defer a.Close()
		for _, test := range []struct {
			host   string
			port   uint16
			size   int
			reason Reason
		}{
			{"a.example", 53, 1, ReasonDone},
			{"8.0.0.1", 53, 0, ReasonDone},
			{"8.0.0.1", 53, MaxDatagramSize - 1, ReasonDone},
			{"8.0.0.1", 53, MaxDatagramSize, ReasonDone},
			{"8.0.0.1", 53, MaxDatagramSize + 1, ReasonProtocol},
			{"8.0.0.1", 0, 1, ReasonProtocol},
			{"8.0.0.1", 80, 1, ReasonPolicy},
			{"8.0.0.2", 53, 1, ReasonPolicy},
			{"10.0.0.1", 53, 1, ReasonPolicy},
			{"224.0.0.251", 53, 1, ReasonPolicy},
			{"255.255.255.255", 53, 1, ReasonPolicy},
			{"ff02::fb", 53, 1, ReasonPolicy},
			{"a b", 53, 1, ReasonUnresolvable},
		} {
			wantReason(t, a.Send(t.Context(), test.host, test.port, make([]byte, test.size)), test.reason)
		}
		answer = "192.168.0.1"
		pass(AddrTTL)
		a = openUDP(t, e.NewCircuit())
		defer a.Close()
		wantReason(t, a.Send(t.Context(), "a.example", 53, nil), ReasonPolicy)
		if _, sent := n.contacts(); len(sent) != 4 || slices.ContainsFunc(sent, func(to netip.AddrPort) bool { return to.String() != "8.0.0.1:53" }) {
			t.Errorf("sent to %v", sent)
		}
		e.SetPolicy(mustPolicy(t, "accept udp *:443")) // a reload holds for open associations too
		wantReason(t, a.Send(t.Context(), "8.0.0.1", 53, nil), ReasonPolicy)
	})
}

func TestTheOldestDatagramGoes(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		n := &fakeNet{}
		e := newExit(t, n, nil)
		a := openUDP(t, e.NewCircuit())
		defer a.Close()
		send(t, a, peer4)
		s := n.socket(0)
		fill := func(count int) {
			for i := range count {
				arrive(s, peer4, fmt.Sprint(i))
			}
		}
		drain := func(first, last int) {
			t.Helper()
			for i := first; i <= last; i++ {
				wantDatagram(t, a, peer4, fmt.Sprint(i))
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, _, err := a.Receive(ctx)
			wantReason(t, err, ReasonTimeout)
		}
		fill(maxQueued - 1)
		drain(0, maxQueued-2)
		fill(maxQueued)
		drain(0, maxQueued-1)
		fill(maxQueued + 1)
		drain(1, maxQueued)
		if got := e.Counters().DatagramsDropped; got != 1 {
			t.Errorf("%d dropped", got)
		}
		// And by age.
		arrive(s, peer4, "old")
		pass(maxWait / 2)
		arrive(s, peer4, "young")
		pass(maxWait/2 - 1)
		wantDatagram(t, a, peer4, "old")
		arrive(s, peer4, "younger")
		pass(maxWait/2 + 1)
		wantDatagram(t, a, peer4, "younger")
		if got := e.Counters().DatagramsDropped; got != 2 {
			t.Errorf("%d dropped", got)
		}
	})
}

func TestTheOldestPeerIsForgotten(t *testing.T) {
	var p peers
	at := func(i int) netip.AddrPort { return netip.AddrPortFrom(peer4.Addr(), uint16(i+1)) }
	for i := range maxPeers { // cap-1 and cap
		p.add(at(i))
	}
	if !p.has(at(0)) || !p.has(at(maxPeers-1)) {
		t.Fatal("a peer was forgotten before the cap")
	}
	p.add(at(0)) // sent to again: the newest
	p.add(at(maxPeers))
	if !p.has(at(0)) || p.has(at(1)) || !p.has(at(2)) || !p.has(at(maxPeers)) {
		t.Error("not the oldest was forgotten")
	}
	if len(p.byAddr) != maxPeers || p.byAge.Len() != maxPeers {
		t.Errorf("%d and %d remembered", len(p.byAddr), p.byAge.Len())
	}
}

func TestAForgottenPeerIsNotHeard(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		n := &fakeNet{}
		a := openUDP(t, newExit(t, n, nil).NewCircuit())
		defer a.Close()
		send(t, a, peer4)
		for i := range maxPeers {
			send(t, a, netip.AddrPortFrom(netip.MustParseAddr("8.0.0.1"), uint16(i+1)))
		}
		arrive(n.socket(0), peer4, "late")
		arrive(n.socket(0), netip.MustParseAddrPort("8.0.0.1:1"), "kept")
		wantDatagram(t, a, netip.MustParseAddrPort("8.0.0.1:1"), "kept")
	})
}

// Spec: EXIT-4.
func TestAssociationsIdleOut(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		n := &fakeNet{}
		e := newExit(t, n, nil)
		a := openUDP(t, e.NewCircuit())
		start := time.Now()
		pass(59 * time.Second)
		send(t, a, peer4) // either way keeps it open
		pass(59 * time.Second)
		arrive(n.socket(0), peer4, "x")
		wantDatagram(t, a, peer4, "x")
		pass(30 * time.Second)
		arrive(n.socket(0), netip.MustParseAddrPort("9.9.9.9:9"), "a stranger does not")
		wantReason(t, a.Send(t.Context(), "10.0.0.1", 53, nil), ReasonPolicy) // nor what is not sent
		_, _, err := a.Receive(t.Context())
		wantReason(t, err, ReasonTimeout)
		if took := time.Since(start); took != (59+59+60)*time.Second {
			t.Errorf("ended after %v", took)
		}
		wantReason(t, a.Send(t.Context(), "8.8.8.8", 53, nil), ReasonTimeout)
		a.Close()
		_, _, err = a.Receive(t.Context())
		wantReason(t, err, ReasonTimeout) // the first end counts
		synctest.Wait()
		wantIdle(t, e)

		never := openUDP(t, e.NewCircuit())
		start = time.Now()
		_, _, err = never.Receive(t.Context())
		wantReason(t, err, ReasonTimeout)
		if took := time.Since(start); took != maxIdle {
			t.Errorf("ended after %v", took)
		}
	})
}

func TestReceiveEndsWithAssociationAndContext(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		e := newExit(t, &fakeNet{}, nil)
		a := openUDP(t, e.NewCircuit())
		ctx, cancel := context.WithCancel(t.Context())
		errs := make(chan error)
		receive := func(ctx context.Context) { _, _, err := a.Receive(ctx); errs <- err }
		go receive(ctx)
		synctest.Wait()
		cancel()
		wantReason(t, <-errs, ReasonReset)
		go receive(t.Context())
		go receive(t.Context())
		synctest.Wait()
		a.Close()
		for range 2 {
			if err := <-errs; err != (Error{ReasonDone}) {
				t.Errorf("after Close: %v", err)
			}
		}
		wantIdle(t, e)
	})
}

// brokenSocket fails every read.
type brokenSocket struct{ fakeSocket }

func (s *brokenSocket) ReadFrom([]byte) (int, net.Addr, error) { return 0, nil, errors.New("broken") }

type brokenNet struct{ fakeNet }

func (n *brokenNet) ListenUDP(ctx context.Context, local netip.Addr) (net.PacketConn, error) {
	return &brokenSocket{fakeSocket{net: &n.fakeNet, closed: make(chan struct{})}}, nil
}

func TestABrokenSocketEndsItsAssociation(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		e := newExit(t, &brokenNet{}, nil)
		a := openUDP(t, e.NewCircuit())
		send(t, a, peer4)
		_, _, err := a.Receive(t.Context())
		wantReason(t, err, ReasonInternal)
		synctest.Wait()
		wantIdle(t, e)
	})
}

// TestSendsAndCloseRaceCleanly is for the race detector: no socket outlives its
// association, whoever comes first.
func TestSendsAndCloseRaceCleanly(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		n := &fakeNet{}
		e := newExit(t, n, nil)
		for range 50 {
			a := openUDP(t, e.NewCircuit())
			for i := range 4 {
				go func() {
					to := peer4
					if i%2 == 1 {
						to = peer6
					}
					_ = a.Send(t.Context(), to.Addr().String(), to.Port(), nil)
				}()
			}
			go a.Close()
		}
		synctest.Wait()
		wantIdle(t, e)
		for i, s := range n.sockets {
			select {
			case <-s.closed:
			default:
				t.Errorf("socket %d is still open", i)
			}
		}
	})
}

// TestDatagramsOverLoopback runs on the real network: the largest datagram there
// and back, a larger answer and a stranger's datagram unheard.
func TestDatagramsOverLoopback(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "::1"} {
		t.Run(host, func(t *testing.T) {
			echo, err := net.ListenPacket("udp", net.JoinHostPort(host, "0"))
			if err != nil {
				t.Skip("no such loopback here")
			}
			defer echo.Close()
			stranger, err := net.ListenPacket("udp", net.JoinHostPort(host, "0"))
			if err != nil {
				t.Fatal(err)
			}
			defer stranger.Close()
			done := make(chan struct{})
			go func() {
				defer close(done)
				buf := make([]byte, 4096)
				for {
					k, from, err := echo.ReadFrom(buf)
					if err != nil {
						return
					}
					_, _ = stranger.WriteTo([]byte("unasked"), from)
					_, _ = echo.WriteTo(make([]byte, MaxDatagramSize+1), from)
					_, _ = echo.WriteTo(buf[:k], from)
				}
			}()
			e := newExit(t, System{}, func(c *Config) { c.Testnet = true; c.Own = InterfaceAddrs })
			c := e.NewCircuit()
			a := openUDP(t, c)
			target := echo.LocalAddr().(*net.UDPAddr).AddrPort()
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			for _, size := range []int{0, 1, 1_400, MaxDatagramSize} {
				want := bytes.Repeat([]byte{7}, size)
				if err := a.Send(ctx, host, target.Port(), want); err != nil {
					t.Fatal(err)
				}
				got, from, err := a.Receive(ctx)
				if err != nil || !bytes.Equal(got, want) || from != target {
					t.Fatalf("%d bytes: received %d from %v, %v", size, len(got), from, err)
				}
			}
			wantReason(t, a.Send(ctx, "0.0.0.0", target.Port(), nil), ReasonPolicy)
			c.Close() // ends its associations
			_, _, err = a.Receive(ctx)
			wantReason(t, err, ReasonReset)
			wantIdle(t, e)
			echo.Close()
			<-done
			if got := e.Counters(); got.DatagramsIn != 4 || got.DatagramsOut != 4 {
				t.Errorf("counted %+v", got)
			}
		})
	}
}
