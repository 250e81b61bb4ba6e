// SPDX-License-Identifier: BSD-3-Clause

package dns

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/net/dns/dnsmessage"

	"chive/client/proxy"
	"chive/internal/testutil"
)

// TestLargeAnswersGoByTCP: 512 bytes, or what EDNS says, or TCP.
func TestLargeAnswersGoByTCP(t *testing.T) {
	s := start(t, Config{Resolver: &resolver{}})
	if got := text(s.query(t, "many.test.", dnsmessage.TypeA)); got != "Success cut" {
		t.Error(got)
	}
	send(t, s.udp, ask(t, 7, "many.test.", dnsmessage.TypeA, withEDNS(4096, 0)))
	if m := receive(t, s.udp); len(m.Answers) != 40 || len(m.Additionals) != 1 {
		t.Error(text(m))
	}
	c := dialTCP(t, s.tcp)
	c.send(ask(t, 7, "many.test.", dnsmessage.TypeA))
	if m := c.receive(); len(m.Answers) != 40 {
		t.Error(text(m))
	}
}

// TestBadMessages: dropped, or answered; the next query is served.
func TestBadMessages(t *testing.T) {
	s := start(t, Config{Resolver: &resolver{}})
	long := ask(t, 7, "both.test.", dnsmessage.TypeA, func(m *dnsmessage.Message) {
		for range 20 {
			withEDNS(512, 0)(m)
		}
	})
	if len(long) <= maxQuery {
		t.Fatal("not long")
	}
	for _, b := range [][]byte{{}, {1}, make([]byte, 11), long, ask(t, 7, "a.test.", dnsmessage.TypeA, func(m *dnsmessage.Message) { m.Response = true })} {
		send(t, s.udp, b)
	}
	send(t, s.udp, make([]byte, 12))
	if got := text(receive(t, s.udp)); got != "FormatError" {
		t.Error(got)
	}
	send(t, s.udp, ask(t, 7, "a.test.", dnsmessage.TypeA, func(m *dnsmessage.Message) { m.Questions[0].Class = dnsmessage.ClassCHAOS }))
	if got := text(receive(t, s.udp)); got != "NotImplemented" {
		t.Error(got)
	}
	if got := text(s.query(t, "six.test.", dnsmessage.TypeAAAA)); got != "Success 2001:db8::2" {
		t.Error(got)
	}
	if c := s.Counts(); c.Malformed != 6 {
		t.Errorf("%+v", c)
	}
}

// TestStreamsAreFramed: queries in pieces, several on one connection, in order;
// frames that are no query end it.
func TestStreamsAreFramed(t *testing.T) {
	s := start(t, Config{Resolver: &resolver{}})
	c := dialTCP(t, s.tcp)
	for _, b := range framed(ask(t, 1, "both.test.", dnsmessage.TypeA)) {
		send(t, c, []byte{b})
	}
	send(t, c, append(framed(ask(t, 2, "x.onion.", dnsmessage.TypeA)), framed(ask(t, 3, "six.test.", dnsmessage.TypeAAAA))...))
	for i, want := range []string{"Success 203.0.113.5 203.0.113.6", "NameError", "Success 2001:db8::2"} {
		if m := c.receive(); text(m) != want || int(m.ID) != i+1 {
			t.Errorf("%d: %s", m.ID, text(m))
		}
	}
	whole := framed(ask(t, 1, "both.test.", dnsmessage.TypeA))
	for cut := range whole {
		c := dialTCP(t, s.tcp)
		send(t, c, whole[:cut])
		c.Conn.(*net.TCPConn).CloseWrite()
		if b, err := io.ReadAll(c); len(b) != 0 || err != nil {
			t.Errorf("cut at %d: % x %v", cut, b, err)
		}
		c.Close()
	}
	for _, b := range [][]byte{{0, 0}, framed(make([]byte, 11)), {0x08, 0x01}, {0xFF, 0xFF}} {
		c := dialTCP(t, s.tcp)
		send(t, c, b)
		if b, err := io.ReadAll(c); len(b) != 0 || errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("% x %v", b, err)
		}
		c.Close()
	}
}

