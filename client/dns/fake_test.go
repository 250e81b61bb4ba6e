// SPDX-License-Identifier: BSD-3-Clause

package dns

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/net/dns/dnsmessage"

	"chive/client/proxy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 10 * time.Second // no honest step takes this long

type reason string

func (r reason) Error() string  { return "test: " + string(r) }
func (r reason) Reason() string { return string(r) }

// resolver answers from a table and notes what it was asked.
type resolver struct {
	mu    sync.Mutex
	asked []string
	keys  map[proxy.Isolation]bool
	hold  chan struct{} // calls wait for it
}

func (r *resolver) note(ctx context.Context, iso proxy.Isolation, what string) error {
	r.mu.Lock()
	r.asked = append(r.asked, what)
	if r.keys == nil {
		r.keys = map[proxy.Isolation]bool{}
	}
	r.keys[iso] = true
	hold := r.hold
	r.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (r *resolver) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.asked...)
}

func (r *resolver) Resolve(ctx context.Context, iso proxy.Isolation, name string) (proxy.Answer, error) {
	if err := r.note(ctx, iso, name); err != nil {
		return proxy.Answer{}, err
	}
	addrs := func(texts ...string) (proxy.Answer, error) {
		a := proxy.Answer{TTL: time.Hour}
		for _, text := range texts {
			a.Addrs = append(a.Addrs, netip.MustParseAddr(text))
		}
		return a, nil
	}
	switch name {
	case "both.test":
		return addrs("2001:db8::1", "203.0.113.5", "203.0.113.5", "::ffff:203.0.113.6")
	case "six.test":
		return addrs("2001:db8::2")
	case "private.test":
		return addrs("10.0.0.1", "127.0.0.1", "::1", "198.18.0.5")
	case "many.test":
		a, _ := addrs()
		for i := range 40 {
			a.Addrs = append(a.Addrs, netip.AddrFrom4([4]byte{203, 0, 113, byte(i)}))
		}
		return a, nil
	case "down.test":
		return addrs2(reason("network_down"))
	case "slow.test":
		return addrs2(context.DeadlineExceeded)
	case "boom.test":
		panic("secret")
	}
	return addrs2(fmt.Errorf("wrapped: %w", reason("name_not_found")))
}

func addrs2(err error) (proxy.Answer, error) { return proxy.Answer{}, err }

func (r *resolver) ResolveAddr(ctx context.Context, iso proxy.Isolation, addr netip.Addr) ([]string, error) {
	if err := r.note(ctx, iso, addr.String()); err != nil {
		return nil, err
	}
	switch addr.String() {
	case "203.0.113.5":
		return []string{"bad name\x00", "Host.Example.com.", "single", "x.onion", "also.example.com"}, nil
	case "2001:db8::1":
		return []string{"six.example.com"}, nil
	}
	return []string{"..."}, nil
}

// served is a server under test.
type served struct {
	*Server
	udp *net.UDPConn // connected to it
	tcp string
}

func start(t testing.TB, cfg Config) served {
	t.Helper()
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	pc, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, pc, l) }()
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
	})
	return served{s, dialUDP(t, "127.0.0.1", pc.LocalAddr().(*net.UDPAddr)), l.Addr().String()}
}

func dialUDP(t testing.TB, from string, to *net.UDPAddr) *net.UDPConn {
	t.Helper()
	c, err := net.DialUDP("udp", &net.UDPAddr{IP: net.ParseIP(from)}, to)
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { c.Close() })
	return c
}

func send(t testing.TB, c net.Conn, b []byte) {
	t.Helper()
	if _, err := c.Write(b); err != nil {
		t.Fatal(err)
	}
}

func receive(t testing.TB, c net.Conn) dnsmessage.Message {
	t.Helper()
	b := make([]byte, 4096)
	n, err := c.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return unpack(t, b[:n])
}

func unpack(t testing.TB, b []byte) dnsmessage.Message {
	t.Helper()
	var m dnsmessage.Message
	if err := m.Unpack(b); err != nil {
		t.Fatalf("% x: %v", b, err)
	}
	return m
}

// query asks by UDP.
func (s served) query(t testing.TB, name string, kind dnsmessage.Type) dnsmessage.Message {
	t.Helper()
	send(t, s.udp, ask(t, 7, name, kind))
	return receive(t, s.udp)
}

// text is an answer in one line.
func text(m dnsmessage.Message) string {
	parts := []string{strings.TrimPrefix(m.RCode.String(), "RCode")}
	if m.Truncated {
		parts = append(parts, "cut")
	}
	for _, r := range m.Answers {
		if r.Header.TTL != 60 {
			parts = append(parts, "TTL")
		}
		switch b := r.Body.(type) {
		case *dnsmessage.AResource:
			parts = append(parts, netip.AddrFrom4(b.A).String())
		case *dnsmessage.AAAAResource:
			parts = append(parts, netip.AddrFrom16(b.AAAA).String())
		case *dnsmessage.PTRResource:
			parts = append(parts, b.PTR.String())
		}
	}
	return strings.Join(parts, " ")
}

// stream is a TCP connection of a program.
type stream struct {
	net.Conn
	t testing.TB
}

func dialTCP(t testing.TB, addr string) stream {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { c.Close() })
	return stream{c, t}
}

func framed(b []byte) []byte { return append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...) }

func (c stream) send(b []byte) { c.t.Helper(); send(c.t, c, framed(b)) }

func (c stream) receive() dnsmessage.Message {
	c.t.Helper()
	size := make([]byte, 2)
	if _, err := io.ReadFull(c, size); err != nil {
		c.t.Fatal(err)
	}
	b := make([]byte, binary.BigEndian.Uint16(size))
	if _, err := io.ReadFull(c, b); err != nil {
		c.t.Fatal(err)
	}
	return unpack(c.t, b)
}
