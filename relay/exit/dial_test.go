// SPDX-License-Identifier: BSD-3-Clause

package exit

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"chive/internal/testutil"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func refuse(after time.Duration, number syscall.Errno) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		select {
		case <-time.After(after):
			return nil, &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", number)}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// silent never answers.
func silent(ctx context.Context) (net.Conn, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func connected(after time.Duration, conn *fakeConn) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		select {
		case <-time.After(after):
			return conn, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// world is a network of destinations, one name for all, and when each was dialled.
type world struct {
	fakeNet
	addrs []netip.Addr
	at    map[string]time.Duration
	atMu  sync.Mutex
}

func newWorld(order []string, to map[string]func(context.Context) (net.Conn, error)) *world {
	w := &world{addrs: addrs(order...), at: make(map[string]time.Duration)}
	start := time.Now()
	w.lookup = func(context.Context, string) ([]netip.Addr, error) { return w.addrs, nil }
	w.dial = func(ctx context.Context, target netip.AddrPort) (net.Conn, error) {
		w.atMu.Lock()
		w.at[target.Addr().String()] = time.Since(start)
		w.atMu.Unlock()
		return to[target.Addr().String()](ctx)
	}
	return w
}

// Spec: EXIT-4.
func TestEyeballsAreHappy(t *testing.T) {
	const a, b, c, d = "8.0.0.1", "8.0.0.2", "2600::1", "2600::2"
	ms := time.Millisecond
	won, lost := newFakeConn(), newFakeConn()
	type destinations map[string]func(context.Context) (net.Conn, error)
	for _, test := range []struct {
		name   string
		six    bool
		order  []string
		to     destinations
		wins   string // or
		reason Reason
		took   time.Duration
		at     map[string]time.Duration
	}{
		{name: "first answers", order: []string{a, c}, to: destinations{a: connected(100*ms, won)},
			wins: a, took: 100 * ms, at: map[string]time.Duration{a: 0}},
		{name: "IPv6 first when preferred", six: true, order: []string{a, c}, to: destinations{c: connected(100*ms, won)},
			wins: c, took: 100 * ms, at: map[string]time.Duration{c: 0}},
		{name: "silent first", order: []string{a, c}, to: destinations{a: silent, c: connected(20*ms, won)},
			wins: c, took: 270 * ms, at: map[string]time.Duration{a: 0, c: 250 * ms}},
		{name: "refused first", order: []string{a, c}, to: destinations{a: refuse(20*ms, syscall.ECONNREFUSED), c: connected(20*ms, won)},
			wins: c, took: 40 * ms, at: map[string]time.Duration{a: 0, c: 20 * ms}},
		{name: "no IPv6 here", six: true, order: []string{c, d, a}, to: destinations{
			c: refuse(0, syscall.ENETUNREACH), d: refuse(0, syscall.ENETUNREACH), a: connected(30*ms, won)},
			wins: a, took: 30 * ms, at: map[string]time.Duration{c: 0, a: 0}},
		{name: "versions take turns", order: []string{a, b, c, d}, to: destinations{a: silent, b: silent, c: silent, d: silent},
			reason: ReasonTimeout, took: 10 * time.Second,
			at: map[string]time.Duration{a: 0, c: 250 * ms, b: 500 * ms, d: 750 * ms}},
		{name: "slow first beats silent second", order: []string{a, c}, to: destinations{a: connected(400*ms, won), c: silent},
			wins: a, took: 400 * ms, at: map[string]time.Duration{a: 0, c: 250 * ms}},
		{name: "the loser is closed", order: []string{a, c}, to: destinations{
			a: func(context.Context) (net.Conn, error) { // answers although nobody waits
				<-time.After(600 * ms)
				return lost, nil
			}, c: connected(20*ms, won)},
			wins: c, took: 270 * ms, at: map[string]time.Duration{a: 0, c: 250 * ms}},
		{name: "all refuse", order: []string{a, c}, to: destinations{
			a: refuse(20*ms, syscall.ECONNREFUSED), c: refuse(20*ms, syscall.ENETUNREACH)},
			reason: ReasonRefused, took: 40 * ms, at: map[string]time.Duration{a: 0, c: 20 * ms}},
		{name: "the order of failures does not matter", six: true, order: []string{a, c}, to: destinations{
			a: refuse(20*ms, syscall.ECONNREFUSED), c: refuse(20*ms, syscall.ENETUNREACH)},
			reason: ReasonRefused, took: 40 * ms, at: map[string]time.Duration{c: 0, a: 20 * ms}},
		{name: "one refuses, one is silent", order: []string{a, c}, to: destinations{a: refuse(20*ms, syscall.ECONNREFUSED), c: silent},
			reason: ReasonRefused, took: 10 * time.Second, at: map[string]time.Duration{a: 0, c: 20 * ms}},
		{name: "unreachable", order: []string{a}, to: destinations{a: refuse(0, syscall.EHOSTUNREACH)},
			reason: ReasonUnreachable, at: map[string]time.Duration{a: 0}},
	} {
		testutil.Bubble(t, func(t *testing.T) {
			for _, conn := range []*fakeConn{won, lost} {
				conn.once, conn.closed = sync.Once{}, make(chan struct{})
			}
			w := newWorld(test.order, test.to)
			e := newExit(t, w, nil)
			c := e.NewCircuit()
			start := time.Now()
			conn, err := c.Dial(t.Context(), "a.example", 443, test.six)
			took := time.Since(start)
			synctest.Wait()
			if test.wins == "" {
				wantReason(t, err, test.reason)
			} else if err != nil || conn.Target() != netip.AddrPortFrom(netip.MustParseAddr(test.wins), 443) || won.isClosed() {
				t.Errorf("%s: %v", test.name, err)
			}
			if took != test.took {
				t.Errorf("%s: took %v, want %v", test.name, took, test.took)
			}
			w.atMu.Lock()
			for host, at := range test.at {
				if got, ok := w.at[host]; !ok || got != at {
					t.Errorf("%s: %s dialled after %v (%v), want %v", test.name, host, got, ok, at)
				}
			}
			w.atMu.Unlock()
			pass(time.Second)
			if test.name == "the loser is closed" && !lost.isClosed() {
				t.Error("the loser is still open")
			}
			if n := e.Counters(); n.Connecting != 0 {
				t.Errorf("%s: %d connects still under way", test.name, n.Connecting)
			}
			if err == nil {
				conn.Close()
				if !won.isClosed() {
					t.Errorf("%s: Close did not close", test.name)
				}
				conn.Close() // gives its place back once
			}
			wantIdle(t, e)
			if got := e.Counters().Streams[test.reason]; got != 1 {
				t.Errorf("%s: counted %d", test.name, got)
			}
		})
	}
}

func TestDialReadsHosts(t *testing.T) {
	n := &fakeNet{lookup: func(_ context.Context, host string) ([]netip.Addr, error) {
		if host == "a.example" {
			return addrs("8.0.0.9"), nil
		}
		return nil, &net.DNSError{IsNotFound: true}
	}}
	e := newExit(t, n, nil)
	for host, want := range map[string]string{
		"8.8.8.8":                      "8.8.8.8:443",
		"::ffff:8.8.8.8":               "8.8.8.8:443",
		"2606:4700::1111":              "[2606:4700::1111]:443",
		"[2606:4700::1111]":            "[2606:4700::1111]:443",
		"2606:4700:0:0:0:0:0:1111":     "[2606:4700::1111]:443",
		"64:ff9b::808:808":             "[64:ff9b::808:808]:443",
		"a.example":                    "8.0.0.9:443",
		"A.Example.":                   "8.0.0.9:443",
		"[a.example]":                  "",
		"a..example":                   "",
		".example":                     "",
		"-a.example":                   "",
		"a-.example":                   "",
		"b.example":                    "",
		"a_b.example":                  "",
		string(make([]byte, 70)):       "",
		"a.example/x":                  "",
		"[2606:4700::1111]:443":        "",
		"xn--bcher-kva.example":        "",
		"b\u00fccher.example":          "",
		"0123456789.0123456789.ex-4_x": "",
	} {
		c := e.NewCircuit()
		conn, err := c.Dial(t.Context(), host, 443, false)
		switch {
		case want == "":
			wantReason(t, err, ReasonUnresolvable)
		case err != nil || conn.Target().String() != want:
			t.Errorf("%q: %v", host, err)
		}
		c.Close()
	}
	wantIdle(t, e)
	if asked := n.questions(); slices.ContainsFunc(asked, func(q string) bool { _, ok := parseName(q); return !ok }) {
		t.Errorf("asked for %q", asked)
	}
}

func TestNamesAtTheirBounds(t *testing.T) {
	label := func(n int) string { return string(slices.Repeat([]byte("a"), n)) }
	long := label(63) + "." + label(63) + "." + label(63) + "." // 192
	for name, want := range map[string]bool{
		label(62) + ".b":       true,
		label(63) + ".b":       true,
		label(64) + ".b":       false,
		long + label(60):       true, // 252
		long + label(61):       true, // 253
		long + label(61) + ".": true,
		long + label(62):       false,
	} {
		if _, ok := parseName(name); ok != want {
			t.Errorf("%d bytes: %v, want %v", len(name), ok, want)
		}
	}
}

func TestPolicyComesBeforeTheResolver(t *testing.T) {
	n := &fakeNet{lookup: func(context.Context, string) ([]netip.Addr, error) { return addrs("8.0.0.1"), nil }}
	e := newExit(t, n, func(c *Config) { c.Policy = mustPolicy(t, "reject 8.0.0.1:80, accept *:80") })
	c := e.NewCircuit()
	defer c.Close()
	_, err := c.Dial(t.Context(), "a.example", 25, false)
	wantReason(t, err, ReasonPolicy)
	if len(n.questions()) != 0 {
		t.Error("a name was resolved for a port that nobody may reach")
	}
	_, err = c.Dial(t.Context(), "a.example", 80, false)
	wantReason(t, err, ReasonPolicy)
	_, err = c.Dial(t.Context(), "8.0.0.2", 0, false)
	wantReason(t, err, ReasonProtocol)
	if _, err = c.Dial(t.Context(), "8.0.0.2", 80, false); err != nil {
		t.Error(err)
	}
	e.SetPolicy(new(Policy))
	_, err = c.Dial(t.Context(), "8.0.0.2", 80, false)
	wantReason(t, err, ReasonPolicy)
	_, err = c.OpenUDP()
	wantReason(t, err, ReasonPolicy)
	_, _, err = c.Resolve(t.Context(), "a.example")
	wantReason(t, err, ReasonPolicy)
	_, _, err = c.ResolveAddr(t.Context(), netip.MustParseAddr("8.0.0.2"))
	wantReason(t, err, ReasonPolicy)
	if e.Counters().Private != 0 {
		t.Errorf("%d refusals of a policy are counted as the judge's", e.Counters().Private)
	}
	if len(n.dialled) != 1 || e.Counters().Denied != 6 || e.Policy().permitsSome(6, 0) {
		t.Errorf("dialled %v, %d denied", n.dialled, e.Counters().Denied)
	}
}

func TestDialEndsWithItsContext(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		w := newWorld([]string{"8.0.0.1"}, map[string]func(context.Context) (net.Conn, error){"8.0.0.1": silent})
		e := newExit(t, w, nil)
		c := e.NewCircuit()
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		start := time.Now()
		_, err := c.Dial(ctx, "a.example", 443, false)
		wantReason(t, err, ReasonReset)
		if time.Since(start) != time.Second {
			t.Errorf("ended after %v", time.Since(start))
		}
		synctest.Wait()
		wantIdle(t, e)
	})
}

func TestClosingACircuitEndsWhatItHas(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		n := &fakeNet{
			lookup: func(ctx context.Context, host string) ([]netip.Addr, error) {
				if host == "slow.example" {
					<-ctx.Done()
					return nil, ctx.Err()
				}
				return addrs("8.0.0.1"), nil
			},
			dial: func(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
				if to.Port() == 81 {
					return silent(ctx)
				}
				return newFakeConn(), nil
			},
		}
		e := newExit(t, n, nil)
		c, other := e.NewCircuit(), e.NewCircuit()
		conn, err := c.Dial(t.Context(), "a.example", 80, false)
		if err != nil {
			t.Fatal(err)
		}
		kept, err := other.Dial(t.Context(), "a.example", 80, false)
		if err != nil {
			t.Fatal(err)
		}
		udp, err := c.OpenUDP()
		if err != nil {
			t.Fatal(err)
		}
		errs := make(chan error, 4)
		go func() { _, err := c.Dial(t.Context(), "a.example", 81, false); errs <- err }()
		go func() { _, err := c.Dial(t.Context(), "slow.example", 80, false); errs <- err }()
		go func() { _, _, err := c.Resolve(t.Context(), "slow.example"); errs <- err }()
		go func() { _, _, err := udp.Receive(t.Context()); errs <- err }()
		synctest.Wait()
		start := time.Now()
		c.Close()
		for range 4 {
			wantReason(t, <-errs, ReasonReset)
		}
		if time.Since(start) != 0 {
			t.Errorf("it took %v", time.Since(start))
		}
		if !conn.Conn.(*fakeConn).isClosed() || kept.Conn.(*fakeConn).isClosed() {
			t.Error("the wrong connections were closed")
		}
		_, err = c.Dial(t.Context(), "a.example", 80, false)
		wantReason(t, err, ReasonReset)
		_, err = c.OpenUDP()
		wantReason(t, err, ReasonReset)
		_, _, err = c.Resolve(t.Context(), "b.example")
		wantReason(t, err, ReasonReset)
		c.Close()
		conn.Close()
		kept.Close()
		synctest.Wait()
		wantIdle(t, e)
	})
}