// TestSilentAndSlowStreamsAreClosed: a byte now and then does not extend the time.
func TestSilentAndSlowStreamsAreClosed(t *testing.T) {
	t.Parallel()
	r := &resolver{}
	s := start(t, Config{Resolver: r, Limits: Limits{Idle: 50 * time.Millisecond}})
	for _, first := range [][]byte{nil, {0}, {0, 30, 1}} {
		c := dialTCP(t, s.tcp)
		send(t, c, first)
		if b, err := io.ReadAll(c); len(b) != 0 || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("% x %v", b, err)
		}
	}
	c := dialTCP(t, s.tcp)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	began := time.Now()
	for range 1000 {
		<-tick.C
		if _, err := c.Write([]byte{0}); err != nil {
			break
		}
		if b := make([]byte, 1); time.Since(began) > patience/2 {
			t.Fatalf("a slow query was kept % x", b)
		}
	}
}

func waitAsked(t *testing.T, r *resolver, n int) {
	t.Helper()
	for end := time.Now().Add(patience); len(r.all()) < n; runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("%d of %d asked", len(r.all()), n)
		}
	}
}

// TestLookupsAtTheirBound: cap look-ups wait; one more gets SERVFAIL at once by
// UDP and TCP, what needs nobody is answered, and places come back.
func TestLookupsAtTheirBound(t *testing.T) {
	const limit = 3
	r := &resolver{hold: make(chan struct{})}
	s := start(t, Config{Resolver: r, Limits: Limits{Lookups: limit}})
	for i, name := range []string{"six.test.", "both.test.", "many.test."} {
		send(t, s.udp, ask(t, uint16(i), name, dnsmessage.TypeAAAA))
	}
	waitAsked(t, r, limit)
	send(t, s.udp, ask(t, 0, "six.test.", dnsmessage.TypeAAAA)) // a repetition: its answer is on the way
	send(t, s.udp, ask(t, 9, "six.test.", dnsmessage.TypeAAAA))
	if m := receive(t, s.udp); text(m) != "ServerFailure" || m.ID != 9 {
		t.Error(text(m))
	}
	c := dialTCP(t, s.tcp)
	c.send(ask(t, 9, "six.test.", dnsmessage.TypeAAAA))
	if m := c.receive(); text(m) != "ServerFailure" {
		t.Error(text(m))
	}
	if m := s.query(t, "localhost.", dnsmessage.TypeA); text(m) != "Success 127.0.0.1" {
		t.Error(text(m))
	}
	close(r.hold)
	seen := map[uint16]bool{}
	for range limit {
		m := receive(t, s.udp)
		if seen[m.ID] = true; m.RCode != dnsmessage.RCodeSuccess {
			t.Error(text(m))
		}
	}
	if m := s.query(t, "six.test.", dnsmessage.TypeAAAA); text(m) != "Success 2001:db8::2" || len(seen) != limit || len(r.all()) != limit+1 {
		t.Errorf("%s, %d answers, %d asked", text(m), len(seen), len(r.all()))
	}
	if c := s.Counts(); c.Busy != 2 {
		t.Errorf("%+v", c)
	}
}

