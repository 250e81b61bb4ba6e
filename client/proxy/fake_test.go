// SPDX-License-Identifier: BSD-3-Clause

package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 10 * time.Second // no honest step takes this long

// far is a Dialer whose streams end at goroutines of the test.
type far struct {
	t     testing.TB
	l     net.Listener
	serve func(c *net.TCPConn) // the far side of each stream; closes it or not
	plain bool                 // hide ReadFrom and WriteTo
	fail  func(Target) error
	hold  chan struct{} // Dial waits for it

	failed      func(Refused) // nil: its streams keep no story
	resolve     func(name string) (Answer, error)
	resolveAddr func(addr netip.Addr) ([]string, error)
	openUDP     func(iso Isolation, t Target) (PacketConn, error)

	wg    sync.WaitGroup
	mu    sync.Mutex
	dials []dialled
}

type dialled struct {
	iso   Isolation
	t     Target
	early []byte
}

func newFar(t testing.TB, serve func(c *net.TCPConn)) *far {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &far{t: t, l: l, serve: serve}
	f.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			f.wg.Go(func() { defer c.Close(); f.serve(c.(*net.TCPConn)) })
		}
	})
	t.Cleanup(func() { l.Close(); f.wg.Wait() })
	return f
}

func (f *far) Dial(ctx context.Context, iso Isolation, t Target, early []byte) (Conn, error) {
	return f.dial(ctx, f.l, iso, t, early)
}

// dial opens a stream whose far side is accepted by l.
func (f *far) dial(ctx context.Context, l net.Listener, iso Isolation, t Target, early []byte) (Conn, error) {
	f.mu.Lock()
	f.dials = append(f.dials, dialled{iso, t, bytes.Clone(early)})
	hold := f.hold
	f.mu.Unlock()
	if len(early) > MaxEarly {
		return nil, errors.New("too much early data")
	}
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if f.fail != nil {
		if err := f.fail(t); err != nil {
			return nil, err
		}
	}
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		return nil, err
	}
	if _, err := c.Write(early); err != nil {
		c.Close()
		return nil, err
	}
	fc := &farConn{TCPConn: c.(*net.TCPConn), failed: f.failed}
	if f.plain {
		return plainConn{fc, fc}, nil
	}
	return fc, nil
}

func (f *far) Resolve(_ context.Context, _ Isolation, name string) (Answer, error) {
	if f.resolve == nil {
		return Answer{}, refusal(reasonNameNotFound)
	}
	return f.resolve(name)
}

func (f *far) ResolveAddr(_ context.Context, _ Isolation, addr netip.Addr) ([]string, error) {
	if f.resolveAddr == nil {
		return nil, refusal(reasonNameNotFound)
	}
	return f.resolveAddr(addr)
}

func (f *far) OpenUDP(_ context.Context, iso Isolation, t Target) (PacketConn, error) {
	if f.openUDP == nil {
		return nil, refusal(reasonExitPolicy)
	}
	return f.openUDP(iso, t)
}

func (f *far) dialled() []dialled {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]dialled(nil), f.dials...)
}

// farConn keeps Conn's contract: Close is a reset unless both directions ended.
type farConn struct {
	*net.TCPConn
	failed     func(Refused)
	eof, ended atomic.Bool
}

func (c *farConn) Read(p []byte) (int, error) {
	n, err := c.TCPConn.Read(p)
	if err == io.EOF {
		c.eof.Store(true)
	}
	return n, err
}

func (c *farConn) WriteTo(w io.Writer) (int64, error) {
	n, err := c.TCPConn.WriteTo(w)
	c.eof.Store(err == nil)
	return n, err
}

func (c *farConn) Failed(r Refused) {
	if c.failed != nil {
		c.failed(r)
	}
}

func (c *farConn) CloseWrite() error {
	c.ended.Store(true)
	return c.TCPConn.CloseWrite()
}

func (c *farConn) Close() error {
	if !c.eof.Load() || !c.ended.Load() {
		c.SetLinger(0)
	}
	return c.TCPConn.Close()
}

type plainConn struct {
	net.Conn
	w interface{ CloseWrite() error }
}

func (c plainConn) CloseWrite() error { return c.w.CloseWrite() }

// echo sends back what comes, and ends when the other side does.
func echo(c *net.TCPConn) {
	io.Copy(c, c)
	c.CloseWrite()
}

// collect hands over everything that came until the stream's end.
func collect(out chan<- []byte) func(c *net.TCPConn) {
	return func(c *net.TCPConn) {
		b, _ := io.ReadAll(c)
		out <- b
	}
}

// start serves cfg on a loopback port until the test ends, and checks that no
// fault of ours was recovered on the way.
func start(t testing.TB, cfg Config) (*Server, string) {
	t.Helper()
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Serve: %v", err)
			}
		case <-time.After(patience):
			t.Error("Serve did not end")
		}
		if n := s.Counts().Panics; n != 0 {
			t.Errorf("%d panics recovered", n)
		}
	})
	return s, l.Addr().String()
}

// program is a connection as a program has it.
type program struct {
	*net.TCPConn
	t testing.TB
}

func open(t testing.TB, addr string) program {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { c.Close() })
	return program{c.(*net.TCPConn), t}
}

func (p program) send(b []byte) {
	p.t.Helper()
	if _, err := p.Write(b); err != nil {
		p.t.Fatalf("write: %v", err)
	}
}

// expect reads exactly want.
func (p program) expect(want []byte) {
	p.t.Helper()
	got := make([]byte, len(want))
	n, err := io.ReadFull(p, got)
	if err != nil || !bytes.Equal(got, want) {
		p.t.Fatalf("got % x (%v), want % x", got[:n], err, want)
	}
}

// rest reads to the end, which must be in order.
func (p program) rest() []byte {
	p.t.Helper()
	b, err := io.ReadAll(p)
	if err != nil {
		p.t.Fatalf("after %d bytes: %v", len(b), err)
	}
	return b
}

func isReset(err error) bool { return errors.Is(err, syscall.ECONNRESET) }

// cat joins byte slices, strings and single bytes.
func cat(parts ...any) []byte {
	var b []byte
	for _, p := range parts {
		switch v := p.(type) {
		case int:
			b = append(b, byte(v))
		case string:
			b = append(b, v...)
		case []byte:
			b = append(b, v...)
		}
	}
	return b
}

func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>8)
	}
	return b
}

// needTool returns the path of a program, or skips aloud.
func needTool(t *testing.T, name string, find func(string) (string, error)) string {
	t.Helper()
	path, err := find(name)
	if err != nil {
		if os.Getenv("CHIVE_REQUIRE_TOOLS") == "1" {
			t.Fatalf("%s is not installed and CHIVE_REQUIRE_TOOLS=1", name)
		}
		t.Skipf("SKIPPED: %s is not installed; this row of product 4.7 was not checked", name)
	}
	return path
}
