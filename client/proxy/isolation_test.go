// SPDX-License-Identifier: BSD-3-Clause

package proxy

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestNarrowedKeys: off, by host, by port, by both (ISO-1).
func TestNarrowedKeys(t *testing.T) {
	base := isolationKey("main", "127.0.0.1", credentials{})
	targets := []Target{{"a.test", 80}, {"a.test", 81}, {"b.test", 80}, {"203.0.113.5", 80}, {"a.test", 0}}
	for _, o := range []Options{{}, {IsolateDestination: true}, {IsolatePort: true}, {IsolateDestination: true, IsolatePort: true}} {
		for _, a := range targets {
			if k := o.narrowed(base, a.Host, a.Port); (k == base) != (!o.IsolateDestination && !o.IsolatePort) || len(k) != len(base) {
				t.Errorf("%+v %v", o, a)
			}
			if o.narrowed(base, a.Host, a.Port) == o.narrowed(isolationKey("other", "127.0.0.1", credentials{}), a.Host, a.Port) {
				t.Errorf("%v: the listener no longer counts", a)
			}
			for _, b := range targets {
				same := (a.Host == b.Host || !o.IsolateDestination) && (a.Port == b.Port || !o.IsolatePort)
				if (o.narrowed(base, a.Host, a.Port) == o.narrowed(base, b.Host, b.Port)) != same {
					t.Errorf("%+v: %v and %v", o, a, b)
				}
			}
		}
	}
}

// TestListenerKeysAreNoProxyKeys: a DNS listener of the same name is another (ISO-1).
func TestListenerKeysAreNoProxyKeys(t *testing.T) {
	one, two := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2")
	seen := map[Isolation]bool{isolationKey("dns", "127.0.0.1", credentials{}): true, isolationKey("dns", "", credentials{}): true}
	for _, k := range []Isolation{ListenerKey("dns", one), ListenerKey("dns", two), ListenerKey("dns2", one), ListenerKey("dns", netip.Addr{})} {
		if seen[k] {
			t.Error("a key twice")
		}
		seen[k] = true
	}
	if ListenerKey("dns", one) != ListenerKey("dns", netip.MustParseAddr("::ffff:127.0.0.1")) {
		t.Error("a mapped address is another client")
	}
}

// askedOf is a Dialer that notes who asked for what under which key, and whose
// far sides answer HTTP.
type askedOf struct {
	*far
	mu   sync.Mutex
	keys map[Isolation]map[string]bool // key: identities that used it
	who  string                        // the identity of the request under way
}

func (a *askedOf) note(iso Isolation) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.keys[iso] == nil {
		a.keys[iso] = map[string]bool{}
	}
	a.keys[iso][a.who] = true
}

func (a *askedOf) Dial(ctx context.Context, iso Isolation, t Target, early []byte) (Conn, error) {
	a.note(iso)
	return a.far.Dial(ctx, iso, t, early)
}

func (a *askedOf) Resolve(_ context.Context, iso Isolation, _ string) (Answer, error) {
	a.note(iso)
	return Answer{Addrs: []netip.Addr{netip.MustParseAddr("203.0.113.5")}}, nil
}

func (a *askedOf) ResolveAddr(_ context.Context, iso Isolation, _ netip.Addr) ([]string, error) {
	a.note(iso)
	return []string{"host.test"}, nil
}

func (a *askedOf) OpenUDP(_ context.Context, iso Isolation, t Target) (PacketConn, error) {
	a.note(iso)
	p := newPackets(iso, t)
	return p, nil
}

// TestNoKeyServesTwo is ISO-2: random orders of listeners, clients, credentials,
// targets and protocols, where HTTP goes on over kept connections; no key, and no
// HTTP upstream connection, serves two identities, and one identity has one key.
func TestNoKeyServesTwo(t *testing.T) {
	served := struct {
		sync.Mutex
		mixed string
	}{}
	f := newFar(t, func(c *net.TCPConn) { // an origin that notes whose requests come by one connection
		r := bufio.NewReader(c)
		who := ""
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			if v, ok := strings.CutPrefix(line, "X-Who: "); ok {
				if who != "" && who != v {
					served.Lock()
					served.mixed = who + v
					served.Unlock()
				}
				who = v
			}
			if line == "\r\n" {
				c.Write([]byte(okAnswer))
			}
		}
	})
	d := &askedOf{far: f}
	options := []Options{{Name: "plain"}, {Name: "host", IsolateDestination: true}, {Name: "port", IsolatePort: true}, {Name: "both", IsolateDestination: true, IsolatePort: true}}
	addrs := make([]string, len(options))
	for i, o := range options {
		_, addrs[i] = start(t, Config{Options: o, Dialer: d, ListenPacket: listenUDP})
	}
	rapid.Check(t, func(rt *rapid.T) {
		d.mu.Lock()
		d.keys = map[Isolation]map[string]bool{}
		d.mu.Unlock()
		identities := map[string]Isolation{}
		kept := map[string]*keptConn{}
		defer func() {
			for _, k := range kept {
				k.Close()
			}
		}()
		for range rapid.IntRange(1, 12).Draw(rt, "requests") {
			i := rapid.IntRange(0, len(options)-1).Draw(rt, "listener")
			o := options[i]
			client := rapid.SampledFrom([]string{"127.0.0.1", "127.0.0.2"}).Draw(rt, "client")
			user := rapid.SampledFrom([]string{"u", "v"}).Draw(rt, "user")
			host := rapid.SampledFrom([]string{"a.test", "b.test"}).Draw(rt, "host")
			port := rapid.SampledFrom([]int{80, 81}).Draw(rt, "port")
			kind := rapid.SampledFrom([]string{"socks5", "http", "http", "http", "connect", "resolve", "ptr", "socks4"}).Draw(rt, "kind")
			if kind == "resolve" || kind == "ptr" {
				port = 0
			}
			if kind == "ptr" {
				host = "203.0.113.5"
			}
			who := fmt.Sprint(o.Name, " ", client, " ", user)
			if kind == "socks4" { // has no password
				who += " alone"
			}
			if o.IsolateDestination {
				who += " " + host
			}
			if o.IsolatePort {
				who += fmt.Sprint(" ", port)
			}
			d.mu.Lock()
			d.who = who
			d.mu.Unlock()
			talkOnce(t, addrs[i], client, user, host, port, kind, who, kept)
			d.mu.Lock()
			for iso, by := range d.keys {
				if len(by) != 1 {
					rt.Fatalf("one key served %v", by)
				}
				if by[who] {
					if old, ok := identities[who]; ok && old != iso {
						rt.Fatalf("%s has two keys", who)
					}
					identities[who] = iso
				}
			}
			d.mu.Unlock()
			served.Lock()
			if served.mixed != "" {
				rt.Fatalf("one upstream served %q", served.mixed)
			}
			served.Unlock()
		}
	})
}