// TestConnectionsPassHalfClosesAndBytes runs over loopback: what is sent before
// the half-close arrives whole, the answer after it too.
func TestConnectionsPassHalfClosesAndBytes(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			data, _ := io.ReadAll(conn) // until the half-close
			_, _ = conn.Write(append([]byte("got "), data...))
			conn.Close()
		}
	}()
	e := newExit(t, System{}, func(c *Config) { c.Testnet = true; c.Own = InterfaceAddrs })
	c := e.NewCircuit()
	defer c.Close()
	port := uint16(listener.Addr().(*net.TCPAddr).Port)
	for _, host := range []string{"127.0.0.1", "::ffff:127.0.0.1", "[::ffff:7f00:1]"} {
		conn, err := c.Dial(t.Context(), host, port, false)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		if err := conn.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(conn); err != nil || string(got) != "got hello" {
			t.Errorf("answer %q, %v", got, err)
		}
		if a, ok := conn.RemoteAddr().(*net.TCPAddr); !ok || a.AddrPort().Addr().Unmap() != conn.Target().Addr() {
			t.Errorf("connected to %v, says %v", conn.RemoteAddr(), conn.Target())
		}
		if err := conn.SetLinger(0); err != nil {
			t.Error(err)
		}
		conn.Close()
	}
	listener.Close()
	_, err = c.Dial(t.Context(), "127.0.0.1", port, false)
	wantReason(t, err, ReasonRefused)
	wantIdle(t, e)
}

