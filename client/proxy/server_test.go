// SPDX-License-Identifier: BSD-3-Clause

package proxy

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

func TestConfigIsChecked(t *testing.T) {
	for _, c := range []Config{
		{}, {Dialer: &far{}, Limits: Limits{Streams: -1}}, {Dialer: &far{}, Limits: Limits{HandshakeTimeout: -1}},
	} {
		if _, err := New(c); err != ErrConfig {
			t.Errorf("%v", err)
		}
	}
}

// TestDefaultLimitsAreOn is B29 as shipped.
func TestDefaultLimitsAreOn(t *testing.T) {
	s, err := New(Config{Dialer: &far{}})
	if err != nil {
		t.Fatal(err)
	}
	l := s.limits
	if l.Handshakes != 512 || l.Streams != 4096 || l.HandshakeTimeout != 15*time.Second || l.HeaderSize != 65536 || l.UDPIdle != time.Minute {
		t.Errorf("%+v", l)
	}
	if cap(s.gate.handshakes) != 512 || cap(s.gate.places) != 4096 || maxName != 253 {
		t.Error("caps")
	}
}

// TestOnlyLoopbackUnlessTold: SOCKS-2.
func TestOnlyLoopbackUnlessTold(t *testing.T) {
	for _, allow := range []bool{false, true} {
		var log bytes.Buffer
		s, err := New(Config{Options: Options{AllowRemote: allow, Log: zerolog.New(&log)}, Dialer: &far{}})
		if err != nil {
			t.Fatal(err)
		}
		inner, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		l := anywhere{inner}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for range 2 { // the warning comes at every start
			if err := s.Serve(ctx, l); allow && err != nil || !allow && err != ErrRemote {
				t.Errorf("allowed %v: %v", allow, err)
			}
		}
		if n := strings.Count(log.String(), "remote_listener"); n != 2 && allow || n != 0 && !allow {
			t.Errorf("allowed %v: %d warnings", allow, n)
		}
		if _, err := inner.Accept(); err == nil {
			t.Error("listener left open")
		}
	}
	for a, want := range map[net.Addr]bool{
		&net.TCPAddr{IP: net.IPv6loopback}: true, &net.TCPAddr{IP: net.ParseIP("127.9.9.9")}: true,
		&net.TCPAddr{IP: net.IPv4zero}: false, &net.TCPAddr{}: false, &net.TCPAddr{IP: net.ParseIP("192.0.2.1")}: false,
		&net.UnixAddr{Name: "x", Net: "unix"}: true,
	} {
		if isLocal(a) != want {
			t.Errorf("%v: local %v", a, !want)
		}
	}
}

type anywhere struct{ net.Listener }

func (anywhere) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4zero, Port: 9250} }