// TestBothFamiliesShareALookup while it is under way, for one key only; a look-up
// that ends without an answer ends for all.
func TestBothFamiliesShareALookup(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		r := &resolver{hold: make(chan struct{})}
		s, err := New(Config{Resolver: r})
		if err != nil {
			t.Fatal(err)
		}
		one, two := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2")
		var tasks sync.WaitGroup
		results := make([]string, 4)
		look := func(i int, client netip.Addr, name string, kind dnsmessage.Type) {
			tasks.Go(func() {
				defer s.recovered()
				code, records := s.lookUp(t.Context(), client, task{name: name, kind: kind})
				results[i] = fmt.Sprint(code, len(records))
			})
			synctest.Wait()
		}
		look(0, one, "both.test", dnsmessage.TypeA)
		look(1, one, "both.test", dnsmessage.TypeAAAA)
		look(2, two, "both.test", dnsmessage.TypeA)
		if got := r.all(); len(got) != 2 || len(r.keys) != 2 || len(s.flights) != 2 {
			t.Errorf("%v asked", got)
		}
		close(r.hold)
		tasks.Wait()
		look(3, one, "both.test", dnsmessage.TypeAAAA) // nothing was kept
		if got := strings.Join(results, " "); got != "RCodeSuccess 2 RCodeSuccess 1 RCodeSuccess 2 RCodeSuccess 1" || len(r.all()) != 3 || len(s.flights) != 0 || s.Counts().Names != 3 {
			t.Errorf("%s, %d asked", got, len(r.all()))
		}
		r.hold = make(chan struct{})
		look(0, one, "boom.test", dnsmessage.TypeA)
		look(1, one, "boom.test", dnsmessage.TypeA)
		close(r.hold)
		tasks.Wait()
		if results[1] != "RCodeServerFailure 0" || s.Counts().Panics != 1 || len(s.flights) != 0 {
			t.Errorf("%s", results[1])
		}
	})
}

// TestConnectionsAtTheirBound: cap, and one more that waits.
func TestConnectionsAtTheirBound(t *testing.T) {
	const limit = 2
	s := start(t, Config{Resolver: &resolver{}, Limits: Limits{Connections: limit}})
	var open []stream
	for range limit {
		c := dialTCP(t, s.tcp)
		c.send(ask(t, 1, "localhost.", dnsmessage.TypeA))
		c.receive()
		open = append(open, c)
	}
	late := dialTCP(t, s.tcp)
	late.send(ask(t, 1, "localhost.", dnsmessage.TypeA))
	late.SetReadDeadline(time.Now().Add(30 * time.Millisecond))
	if n, _ := late.Read(make([]byte, 1)); n != 0 {
		t.Error("served beyond the cap")
	}
	late.SetReadDeadline(time.Now().Add(patience))
	open[0].Close()
	late.receive()
}

// TestLookupsEndInTime with SERVFAIL.
func TestLookupsEndInTime(t *testing.T) {
	r := &resolver{hold: make(chan struct{})}
	s := start(t, Config{Resolver: r, Limits: Limits{LookupTimeout: 20 * time.Millisecond}})
	if got := text(s.query(t, "six.test.", dnsmessage.TypeAAAA)); got != "ServerFailure" {
		t.Error(got)
	}
}

// TestStopEndsEverything: look-ups under way by both, and an idle connection.
func TestStopEndsEverything(t *testing.T) {
	r := &resolver{hold: make(chan struct{})}
	s := start(t, Config{Resolver: r}) // its cleanup waits for Serve
	send(t, s.udp, ask(t, 1, "six.test.", dnsmessage.TypeAAAA))
	dialTCP(t, s.tcp).send(ask(t, 1, "both.test.", dnsmessage.TypeAAAA))
	dialTCP(t, s.tcp)
	waitAsked(t, r, 2)
}

func TestDefaultLimitsAreOn(t *testing.T) {
	s, err := New(Config{Resolver: &resolver{}})
	if err != nil || s.limits != (Limits{512, 64, 30 * time.Second, 15 * time.Second}) || cap(s.lookups) != 512 {
		t.Errorf("%+v %v", s.limits, err)
	}
	for _, c := range []Config{{}, {Resolver: &resolver{}, Limits: Limits{Lookups: -1}}, {Resolver: &resolver{}, Limits: Limits{Idle: -1}}} {
		if _, err := New(c); err != ErrConfig {
			t.Errorf("%v", err)
		}
	}
}

