// SPDX-License-Identifier: BSD-3-Clause

package load

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// proxy is a SOCKS5 proxy that connects to whatever it is asked for and counts the
// keys it sees.
type proxy struct {
	ln    net.Listener
	tasks sync.WaitGroup

	mu   sync.Mutex
	keys map[string]int
}

func newProxy(t *testing.T) *proxy {
	t.Helper()
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{ln: ln, keys: make(map[string]int)}
	p.tasks.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			p.tasks.Go(func() { p.serve(conn) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		p.tasks.Wait()
	})
	return p
}

func (p *proxy) serve(conn net.Conn) {
	defer conn.Close()
	take := func(n int) []byte {
		b := make([]byte, n)
		_, _ = io.ReadFull(conn, b)
		return b
	}
	take(3)
	_, _ = conn.Write([]byte{5, 2})
	key := string(take(int(take(2)[1])))
	take(2)
	p.mu.Lock()
	p.keys[key]++
	p.mu.Unlock()
	_, _ = conn.Write([]byte{1, 0})
	request := take(10)
	to := netip.AddrPortFrom(netip.AddrFrom4([4]byte(request[4:])), uint16(request[8])<<8|uint16(request[9]))
	out, err := net.Dial("tcp4", to.String())
	if err != nil {
		_, _ = conn.Write([]byte{5, 5, 0, 1, 0, 0, 0, 0, 0, 0})
		return
	}
	defer out.Close()
	_, _ = conn.Write([]byte{5, 0, 0, 3, 2, 'h', 'i', 0, 80})
	var both sync.WaitGroup
	both.Go(func() { _, _ = io.Copy(out, conn); out.Close() })
	_, _ = io.Copy(conn, out)
	conn.Close()
	both.Wait()
}

func serve(t *testing.T) *Target {
	t.Helper()
	target, err := Serve()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(target.Close)
	return target
}

func TestLoadArrivesDirectlyAndThroughAProxy(t *testing.T) {
	target := serve(t)
	p := newProxy(t)
	for name, c := range map[string]*Client{
		"direct": {Target: target.Addr()},
		"proxy":  {Target: target.Addr(), Proxy: p.ln.Addr().String()},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			if d, err := c.FirstByte(ctx, "a"); err != nil || d <= 0 {
				t.Errorf("first byte: %v, %v", d, err)
			}
			for _, size := range []int64{0, 1, 5<<20 + 1} {
				if _, err := c.Download(ctx, "a", size, time.Minute); err != nil {
					t.Errorf("download of %d: %v", size, err)
				}
				if _, err := c.Upload(ctx, "a", size, time.Minute); err != nil {
					t.Errorf("upload of %d: %v", size, err)
				}
			}
			if _, err := c.Parallel(ctx, "p", 8, 1<<20, time.Minute); err != nil {
				t.Errorf("parallel: %v", err)
			}
			done, failed, took, err := c.Small(ctx, "s", 5, 100, time.Minute, 50)
			if err != nil || done != 50 || failed != 0 || took <= 0 {
				t.Errorf("small: %d done, %d failed, %v, %v", done, failed, took, err)
			}
			e, err := c.OpenEcho(ctx, "a")
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			for range 3 {
				if d, err := e.RoundTrip(); err != nil || d <= 0 {
					t.Errorf("round trip: %v, %v", d, err)
				}
			}
		})
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.keys) != 1+8+5 {
		t.Errorf("the proxy saw the keys %v", p.keys)
	}
}

func TestRefusalIsAnError(t *testing.T) {
	p := newProxy(t)
	c := &Client{Target: netip.MustParseAddrPort("127.0.0.1:1"), Proxy: p.ln.Addr().String()}
	if _, err := c.FirstByte(t.Context(), "a"); !errors.Is(err, ErrProxy) {
		t.Errorf("got %v", err)
	}
	if _, _, _, err := c.Small(t.Context(), "a", 2, 1, time.Minute, 4); err == nil {
		t.Error("no object arrived, and that is no error")
	}
}

func TestSizesAreBounded(t *testing.T) {
	c := &Client{Target: serve(t).Addr()}
	for _, path := range []string{"/bytes/-1", "/bytes/x", "/bytes/68719476737"} {
		conn, r, err := c.do(t.Context(), "a", "GET", path, 0, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
		if r.StatusCode != 400 {
			t.Errorf("%s answers %d", path, r.StatusCode)
		}
	}
}

func TestCancelEndsADownload(t *testing.T) {
	c := &Client{Target: serve(t).Addr()}
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() {
		_, err := c.Download(ctx, "a", MaxSize, time.Hour)
		over <- err
	}()
	cancel()
	if err := <-over; err == nil {
		t.Error("a download that was given up is complete")
	}
}

func TestEachEndsWithTheFirstError(t *testing.T) {
	broken := errors.New("broken")
	var begun atomic.Int32
	err := Each(t.Context(), 1000, 2, func(_ context.Context, i int) error {
		begun.Add(1)
		if i == 3 {
			return broken
		}
		return nil
	})
	if !errors.Is(err, broken) || begun.Load() > 10 {
		t.Errorf("%v after %d", err, begun.Load())
	}
	if err := Each(t.Context(), 0, 4, nil); err != nil {
		t.Errorf("nothing to do: %v", err)
	}
}

func TestReplyOfEveryKindIsRead(t *testing.T) {
	for _, test := range []struct {
		name  string
		bytes []byte
		bad   bool
	}{
		{"IPv4", []byte{5, 0, 0, 1, 1, 2, 3, 4, 0, 80}, false},
		{"IPv6", append([]byte{5, 0, 0, 4}, make([]byte, 18)...), false},
		{"name", []byte{5, 0, 0, 3, 1, 'x', 0, 80}, false},
		{"refused", []byte{5, 4, 0, 1, 0, 0, 0, 0, 0, 0}, true},
		{"unknown kind", []byte{5, 0, 0, 9, 0, 0, 0, 0, 0, 0}, true},
		{"cut", []byte{5, 0, 0, 1, 1, 2, 3}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := &reader{test.bytes}
			err := readReply(r)
			if (err != nil) != test.bad || err == nil && len(r.rest) != 0 {
				t.Errorf("%v, %d bytes left", err, len(r.rest))
			}
		})
	}
}

// reader gives out bytes and then ends.
type reader struct{ rest []byte }

func (r *reader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}