func TestUnixSocketServes(t *testing.T) {
	s, err := New(Config{Options: Options{Name: "main"}, Dialer: newFar(t, echo)})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "socks.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	c.Write(cat(4, 1, 0, 80, 0, 0, 0, 1, 0, "example.com", 0, "hello"))
	c.(*net.UnixConn).CloseWrite()
	if b, err := io.ReadAll(c); err != nil || string(b[8:]) != "hello" {
		t.Errorf("%q %v", b, err)
	}
	// No address to bind a UDP socket on.
	c2, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c2.Close()
	c2.Write(cat(5, 1, 0, 5, 3, 0, 1, 0, 0, 0, 0, 0, 0))
	if b, _ := io.ReadAll(c2); len(b) != 12 || b[3] != 7 {
		t.Errorf("% x", b)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestListenerClosedByOthersIsReported(t *testing.T) {
	s, err := New(Config{Dialer: &far{}})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := s.Serve(t.Context(), l); err != ErrAccept {
		t.Error(err)
	}
}

// TestAcceptTroubleIsWaitedOut: errors of Accept pause, and do not end, Serve.
func TestAcceptTroubleIsWaitedOut(t *testing.T) {
	s, err := New(Config{Dialer: newFar(t, echo)})
	if err != nil {
		t.Fatal(err)
	}
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, &flaky{Listener: inner, bad: 3}) }()
	through(t, inner.Addr().String())
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

type flaky struct {
	net.Listener
	bad int
}

func (f *flaky) Accept() (net.Conn, error) {
	if f.bad > 0 {
		f.bad--
		return nil, os.ErrDeadlineExceeded
	}
	return f.Listener.Accept()
}

// TestSilentAndSlowHandshakesAreClosed is SOCKS-3.
func TestSilentAndSlowHandshakesAreClosed(t *testing.T) {
	t.Parallel()
	f := newFar(t, echo)
	_, addr := start(t, Config{Dialer: f, Limits: Limits{HandshakeTimeout: 50 * time.Millisecond}})
	for name, first := range map[string][]byte{
		"silent": nil, "socks4": {4, 1}, "socks5": {5, 1}, "method": {5, 1, 0}, "http": []byte("GET http://"),
	} {
		p := open(t, addr)
		p.send(first)
		began := time.Now()
		b, err := io.ReadAll(p) // the test's patience is an error here
		if err != nil && !isReset(err) || len(b) > 2 || time.Since(began) > patience/2 {
			t.Errorf("%s: % x %v", name, b, err)
		}
	}
	// One byte now and then does not extend the time.
	p := open(t, addr)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	began := time.Now()
	for range 1000 {
		<-tick.C
		if _, err := p.Write([]byte("G")); err != nil {
			break
		}
	}
	if time.Since(began) > time.Second {
		t.Error("a slow handshake was kept")
	}
	if len(f.dialled()) != 0 {
		t.Error("dialled")
	}
	// A stream that has begun has no deadline of the handshake's.
	p = through(t, addr)
	<-time.After(80 * time.Millisecond)
	p.send([]byte("still"))
	p.expect([]byte("still"))
}

// TestHandshakeCapPausesAccepting: cap-1, cap, cap+1 (SOCKS-3, B29).
func TestHandshakeCapPausesAccepting(t *testing.T) {
	const limit = 3
	s, addr := start(t, Config{Dialer: newFar(t, echo), Limits: Limits{Handshakes: limit}})
	var silent []program
	for range limit - 1 {
		silent = append(silent, open(t, addr))
	}
	through(t, addr) // the last slot, given back with the request
	p := through(t, addr)
	silent = append(silent, open(t, addr))
	waitFull(t, s.gate.handshakes)
	late := open(t, addr)
	late.send([]byte{5, 1, 0})
	late.SetReadDeadline(time.Now().Add(30 * time.Millisecond))
	if n, _ := late.Read(make([]byte, 1)); n != 0 {
		t.Error("served beyond the cap")
	}
	p.send([]byte("x")) // streams do not wait
	p.expect([]byte("x"))
	silent[0].Close()
	late.SetReadDeadline(time.Now().Add(patience))
	late.expect([]byte{5, 0})
}

// TestStreamCapPausesAccepting: cap-1, cap, cap+1 (SOCKS-3, B29).
func TestStreamCapPausesAccepting(t *testing.T) {
	const limit = 3
	s, addr := start(t, Config{Dialer: newFar(t, echo), Limits: Limits{Streams: limit}})
	var streams []program
	for range limit {
		streams = append(streams, through(t, addr))
	}
	waitFull(t, s.gate.places)
	late := open(t, addr)
	late.send([]byte{5, 1, 0})
	late.SetReadDeadline(time.Now().Add(30 * time.Millisecond))
	if n, _ := late.Read(make([]byte, 1)); n != 0 {
		t.Error("served beyond the cap")
	}
	streams[1].Close()
	late.SetReadDeadline(time.Now().Add(patience))
	late.expect([]byte{5, 0})
}

// TestSharedGateHoldsForAllListeners: two listeners, one cap.
func TestSharedGateHoldsForAllListeners(t *testing.T) {
	gate := NewGate(8, 1)
	f := newFar(t, echo)
	_, one := start(t, Config{Dialer: f, Gate: gate})
	_, two := start(t, Config{Dialer: f, Gate: gate})
	p := through(t, one)
	late := open(t, two)
	late.send([]byte{5, 1, 0})
	late.SetReadDeadline(time.Now().Add(30 * time.Millisecond))
	if n, _ := late.Read(make([]byte, 1)); n != 0 {
		t.Error("served beyond the cap")
	}
	p.Close()
	late.SetReadDeadline(time.Now().Add(patience))
	late.expect([]byte{5, 0})
}

func waitFull(t *testing.T, c chan struct{}) {
	t.Helper()
	for end := time.Now().Add(patience); len(c) < cap(c); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatal("cap not reached")
		}
	}
}

