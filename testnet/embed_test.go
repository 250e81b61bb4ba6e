// SPDX-License-Identifier: BSD-3-Clause

package testnet

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"chive/client"
	"chive/internal/memnet"
)

// circuitOf returns the circuit that a story names.
func circuitOf(t *testing.T, cl *Client, id string) client.CircuitExplained {
	t.Helper()
	for _, q := range cl.Status().Circuits {
		if q.ID == id {
			return q
		}
	}
	t.Fatal("the story's circuit is not open")
	return client.CircuitExplained{}
}

// TestAStreamsStoryNamesWhatFailed looks at an open stream and at one that was refused.
func TestAStreamsStoryNamesWhatFailed(t *testing.T) {
	inMemory(t, Config{Relays: 8, Exits: 2}, 20*time.Millisecond, func(t *testing.T, n *Network, _ *memnet.Network, _ *Memory) {
		cl := n.Clients[0]
		ctx := client.WithListener(t.Context(), "socks")
		conn, err := cl.Dial(ctx, "s", TargetName, 80, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "GET / HTTP/1.0\r\n\r\n")
		got, err := io.ReadAll(conn)
		if err != nil {
			t.Fatal(err)
		}
		all := cl.Streams()
		if len(all) != 1 {
			t.Fatalf("%d stories", len(all))
		}
		e := all[0]
		if e.Kind != client.KindConnect || e.Target != TargetName+":80" || e.Listener != "socks" || e.State != client.StreamOpen ||
			e.Up != 18 || e.Down != uint64(len(got)) || e.Took <= 0 || e.FirstByte <= e.Took {
			t.Errorf("%+v", e)
		}
		q := circuitOf(t, cl, e.CircuitID)
		last := e.Tries[len(e.Tries)-1]
		if last.Phase != "connect" || last.Hop != 3 || last.Relay != hex.EncodeToString(q.Hops[2].RID[:]) || last.Took <= 0 {
			t.Errorf("%+v", last)
		}
		if q.Took <= 0 || q.Purpose == "" || !q.InUse || q.Streams != 1 {
			t.Errorf("%+v", q)
		}
		if s := cl.Status().Traffic; s.Up != 18 || s.Down != uint64(len(got)) || s.Streams != 1 {
			t.Errorf("%+v", s)
		}

		_, err = cl.Dial(ctx, "s", TargetName, 81, nil)
		e, ok := cl.Stream(client.LastStream)
		if !ok || err == nil || e.State != client.StreamFailed || e.Reason != "refused_by_target" || e.Text != err.Error() || e.Fix == "" {
			t.Errorf("%v: %+v", err, e)
		}
		if last := e.Tries[len(e.Tries)-1]; last.Phase != "connect" || last.Reason != "refused_by_target" {
			t.Errorf("%+v", last)
		}
		cl.NewIdentity()
		if _, ok := cl.Stream(client.LastStream); ok {
			t.Error("a story outlives a new identity")
		}
	})
}

// TestAStoryNamesTheRelayThatDidNotAnswer kills every relay but the guards, and looks
// at what the story of a request says.
func TestAStoryNamesTheRelayThatDidNotAnswer(t *testing.T) {
	inMemory(t, Config{Relays: 9, Exits: 2}, 20*time.Millisecond, func(t *testing.T, n *Network, m *memnet.Network, fab *Memory) {
		cl := n.Clients[0]
		guards := cl.Guards()[:2] // three could be a whole path
		for i, r := range n.Relays {
			if !slices.Contains(guards, r.RID()) {
				m.Kill(fab.RelayAddr(i))
			}
		}
		cl.NewIdentity()
		for _, q := range cl.Status().Circuits {
			cl.CloseCircuit(q.ID)
		}
		_, err := cl.Dial(t.Context(), "s", TargetName, 80, nil)
		e, ok := cl.Stream(client.LastStream)
		if !ok || reason(err) != e.Reason || e.State != client.StreamFailed {
			t.Fatalf("%v: %+v", err, e)
		}
		named := 0
		for _, try := range e.Tries {
			if try.Phase == "circuit" && try.Hop > 1 && try.Reason != "" && len(try.Relay) == 32 && try.Text != "" {
				named++
			}
		}
		if named == 0 {
			t.Errorf("no try names a relay: %+v", e.Tries)
		}
	})
}