// keptConn is an HTTP connection that goes on.
type keptConn struct {
	net.Conn
	r *bufio.Reader
}

// talkOnce sends one request from a client address and waits for its answer.
func talkOnce(t *testing.T, addr, client, user, host string, port int, kind, who string, kept map[string]*keptConn) {
	t.Helper()
	dial := func() *keptConn {
		c, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(client)}}).DialContext(t.Context(), "tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		c.(*net.TCPConn).SetLinger(0)
		c.SetDeadline(time.Now().Add(patience))
		return &keptConn{c, bufio.NewReader(c)}
	}
	greet := cat(5, 1, 2, 1, 1, user, 1, "p", 5)
	basic := "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":p")) + "\r\n"
	where := cat(0, 3, len(host), host, 0, port)
	var send []byte
	answer := 4 + 10
	switch kind {
	case "http":
		c := kept[addr+client]
		if c == nil {
			c = dial()
			kept[addr+client] = c
		}
		fmt.Fprintf(c, "GET http://%s:%d/ HTTP/1.1\r\nHost: x\r\nX-Who: %s\r\n%s\r\n", host, port, who, basic)
		if head, body := readAnswer(t, c.r); body != "ok" {
			t.Fatalf("%q %q", head, body)
		}
		return
	case "connect":
		send, answer = []byte(fmt.Sprintf("CONNECT %s:%d HTTP/1.1\r\n%s\r\n", host, port, basic)), len("HTTP/1.1 200 Connection established\r\n\r\n")
	case "socks5":
		send = cat(greet, 1, where)
	case "resolve":
		send = cat(greet, 0xF0, where)
	case "ptr":
		send, answer = cat(greet, 0xF1, where), 4+4+1+len("host.test")+2
	case "socks4":
		send, answer = cat(4, 1, 0, port, 0, 0, 0, 1, user, 0, host, 0), 8
	}
	c := dial()
	defer c.Close()
	c.Write(send)
	b := make([]byte, answer)
	for n := 0; n < answer; {
		m, err := c.r.Read(b[n:])
		if n += m; err != nil {
			t.Fatalf("%s: % x %v", kind, b[:n], err)
		}
	}
	if kind == "socks4" && b[1] != 90 || kind != "connect" && kind != "socks4" && b[5] != 0 {
		t.Fatalf("%s: % x", kind, b)
	}
}

// TestIsolatedTargetsHaveWaysOfTheirOwnInUDP: one association, a way for each
// target that the listener keeps apart (ISO-1, UDP-2).
func TestIsolatedTargetsHaveWaysOfTheirOwnInUDP(t *testing.T) {
	for _, c := range []struct {
		o    Options
		ways int
	}{{Options{}, 1}, {Options{IsolateDestination: true}, 2}, {Options{IsolatePort: true}, 2}, {Options{IsolateDestination: true, IsolatePort: true}, 3}} {
		o := &opened{}
		_, addr := startUDP(t, o, Config{Options: c.o})
		r := associate(t, addr, 0)
		for _, to := range []struct {
			host string
			port int
		}{{"a.test", 80}, {"b.test", 80}, {"a.test", 81}, {"a.test", 80}} {
			r.send(nameDatagram(to.host, to.port, "x"))
			r.expect(nameDatagram(to.host, to.port, "x"))
		}
		keys := map[Isolation]bool{}
		for _, p := range o.list() {
			keys[p.iso] = true
		}
		if len(o.list()) != c.ways || len(keys) != c.ways {
			t.Errorf("%+v: %d ways, %d keys, want %d", c.o, len(o.list()), len(keys), c.ways)
		}
	}
}