// TestTenThousandConnectionsLeaveNothing: opened, used and closed by eight
// programs in a bounded loop.
func TestTenThousandConnectionsLeaveNothing(t *testing.T) {
	const workers, each = 8, 1250
	f := newFar(t, echo)
	s, addr := start(t, Config{Dialer: f})
	through(t, addr).Close()
	before := runtime.NumGoroutine()
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range each {
				c, err := net.Dial("tcp", addr)
				if err != nil {
					t.Error(err)
					return
				}
				c.(*net.TCPConn).SetLinger(0) // no port is kept busy
				switch (w + i) % 25 {
				case 0:
					c.Write(cat(4, 1, 0, 80, 0, 0, 0, 1, 0, "example.com", 0, "x"))
					io.ReadFull(c, make([]byte, 9))
				case 1, 2, 3, 4:
					c.Write([]byte{5, 1, 0})
					io.ReadFull(c, make([]byte, 2))
				case 5, 6, 7:
					c.Write([]byte{0x16})
					c.Read(make([]byte, 1))
				case 8:
					c.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
					c.Read(make([]byte, 1))
				}
				c.Close()
			}
		})
	}
	wg.Wait()
	for end := time.Now().Add(patience); len(s.gate.places) > 0 || runtime.NumGoroutine() > before+workers; runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("%d connections and %d goroutines left, %d before", len(s.gate.places), runtime.NumGoroutine(), before)
		}
	}
	if n := s.Counts().Accepted; n < workers*each*9/10 {
		t.Errorf("%d accepted", n)
	}
}

// TestStopEndsEverything: open handshakes, dials under way, streams, HTTP.
func TestStopEndsEverything(t *testing.T) {
	f := newFar(t, func(c *net.TCPConn) { io.Copy(io.Discard, c) })
	s, err := New(Config{Dialer: f})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	addr := l.Addr().String()
	stream := through(t, addr)
	open(t, addr)
	open(t, addr).send([]byte("POST http://a.test/ HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf"))
	waitDials(t, f, 2)
	f.mu.Lock()
	f.hold = make(chan struct{})
	f.mu.Unlock()
	open(t, addr).send(cat(4, 1, 0, 80, 0, 0, 0, 1, 0, "example.com", 0))
	waitDials(t, f, 3)
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Fatal("Serve did not end")
	}
	if _, err := io.ReadAll(stream); !isReset(err) {
		t.Errorf("open stream ended with %v", err)
	}
}

func waitDials(t *testing.T, f *far, n int) {
	t.Helper()
	for end := time.Now().Add(patience); len(f.dialled()) < n; runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatal("no dial")
		}
	}
}