// TestNoCircuitIsSharedAcrossIdentities has streams of several keys opened at random,
// with new identities in between, and looks at which circuits they use (ISO-1, ISO-2).
func TestNoCircuitIsSharedAcrossIdentities(t *testing.T) {
	inMemory(t, Config{Relays: 8, Exits: 3}, 5*time.Millisecond, func(t *testing.T, n *Network, _ *memnet.Network, _ *Memory) {
		cl := n.Clients[0]
		served := make(map[string]string)
		var mu sync.Mutex
		for identity := range 4 {
			var wg sync.WaitGroup
			for i := range 9 {
				wg.Go(func() {
					key := fmt.Sprint(i % 3)
					ctx := client.WithListener(t.Context(), fmt.Sprint(identity, "/", key))
					conn, err := cl.Dial(ctx, client.Isolation(key), TargetName, 80, nil)
					if err != nil {
						t.Error(err)
						return
					}
					defer conn.Close()
					mu.Lock()
					defer mu.Unlock()
					for _, e := range cl.Streams() {
						if e.State != client.StreamOpen {
							continue
						}
						if who, ok := served[e.CircuitID]; ok && who != e.Listener {
							t.Errorf("a circuit served %s and %s", who, e.Listener)
						}
						served[e.CircuitID] = e.Listener
					}
				})
			}
			wg.Wait()
			cl.NewIdentity()
		}
		if len(served) < 12 {
			t.Errorf("only %d circuits were used", len(served))
		}
	})
}

func TestAClosedCircuitBreaksItsStreams(t *testing.T) {
	inMemory(t, oneExit, 10*time.Millisecond, func(t *testing.T, n *Network, _ *memnet.Network, _ *Memory) {
		cl := n.Clients[0]
		conn, err := cl.Dialer("c").DialContext(t.Context(), "tcp", TargetName+":80")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		id := cl.Streams()[0].CircuitID
		if cl.CloseCircuit("unknown") || !cl.CloseCircuit(id) {
			t.Error("a circuit was not closed, or one that there is not")
		}
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%v", err)
		}
		if slices.ContainsFunc(cl.Status().Circuits, func(q client.CircuitExplained) bool { return q.ID == id }) {
			t.Error("it is still there")
		}
		mustGet(t, t.Context(), cl, "c")
	})
}

// TestADialerIsWhatGoProgramsExpect looks at deadlines, addresses, errors and Close.
func TestADialerIsWhatGoProgramsExpect(t *testing.T) {
	inMemory(t, oneExit, 10*time.Millisecond, func(t *testing.T, n *Network, m *memnet.Network, fab *Memory) {
		d := n.Clients[0].Dialer("program")
		atExit(t, m, fab, 7010, func(c net.Conn) { _, _ = io.Copy(c, c) })
		atExit(t, m, fab, 7011, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })

		conn, err := d.DialContext(t.Context(), "tcp", "127.0.0.1:7011")
		if err != nil {
			t.Fatal(err)
		}
		if l, r := conn.LocalAddr(), conn.RemoteAddr(); l.String() != "chive" || l.Network() != "tcp" || r.String() != "127.0.0.1:7011" {
			t.Errorf("%v, %v", l, r)
		}
		_ = conn.SetReadDeadline(time.Now().Add(time.Second))
		_, err = conn.Read(make([]byte, 1))
		var ne net.Error
		if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &ne) || !ne.Timeout() {
			t.Errorf("at the deadline: %v", err)
		}
		_ = conn.SetReadDeadline(time.Time{})
		over := make(chan error, 1)
		go func() {
			_, err := conn.Read(make([]byte, 1))
			over <- err
		}()
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
		if err := <-over; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Read during Close: %v", err)
		}
		if err := conn.Close(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("a second Close: %v", err)
		}
		if _, err := conn.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Write after Close: %v", err)
		}

		var op *net.OpError
		if _, err := d.DialContext(t.Context(), "tcp", TargetName+":81"); !errors.As(err, &op) || op.Timeout() || reason(err) != "refused_by_target" {
			t.Errorf("refused: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := d.DialContext(ctx, "tcp", TargetName+":80"); !errors.As(err, &ne) || !ne.Timeout() || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("without time: %v", err)
		}
		for _, bad := range [][2]string{{"tcp", "x"}, {"tcp", "x:0"}, {"tcp", "x:http"}, {"tcp", ":80"}, {"tcp4", "[::1]:80"}, {"tcp6", "127.0.0.1:80"}, {"unix", "/x:1"}, {"ip", "x:1"}} {
			if _, err := d.DialContext(t.Context(), bad[0], bad[1]); !errors.As(err, &op) {
				t.Errorf("%v: %v", bad, err)
			}
		}

		addrs, err := d.LookupNetIP(t.Context(), "ip4", TargetName)
		if err != nil || len(addrs) != 1 || !addrs[0].Is4() {
			t.Errorf("%v, %v", addrs, err)
		}
		for _, name := range []string{"x.onion", "x.alt", "printer.local"} { // nobody is asked (DNS-3)
			if _, err := d.DialContext(t.Context(), "tcp", name+":80"); reason(err) != "name_not_found" {
				t.Errorf("%s: %v", name, err)
			}
		}
		told := 0
		for _, e := range n.Clients[0].Streams() {
			if !strings.HasPrefix(e.Target, "x.") && !strings.HasPrefix(e.Target, "printer.") {
				continue
			}
			if told++; e.CircuitID != "" || len(e.Tries) != 1 || e.Tries[0].Phase != "client" {
				t.Errorf("a request was made for such a name: %+v", e)
			}
		}
		if told != 3 {
			t.Errorf("%d of 3 refusals have a story", told)
		}
		var none *net.DNSError
		if _, err := d.LookupNetIP(t.Context(), "ip", "nowhere.test"); !errors.As(err, &none) || !none.IsNotFound || reason(err) != "name_not_found" {
			t.Errorf("%v", err)
		}
		if _, err := d.LookupNetIP(t.Context(), "ip6", TargetName); !errors.As(err, &none) || !none.IsNotFound {
			t.Errorf("%v", err)
		}
	})
}

