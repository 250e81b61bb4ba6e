// SPDX-License-Identifier: BSD-3-Clause

package upstream

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"chive/link"
)

// listen answers each connection at a port of loopback, until the test ends.
func listen(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				serve(c)
			}()
		}
	}()
	return l.Addr().String()
}

// socksProxy is a real SOCKS5 proxy that takes one user, or nobody's name.
func socksProxy(t *testing.T, user, password string, code byte) string {
	return listen(t, func(c net.Conn) {
		r := bufio.NewReader(c)
		take := func(n int) []byte {
			b := make([]byte, n)
			_, _ = io.ReadFull(r, b)
			return b
		}
		methods := take(int(take(2)[1]))
		want := byte(0)
		if user != "" {
			want = 2
		}
		if !strings.Contains(string(methods), string([]byte{want})) {
			_, _ = c.Write([]byte{5, 0xff})
			return
		}
		_, _ = c.Write([]byte{5, want})
		if want == 2 {
			name := string(take(int(take(2)[1])))
			word := string(take(int(take(1)[0])))
			if name != user || word != password {
				_, _ = c.Write([]byte{1, 1})
				return
			}
			_, _ = c.Write([]byte{1, 0})
		}
		head := take(4)
		if head[3] != 1 {
			return
		}
		ip := take(4)
		port := take(2)
		if code != 0 {
			_, _ = c.Write([]byte{5, code, 0, 1, 0, 0, 0, 0, 0, 0})
			return
		}
		to, err := net.Dial("tcp", netip.AddrPortFrom(netip.AddrFrom4([4]byte(ip)), uint16(port[0])<<8|uint16(port[1])).String())
		if err != nil {
			_, _ = c.Write([]byte{5, 5, 0, 1, 0, 0, 0, 0, 0, 0})
			return
		}
		defer to.Close()
		_, _ = c.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
		go func() { _, _ = io.Copy(to, r) }()
		_, _ = io.Copy(c, to)
	})
}

// httpProxy answers CONNECT with a status, and carries on if it is 200.
func httpProxy(t *testing.T, status, authorization string) string {
	return listen(t, func(c net.Conn) {
		r := bufio.NewReader(c)
		request, err := http.ReadRequest(r)
		if err != nil || request.Method != http.MethodConnect {
			return
		}
		if request.Header.Get("Proxy-Authorization") != authorization {
			status = "407 Say who you are"
		}
		if !strings.HasPrefix(status, "200") {
			_, _ = io.WriteString(c, "HTTP/1.1 "+status+"\r\nContent-Length: 0\r\n\r\n")
			return
		}
		to, err := net.Dial("tcp", request.Host)
		if err != nil {
			return
		}
		defer to.Close()
		_, _ = io.WriteString(c, "HTTP/1.1 "+status+"\r\n\r\n")
		go func() { _, _ = io.Copy(to, r) }()
		_, _ = io.Copy(c, to)
	})
}

// nobody is an address of loopback where nobody listens.
func nobody(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// TestLinksPassTheProxyOrNothing: what is dialled goes through the proxy, and each fault
// of it is told apart; nothing goes past it.
func TestLinksPassTheProxyOrNothing(t *testing.T) {
	arrived := make(chan struct{}, 100)
	echo := listen(t, func(c net.Conn) {
		arrived <- struct{}{}
		_, _ = io.Copy(c, c)
	})
	gone := nobody(t)
	silent := listen(t, func(net.Conn) {})
	for _, c := range []struct {
		name, proxy, to string
		want            error
	}{
		{"socks", "socks5://" + socksProxy(t, "", "", 0), echo, nil},
		{"socks with a password", "socks5://u:p%40w@" + socksProxy(t, "u", "p@w", 0), echo, nil},
		{"socks, wrong password", "socks5://u:no@" + socksProxy(t, "u", "p", 0), echo, link.ErrProxyAuth},
		{"socks, no password", "socks5://" + socksProxy(t, "u", "p", 0), echo, link.ErrProxyAuth},
		{"socks, denied", "socks5://" + socksProxy(t, "", "", 2), echo, link.ErrProxyDenied},
		{"socks, host unreachable", "socks5://" + socksProxy(t, "", "", 4), echo, link.ErrProxyAnswer},
		{"socks, relay gone", "socks5://" + socksProxy(t, "", "", 0), gone, link.ErrRefused},
		{"no socks proxy", "socks5://" + listen(t, func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 400 Bad\r\n\r\n") }), echo, link.ErrProxy},
		{"proxy gone", "socks5://" + gone, echo, link.ErrProxy},
		{"proxy that hangs up", "http://" + silent, echo, link.ErrProxy},
		{"http", "http://" + httpProxy(t, "200 Connection established", ""), echo, nil},
		{"http with a password", "http://u:p@" + httpProxy(t, "200 OK", "Basic dTpw"), echo, nil},
		{"http, wrong password", "http://u:no@" + httpProxy(t, "200 OK", "Basic dTpw"), echo, link.ErrProxyAuth},
		{"http, denied", "http://" + httpProxy(t, "403 Not this port", ""), echo, link.ErrProxyDenied},
		{"http, relay gone", "http://" + httpProxy(t, "502 Bad gateway", ""), echo, &link.ProxyAnswer{Status: 502}},
		{"http, relay gone, said in other words", "http://" + httpProxy(t, "500 It failed", ""), echo, &link.ProxyAnswer{Status: 500}},
		{"http gone", "http://" + gone, echo, link.ErrProxy},
	} {
		t.Run(c.name, func(t *testing.T) {
			tr, err := Parse(c.proxy)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
			defer cancel()
			conn, err := tr.Dial(ctx, netip.MustParseAddrPort(c.to))
			var answer, want *link.ProxyAnswer
			if errors.As(c.want, &want) && errors.As(err, &answer) && *answer == *want && errors.Is(err, link.ErrUnreachable) {
				err = c.want // as the relay's own address would be, and with the proxy's words
			}
			if !errors.Is(err, c.want) || err == nil != (c.want == nil) {
				t.Fatalf("%v", err)
			}
			if c.want != nil {
				select {
				case <-arrived:
					t.Fatal("the relay was reached past the proxy")
				default:
				}
				return
			}
			defer conn.Close()
			got := make([]byte, 5)
			if _, err := io.WriteString(conn, "hello"); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(conn, got); err != nil || string(got) != "hello" {
				t.Fatalf("%q, %v", got, err)
			}
			<-arrived
		})
	}
	// A proxy that still waits for the relay when the dial's time is over is no dead one.
	waiting := listen(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	for _, kind := range []string{"http", "socks5"} {
		tr, _ := Parse(kind + "://" + waiting)
		late, stop := context.WithTimeout(context.Background(), 50*time.Millisecond)
		if _, err := tr.Dial(late, netip.MustParseAddrPort(gone)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s, in time no answer: %v", kind, err)
		}
		stop()
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	tr, _ := Parse("http://" + silent)
	if _, err := tr.Dial(ctx, netip.MustParseAddrPort(echo)); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := tr.Listen(netip.AddrPort{}); !errors.Is(err, ErrListen) {
		t.Errorf("listen: %v", err)
	}
	for _, bad := range []string{"", "off", "https://h:1", "http://h", "socks5://:1"} {
		if _, err := Parse(bad); !errors.Is(err, ErrAddress) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