// TestOurFaultEndsOneConnectionOnly: a panic in the Dialer is counted and named
// by its place, and says nothing of its value.
func TestOurFaultEndsOneConnectionOnly(t *testing.T) {
	var log lockedBuffer
	f := newFar(t, echo)
	f.fail = func(to Target) error {
		if to.Host == "boom.test" {
			panic("secret " + to.Host)
		}
		return nil
	}
	s, err := New(Config{Options: Options{Log: zerolog.New(&log)}, Dialer: f})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	p := open(t, l.Addr().String())
	p.send(cat(4, 1, 0, 80, 0, 0, 0, 1, 0, "boom.test", 0))
	if _, err := io.ReadAll(p); !isReset(err) {
		t.Errorf("%v", err)
	}
	through(t, l.Addr().String())
	cancel()
	<-done
	if s.Counts().Panics != 1 || !strings.Contains(log.String(), `"panic"`) || !strings.Contains(log.String(), "TestOurFault") ||
		strings.Contains(log.String(), "secret") || strings.Contains(log.String(), "boom.test") {
		t.Errorf("%d, %s", s.Counts().Panics, log.String())
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

// TestLogSaysNothingOfPrograms: every protocol, good and bad, at debug; none of
// what was said may come out, and the hint at a leak comes once (SOCKS-13, LOG-1).
func TestLogSaysNothingOfPrograms(t *testing.T) {
	var log lockedBuffer
	f := newFar(t, echo)
	f.fail = func(to Target) error {
		if to.Host == "canary-name.test" {
			return refusal("canary reason")
		}
		return nil
	}
	_, addr := start(t, Config{Options: Options{Name: "canary-listener", Log: zerolog.New(&log).Level(zerolog.TraceLevel)}, Dialer: f})
	for _, send := range [][]byte{
		cat(4, 1, 0x30, 0x39, 203, 0, 113, 77, "canary-user", 0, "canary-data"),
		cat(4, 1, 0x30, 0x39, 0, 0, 0, 1, "canary-user", 0, "canary-name.test", 0),
		cat(5, 1, 2, 1, 11, "canary-user", 11, "canary-pass", 5, 1, 0, 3, 16, "canary-name.test", 0x30, 0x39),
		cat(5, 1, 0, 5, 1, 0, 1, 203, 0, 113, 78, 0x30, 0x39),
		[]byte("GET http://canary-name.test:12345/canary-path HTTP/1.1\r\nHost: x\r\nCookie: canary-cookie\r\n\r\n"),
		[]byte("CONNECT 203.0.113.79:12345 HTTP/1.1\r\nProxy-Authorization: Basic Y2FuYXJ5\r\n\r\n"),
		[]byte("Canary / HTTP/1.1\r\n\r\n"),
	} {
		p := open(t, addr)
		p.send(send)
		p.CloseWrite()
		b, _ := io.ReadAll(p)
		if bytes.Contains(b, []byte("canary reason")) {
			t.Error("a foreign reason reached the program")
		}
	}
	out := log.String()
	for _, word := range []string{"canary", "203.0.113", "12345", "127.0.0.1", "Y2FuYXJ5"} {
		if strings.Contains(out, word) {
			t.Errorf("%q in the log: %s", word, out)
		}
	}
	if strings.Count(out, "\n") != 1 || !strings.Contains(out, `"event":"bare_address"`) {
		t.Errorf("log: %s", out)
	}
}

// TestTheLeakLineNamesItsListener: once an hour for each, without the address (SOCKS-13).
func TestTheLeakLineNamesItsListener(t *testing.T) {
	var log bytes.Buffer
	for _, name := range []string{"127.0.0.1:9250", "mail=127.0.0.1:9260", "chat=unix:/run/alice/chat.sock"} {
		bare := 0
		s := admitServer(t, Options{Name: name, Log: zerolog.New(&log)})
		s.cfg.Bare = func() { bare++ }
		for range 3 {
			_, _ = s.admit(netip.Addr{}, address{ip: netip.MustParseAddr("203.0.113.5"), port: 80})
		}
		if bare != 3 {
			t.Errorf("%s: told of %d bare addresses", name, bare)
		}
	}
	out := log.String()
	for _, want := range []string{`"listener":"127.0.0.1:9250"`, `"listener":"mail=127.0.0.1:9260"`, `"listener":"chat=unix"`} {
		if strings.Count(out, want) != 1 {
			t.Errorf("not one line with %s: %s", want, out)
		}
	}
	if strings.Contains(out, "203.0.113") || strings.Contains(out, "alice") {
		t.Errorf("log: %s", out)
	}
}

// ending is a listener that has no more to give once it is told so.
type ending struct {
	net.Listener
	over chan struct{}
}

func (l ending) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	select {
	case <-l.over:
		return nil, io.EOF
	default:
		return c, err
	}
}

// TestAListenerThatGivesNoMoreKeepsItsConnections (CFG-4): Serve returns when the last of
// them has ended.
func TestAListenerThatGivesNoMoreKeepsItsConnections(t *testing.T) {
	s, err := New(Config{Dialer: newFar(t, echo)})
	if err != nil {
		t.Fatal(err)
	}
	real, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := ending{real, make(chan struct{})}
	served := make(chan error, 1)
	go func() { served <- s.Serve(t.Context(), l) }()
	c, err := net.Dial("tcp", real.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	answer := make([]byte, 2)
	if _, err := c.Write([]byte{5, 1, 0}); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, answer); err != nil {
		t.Fatal(err)
	}
	close(l.over)
	_ = real.Close() // wakes Accept
	// The connection is served still: a command that there is not is answered as such.
	if _, err := c.Write([]byte{5, 9, 0, 1, 1, 2, 3, 4, 0, 80}); err != nil {
		t.Fatal(err)
	}
	rest := make([]byte, 10)
	if _, err := io.ReadFull(c, rest); err != nil || rest[1] != 7 {
		t.Errorf("the connection got %x, %v", rest, err)
	}
	_ = c.Close()
	if err := <-served; err != nil {
		t.Error(err)
	}
}
