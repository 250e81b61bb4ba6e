// SPDX-License-Identifier: BSD-3-Clause

package front

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/net/dns/dnsmessage"

	"chive/client/proxy"
	"chive/internal/socks"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is the running client: every stream and datagram comes back as it went.
type world struct {
	mu   sync.Mutex
	keys []proxy.Isolation
}

type reason string

func (r reason) Error() string  { return string(r) }
func (r reason) Reason() string { return string(r) }

func (w *world) saw(iso proxy.Isolation) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.keys = append(w.keys, iso)
}

func (w *world) distinct() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	keys := slices.Clone(w.keys)
	slices.Sort(keys)
	return len(slices.Compact(keys))
}

func (w *world) Dial(_ context.Context, iso proxy.Isolation, t proxy.Target, early []byte) (proxy.Conn, error) {
	w.saw(iso)
	if t.Host != "echo.test" {
		return nil, reason("refused_by_target")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer l.Close()
	go func() {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			return
		}
		defer c.Close()
		_, _ = io.Copy(c, c)
	}()
	c, err := l.Accept()
	if err == nil {
		_, err = c.Write(early)
	}
	if err != nil {
		return nil, err
	}
	return c.(*net.TCPConn), nil
}

func (w *world) Resolve(_ context.Context, iso proxy.Isolation, name string) (proxy.Answer, error) {
	w.saw(iso)
	switch name {
	case "echo.test":
		return proxy.Answer{Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.7")}, TTL: time.Minute}, nil
	case "six.test":
		return proxy.Answer{Addrs: []netip.Addr{netip.MustParseAddr("2001:db8::7")}, TTL: time.Minute}, nil
	case "down.test":
		return proxy.Answer{}, reason("network_down")
	}
	return proxy.Answer{}, reason("name_not_found")
}

func (w *world) ResolveAddr(_ context.Context, _ proxy.Isolation, addr netip.Addr) ([]string, error) {
	if addr == netip.MustParseAddr("192.0.2.7") || addr == netip.MustParseAddr("2001:db8::7") {
		return []string{"echo.test"}, nil
	}
	return nil, reason("name_not_found")
}

func (w *world) OpenUDP(context.Context, proxy.Isolation, proxy.Target) (proxy.PacketConn, error) {
	return &packets{back: make(chan packet, 16), over: make(chan struct{})}, nil
}

type packet struct {
	b []byte
	t proxy.Target
}

type packets struct {
	back chan packet
	over chan struct{}
	once sync.Once
}

func (p *packets) ReadFrom(b []byte) (int, proxy.Target, error) {
	select {
	case d := <-p.back:
		return copy(b, d.b), d.t, nil
	case <-p.over:
		return 0, proxy.Target{}, net.ErrClosed
	}
}

func (p *packets) WriteTo(b []byte, t proxy.Target) error {
	p.back <- packet{bytes.Clone(b), proxy.Target{Host: "192.0.2.7", Port: t.Port}}
	return nil
}

func (p *packets) Close() error { p.once.Do(func() { close(p.over) }); return nil }

func listenPacket(addr netip.Addr) (net.PacketConn, error) {
	return net.ListenPacket("udp", netip.AddrPortFrom(addr, 0).String())
}

// inside is a front door before a running client, without a namespace.
type inside struct {
	w          *world
	proxy, dns string
	stopClient func()
}

func begin(t *testing.T) *inside {
	t.Helper()
	w := &world{}
	listen := func() net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	client, door, names := listen(), listen(), listen()
	s, err := proxy.New(proxy.Config{Options: proxy.Options{Testnet: true}, Dialer: w, ListenPacket: listenPacket})
	if err != nil {
		t.Fatal(err)
	}
	in := &inside{w: w, proxy: door.Addr().String(), dns: names.Addr().String()}
	packets, err := net.ListenPacket("udp", in.dns)
	if err != nil {
		t.Fatal(err)
	}
	pool := make([]net.PacketConn, 2)
	for i := range pool {
		if pool[i], err = net.ListenPacket("udp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
	}
	var tasks sync.WaitGroup
	clientCtx, stopClient := context.WithCancel(context.Background())
	ctx, stop := context.WithCancel(context.Background())
	in.stopClient = stopClient
	tasks.Go(func() { _ = s.Serve(clientCtx, client) })
	f := New(Config{Network: "tcp", Address: client.Addr().String(), Key: "run 1", Proxy: door, DNS: names, DNSPackets: packets, Packets: pool})
	tasks.Go(func() {
		if err := f.Serve(ctx); err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	t.Cleanup(func() {
		stop()
		stopClient()
		tasks.Wait()
	})
	return in
}

func (in *inside) dial(t *testing.T) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", in.proxy)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	return c
}

func TestStreamsPassBothWaysAndEndInOrder(t *testing.T) {
	in := begin(t)
	c := in.dial(t)
	if err := socks.Connect(t.Context(), c, socks.Credentials{}, "echo.test", 7, []byte("early ")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, "late"); err != nil {
		t.Fatal(err)
	}
	_ = c.(*net.TCPConn).CloseWrite()
	if got, err := io.ReadAll(c); err != nil || string(got) != "early late" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestRefusalsPass(t *testing.T) {
	in := begin(t)
	err := socks.Connect(t.Context(), in.dial(t), socks.Credentials{}, "other.test", 7, nil)
	var refused *socks.Refused
	if !errors.As(err, &refused) || refused.Code != 5 {
		t.Errorf("got %v", err)
	}
	in.stopClient()
	for range 100 { // until its port is closed
		err = socks.Connect(t.Context(), in.dial(t), socks.Credentials{}, "echo.test", 7, nil)
		if errors.As(err, &refused) && refused.Code == 3 {
			return
		}
	}
	t.Errorf("with the client gone: %v", err)
}

// TestCredentialsInsideKeepApart: programs' own, and none, are three keys.
func TestCredentialsInsideKeepApart(t *testing.T) {
	in := begin(t)
	for _, cred := range []socks.Credentials{{}, {User: "a", Password: "1"}, {User: "a", Password: "2"}, {User: "a", Password: "1"}} {
		if err := socks.Connect(t.Context(), in.dial(t), cred, "echo.test", 7, nil); err != nil {
			t.Fatal(err)
		}
	}
	if n := in.w.distinct(); n != 3 {
		t.Errorf("%d keys, want 3", n)
	}
}

func TestDatagramsPassAndSocketsAreLentAgain(t *testing.T) {
	in := begin(t)
	for range 5 { // more than there are sockets
		c := in.dial(t)
		var at netip.AddrPort
		var err error
		for range 200 { // the one before is given back a moment after its end
			if at, err = socks.Associate(t.Context(), c, socks.Credentials{}); err == nil {
				break
			}
			_ = c.Close()
			c = in.dial(t)
		}
		if err != nil {
			t.Fatal(err)
		}
		u, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(at))
		if err != nil {
			t.Fatal(err)
		}
		b, _ := socks.AppendHeader(nil, "echo.test", 77)
		_, _ = u.Write(append(b, "hello"...))
		_ = u.SetReadDeadline(time.Now().Add(10 * time.Second))
		answer := make([]byte, 100)
		n, err := u.Read(answer)
		if err != nil {
			t.Fatal(err)
		}
		host, port, payload, err := socks.CutHeader(answer[:n])
		if err != nil || host != "192.0.2.7" || port != 77 || string(payload) != "hello" {
			t.Errorf("%s %d %q %v", host, port, payload, err)
		}
		_ = u.Close()
		_ = c.Close()
	}
}

func question(t *testing.T, name string, kind dnsmessage.Type) []byte {
	t.Helper()
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: 77, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: kind, Class: dnsmessage.ClassINET}},
	}
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestNamesAreAnswered(t *testing.T) {
	in := begin(t)
	for _, c := range []struct {
		name string
		kind dnsmessage.Type
		code dnsmessage.RCode
		want string
	}{
		{"echo.test.", dnsmessage.TypeA, 0, "192.0.2.7"},
		{"ECHO.test.", dnsmessage.TypeA, 0, "192.0.2.7"},
		{"echo.test.", dnsmessage.TypeAAAA, 0, ""},
		{"six.test.", dnsmessage.TypeAAAA, 0, "2001:db8::7"},
		{"six.test.", dnsmessage.TypeA, 0, ""},
		{"7.2.0.192.in-addr.arpa.", dnsmessage.TypePTR, 0, "echo.test."},
		{"7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa.", dnsmessage.TypePTR, 0, "echo.test."},
		{"8.2.0.192.in-addr.arpa.", dnsmessage.TypePTR, dnsmessage.RCodeNameError, ""},
		{"x.in-addr.arpa.", dnsmessage.TypePTR, dnsmessage.RCodeNameError, ""},
		{"missing.test.", dnsmessage.TypeA, dnsmessage.RCodeNameError, ""},
		{"down.test.", dnsmessage.TypeA, dnsmessage.RCodeServerFailure, ""},
		{"localhost.", dnsmessage.TypeA, 0, "127.0.0.1"},
		{"localhost.", dnsmessage.TypeAAAA, 0, "::1"},
		{"a.onion.", dnsmessage.TypeA, dnsmessage.RCodeNameError, ""},
		{"a.local.", dnsmessage.TypeA, dnsmessage.RCodeNameError, ""},
		{"a.alt.", dnsmessage.TypeA, dnsmessage.RCodeNameError, ""},
		{"printer.", dnsmessage.TypeA, dnsmessage.RCodeNameError, ""},
		{"echo.test.", dnsmessage.TypeMX, dnsmessage.RCodeNotImplemented, ""},
	} {
		ask := question(t, c.name, c.kind)
		for _, network := range []string{"udp", "tcp"} {
			conn, err := net.Dial(network, in.dns)
			if err != nil {
				t.Fatal(err)
			}
			_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
			b := make([]byte, 512)
			if network == "tcp" {
				_, _ = conn.Write(append([]byte{0, byte(len(ask))}, ask...))
				_, err = io.ReadFull(conn, b[:2])
				if err == nil {
					b = b[:int(b[0])<<8|int(b[1])]
					_, err = io.ReadFull(conn, b)
				}
			} else {
				_, _ = conn.Write(ask)
				var n int
				n, err = conn.Read(b)
				b = b[:n]
			}
			_ = conn.Close()
			var m dnsmessage.Message
			if err == nil {
				err = m.Unpack(b)
			}
			if err != nil || m.ID != 77 || m.RCode != c.code || !m.Response {
				t.Errorf("%s %v over %s: %v, %v", c.name, c.kind, network, m.Header, err)
				continue
			}
			got := ""
			for _, a := range m.Answers {
				if a.Header.TTL != 60 {
					t.Errorf("%s: TTL %d", c.name, a.Header.TTL)
				}
				switch body := a.Body.(type) {
				case *dnsmessage.AResource:
					got = netip.AddrFrom4(body.A).String()
				case *dnsmessage.AAAAResource:
					got = netip.AddrFrom16(body.AAAA).String()
				case *dnsmessage.PTRResource:
					got = body.PTR.String()
				}
			}
			if got != c.want {
				t.Errorf("%s %v over %s: %q, want %q", c.name, c.kind, network, got, c.want)
			}
		}
	}
}

// TestOddQuestions: what is no question gets no answer, or one that says so.
func TestOddQuestions(t *testing.T) {
	n := &names{d: &dialer{network: "tcp", address: "127.0.0.1:1"}}
	good := question(t, "a.test.", dnsmessage.TypeA)
	for size := range good {
		if size < 12 {
			if n.answer(t.Context(), good[:size]) != nil {
				t.Errorf("%d bytes are answered", size)
			}
			continue
		}
		var m dnsmessage.Message
		if m.Unpack(n.answer(t.Context(), good[:size])) != nil || m.RCode != dnsmessage.RCodeFormatError {
			t.Errorf("%d bytes: %v", size, m.Header)
		}
	}
	reply := bytes.Clone(good)
	reply[2] |= 0x80
	if n.answer(t.Context(), reply) != nil {
		t.Error("an answer is answered")
	}
}

func FuzzQuestion(f *testing.F) {
	m := dnsmessage.Message{Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName("localhost."), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}}}
	b, err := m.Pack()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	n := &names{d: &dialer{network: "unix", address: "/nonexistent"}}
	f.Fuzz(func(t *testing.T, b []byte) {
		if answer := n.answer(t.Context(), b); answer != nil {
			var m dnsmessage.Message
			if err := m.Unpack(answer); err != nil {
				t.Errorf("%x: %v", answer, err)
			}
		}
	})
}