// TestSocketsAreJudged: none, one of them, remote ones, closed ones.
func TestSocketsAreJudged(t *testing.T) {
	var log bytes.Buffer
	s, err := New(Config{Resolver: &resolver{}})
	if err != nil {
		t.Fatal(err)
	}
	open, err := New(Config{Resolver: &resolver{}, AllowRemote: true, Log: zerolog.New(&log)})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(t.Context(), nil, nil); err != ErrSocket {
		t.Error(err)
	}
	packets := func() net.PacketConn {
		pc, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		return pc
	}
	pc := packets()
	if err := s.Serve(t.Context(), anywhere{pc}, nil); err != ErrRemote || pc.SetDeadline(time.Time{}) == nil {
		t.Errorf("%v, or left open", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := open.Serve(ended, anywhere{packets()}, nil); err != nil || strings.Count(log.String(), "remote_listener") != 1 {
		t.Errorf("%v: %s", err, log.String())
	}
	pc = packets()
	pc.Close()
	if err := s.Serve(t.Context(), pc, nil); err != ErrClosed {
		t.Error(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := s.Serve(t.Context(), packets(), l); err != ErrClosed {
		t.Error(err)
	}
}

type anywhere struct{ net.PacketConn }

func (anywhere) LocalAddr() net.Addr { return &net.UDPAddr{IP: net.IPv4zero, Port: 9253} }

// TestUnixSocketServes frames as TCP does; its programs are one client.
func TestUnixSocketServes(t *testing.T) {
	r := &resolver{}
	s, err := New(Config{Name: "dns", Resolver: r})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "dns.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, nil, l) }()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	u := stream{c, t}
	u.send(ask(t, 1, "six.test.", dnsmessage.TypeAAAA))
	if got := text(u.receive()); got != "Success 2001:db8::2" || !r.keys[proxy.ListenerKey("dns", netip.Addr{})] {
		t.Error(got)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// TestLogSaysNothingOfQueries: a fault of ours is counted and named by its place
// only, ends one query, and gives its place back (LOG-1, LOG-7).
func TestLogSaysNothingOfQueries(t *testing.T) {
	var log lockedBuffer
	s := start(t, Config{Resolver: &resolver{}, Limits: Limits{Lookups: 1}, Log: zerolog.New(&log).Level(zerolog.TraceLevel)})
	send(t, s.udp, ask(t, 1, "boom.test.", dnsmessage.TypeA))
	for end := time.Now().Add(patience); len(s.lookups) > 0 || s.Counts().Panics == 0; runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatal("place not given back")
		}
	}
	c := dialTCP(t, s.tcp)
	c.send(ask(t, 1, "boom.test.", dnsmessage.TypeA))
	if b, _ := io.ReadAll(c); len(b) != 0 {
		t.Errorf("% x", b)
	}
	if got := text(s.query(t, "six.test.", dnsmessage.TypeAAAA)); got != "Success 2001:db8::2" {
		t.Error(got)
	}
	out := log.String()
	if s.Counts().Panics != 2 || strings.Count(out, "\n") != 1 || !strings.Contains(out, "Resolve") || strings.Contains(out, "secret") || strings.Contains(out, "test.") || strings.Contains(out, "127.") {
		t.Errorf("%d: %s", s.Counts().Panics, out)
	}
}

// TestGoResolver drives the standard library's stub against the port, by UDP and,
// for the large answer, TCP.
func TestGoResolver(t *testing.T) {
	s := start(t, Config{Resolver: &resolver{}})
	std := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		to := s.udp.RemoteAddr().String()
		if strings.HasPrefix(network, "tcp") {
			to = s.tcp
		}
		return new(net.Dialer).DialContext(ctx, network, to)
	}}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if addrs, err := std.LookupHost(ctx, "both.test."); err != nil || len(addrs) != 3 {
		t.Errorf("%v %v", addrs, err)
	}
	if addrs, err := std.LookupNetIP(ctx, "ip4", "many.test."); err != nil || len(addrs) != 40 {
		t.Errorf("%d %v", len(addrs), err)
	}
	if names, err := std.LookupAddr(ctx, "203.0.113.5"); err != nil || len(names) != 2 {
		t.Errorf("%v %v", names, err)
	}
	var failed *net.DNSError
	if _, err := std.LookupHost(ctx, "intranet."); !errors.As(err, &failed) || !failed.IsNotFound {
		t.Errorf("%v", err)
	}
}