func TestConnectionsWithoutTheseCallsSaySo(t *testing.T) {
	c := &Conn{Conn: newFakeConn(), leave: func() {}}
	if !errors.Is(c.CloseWrite(), errors.ErrUnsupported) || !errors.Is(c.SetLinger(0), errors.ErrUnsupported) {
		t.Error("a call that does nothing reports success")
	}
}

func TestErrorsBecomeReasons(t *testing.T) {
	for _, test := range []struct {
		err  error
		want Reason
	}{
		{nil, ReasonDone},
		{io.EOF, ReasonDone},
		{Error{ReasonBusy}, ReasonBusy},
		{&net.OpError{Op: "dial", Err: Error{ReasonPolicy}}, ReasonPolicy},
		{syscall.ECONNREFUSED, ReasonRefused},
		{syscall.ENETUNREACH, ReasonUnreachable},
		{syscall.EADDRNOTAVAIL, ReasonUnreachable},
		{syscall.EPERM, ReasonUnreachable},
		{syscall.ETIMEDOUT, ReasonTimeout},
		{os.ErrDeadlineExceeded, ReasonTimeout},
		{context.DeadlineExceeded, ReasonTimeout},
		{context.Canceled, ReasonReset},
		{syscall.ECONNRESET, ReasonReset},
		{syscall.EPIPE, ReasonReset},
		{net.ErrClosed, ReasonReset},
		{syscall.EMFILE, ReasonBusy},
		{&net.DNSError{IsNotFound: true}, ReasonUnresolvable},
		{&net.DNSError{}, ReasonUnresolvable},
		{&net.DNSError{IsTimeout: true}, ReasonTimeout},
		{errors.New("x"), ReasonInternal},
	} {
		if got := ReasonOf(test.err); got != test.want {
			t.Errorf("%v: %v, want %v", test.err, got, test.want)
		}
	}
	seen := make(map[string]bool)
	for r := range Reason(ReasonCount) {
		seen[r.String()] = true
	}
	if len(seen) != ReasonCount || Reason(200).String() != "internal" {
		t.Error("reasons share names")
	}
}