func TestADialersPacketsGoThroughExits(t *testing.T) {
	inMemory(t, oneExit, 10*time.Millisecond, func(t *testing.T, n *Network, m *memnet.Network, fab *Memory) {
		for _, port := range []uint16{5353, 5354} {
			echo, err := m.Host(fab.RelayAddr(oneExit.Relays - 1)).ListenPacket(netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port))
			if err != nil {
				t.Fatal(err)
			}
			defer echo.Close()
			go func() {
				buf := make([]byte, 2048)
				for {
					k, from, err := echo.ReadFrom(buf)
					if err != nil {
						return
					}
					_, _ = echo.WriteTo(buf[:k], from)
				}
			}()
		}
		d := n.Clients[0].Dialer("u")
		pc, err := d.ListenPacket(t.Context(), "udp", ":0")
		if err != nil {
			t.Fatal(err)
		}
		_ = pc.SetReadDeadline(time.Now().Add(time.Minute))
		got := make([]byte, 2048)
		for _, port := range []int{5353, 5354, 5353} {
			want := pattern(1000 + port%7)
			if _, err := pc.WriteTo(want, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}); err != nil {
				t.Fatal(err)
			}
			k, from, err := pc.ReadFrom(got)
			if err != nil || !bytes.Equal(got[:k], want) || from.(*net.UDPAddr).Port != port {
				t.Fatalf("%d bytes from %v: %v", k, from, err)
			}
		}
		if all := n.Clients[0].Streams(); len(all) != 1 || all[0].Kind != client.KindUDP || all[0].Up == 0 || all[0].Up != all[0].Down {
			t.Errorf("%+v", all)
		}
		_ = pc.SetReadDeadline(time.Now().Add(time.Second))
		if _, _, err := pc.ReadFrom(got); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("at the deadline: %v", err)
		}
		_ = pc.SetDeadline(time.Time{})
		over := make(chan error, 1)
		go func() {
			_, _, err := pc.ReadFrom(got)
			over <- err
		}()
		if err := pc.Close(); err != nil {
			t.Error(err)
		}
		if err := <-over; !errors.Is(err, net.ErrClosed) {
			t.Errorf("ReadFrom during Close: %v", err)
		}
		if _, err := pc.WriteTo(got[:1], &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 5353}); !errors.Is(err, net.ErrClosed) {
			t.Errorf("WriteTo after Close: %v", err)
		}

		conn, err := d.DialContext(t.Context(), "udp", "127.0.0.1:5353")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, _ = conn.Write([]byte("hello"))
		if k, err := conn.Read(got); err != nil || string(got[:k]) != "hello" {
			t.Errorf("%q, %v", got[:k], err)
		}
	})
}

// TestAClientUsesOnlyPortsThatPass has a client that only two relays' ports let through
// (NET-2).
func TestAClientUsesOnlyPortsThatPass(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	fab := new(Loopback)
	n, err := Start(ctx, Config{Fabric: fab})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	open := []*Relay{n.Relays[1], n.Relays[4]}
	cfg := client.Config{Genesis: n.Genesis, Transport: fab.Client(1), Rand: n.cfg.Rand}
	for _, r := range open {
		cfg.Ports = append(cfg.Ports, r.Addr().Port())
	}
	role, err := client.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	life, stop := context.WithCancel(context.Background())
	cl := &Client{Client: role, stop: stop, done: make(chan error, 1)}
	go func() { cl.done <- role.Run(life) }()
	defer cl.Stop()
	if err := cl.await(ctx); err != nil {
		t.Fatal(err)
	}
	mustGet(t, ctx, cl, "p")
	for _, g := range cl.Guards() {
		if g != open[0].RID() && g != open[1].RID() {
			t.Error("a guard whose port does not pass")
		}
	}
}
