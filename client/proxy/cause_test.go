// SPDX-License-Identifier: BSD-3-Clause

package proxy

import (
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"chive/internal/testutil"
)

// TestRefusalsOfOurOwnHaveTheirCode drives the causes that end here, by every
// protocol, with extended codes on and off: the code, the field and the sentence
// (product §4.6, DNS-1, DNS-3, HTTP-3).
func TestRefusalsOfOurOwnHaveTheirCode(t *testing.T) {
	service := testutil.ServiceName('a')
	for _, extended := range []bool{false, true} {
		f := newFar(t, echo)
		_, addr := start(t, Config{Options: Options{ExtendedErrors: extended, RefuseIP: true}, Dialer: f})
		for _, c := range []struct {
			host, reason, sentence string
			code, extended, http   int
		}{
			{"10.0.0.1", reasonPrivateAddress, "", 2, 2, 403},
			{"localhost", reasonPrivateAddress, sayLocalhost, 2, 2, 403},
			{"198.18.7.7", reasonPrivateAddress, sayUnmapped, 2, 2, 403},
			{"203.0.113.5", reasonRefusedIP, "", 2, 2, 403},
			{"x.onion", reasonNameNotFound, sayOnion, 4, 4, 502},
			{"x.alt", reasonNameNotFound, sayAlt, 4, 4, 502},
			{"printer.local", reasonNameNotFound, sayLocal, 4, 4, 502},
			{"intranet", reasonNameNotFound, saySingle, 4, 4, 502},
			{"a..b", reasonNameNotFound, "", 4, 4, 502},
			{service, reasonServiceNotFound, sayService, 4, 0xF0, 502},
			{"x.chive.alt", reasonServiceAddressBad, "", 4, 0xF6, 502},
		} {
			code := c.code
			if extended {
				code = c.extended
			}
			p := open(t, addr)
			p.send(cat(5, 1, 0, 5, 1, 0, 3, len(c.host), c.host, 0, 80))
			p.expect(cat(5, 0, 5, code, 0, 1, 0, 0, 0, 0, 0, 0))
			p = open(t, addr)
			p.send(cat(4, 1, 0, 80, 0, 0, 0, 1, 0, c.host, 0))
			p.expect([]byte{0, 91, 0, 0, 0, 0, 0, 0})
			sentence := c.sentence
			if sentence == "" {
				sentence = outcomeOf(c.reason).sentence
			}
			for _, request := range []string{"CONNECT %s:80 HTTP/1.1\r\n\r\n", "GET http://%s/ HTTP/1.1\r\nHost: x\r\n\r\n"} {
				p = open(t, addr)
				p.send([]byte(fmt.Sprintf(request, c.host)))
				b := string(p.rest())
				head, body, _ := strings.Cut(b, "\r\n\r\n")
				if !strings.HasPrefix(head, fmt.Sprintf("HTTP/1.1 %d ", c.http)) || !strings.Contains(head, "X-Chive-Error: "+c.reason+"\r\n") || body != sentence+"\n" {
					t.Errorf("%s: %q", c.host, b)
				}
			}
			if c.reason == reasonNameNotFound { // a look-up asks nobody either
				p = open(t, addr)
				p.send(cat(5, 1, 0, 5, 0xF0, 0, 3, len(c.host), c.host, 0, 0))
				p.expect(cat(5, 0, 5, 4, 0, 1, 0, 0, 0, 0, 0, 0))
			}
		}
		for command, want := range map[int]int{1: 8, 2: 8, 0xF0: 8} { // an address type that is unknown
			p := open(t, addr)
			p.send(cat(5, 1, 0, 5, command, 0, 2))
			p.expect(cat(5, 0, 5, want, 0, 1, 0, 0, 0, 0, 0, 0))
		}
		for _, command := range []int{0, 2, 4, 0xF2} {
			p := open(t, addr)
			p.send(cat(5, 1, 0, 5, command, 0, 3, 6, "a.test", 0, 80))
			p.expect(cat(5, 0, 5, 7, 0, 1, 0, 0, 0, 0, 0, 0))
		}
		if len(f.dialled()) != 0 {
			t.Error("dialled")
		}
	}
}

// TestNamedListenersOnUnixSockets: each is a key of its own, programs of one
// socket are one client, and mapped addresses stay with their listener (SOCKS-1, ISO-1).
func TestNamedListenersOnUnixSockets(t *testing.T) {
	f := newFar(t, echo)
	gate, lookups, automap := NewGate(8, 8), new(Lookups), NewAutomap(nil)
	service := testutil.ServiceName('b')
	ctx, cancel := context.WithCancel(t.Context())
	var ends []chan error
	dir := t.TempDir()
	talk := func(name string, send []byte, answer int) []byte {
		t.Helper()
		c, err := net.Dial("unix", filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(patience))
		c.Write(send)
		b := make([]byte, answer)
		if n, err := io.ReadFull(c, b); err != nil {
			t.Fatalf("% x %v", b[:n], err)
		}
		return b
	}
	mapped := map[string][]byte{}
	for _, name := range []string{"one", "two"} {
		s, err := New(Config{Options: Options{Name: name, ExtendedErrors: true}, Dialer: f, Gate: gate, Lookups: lookups, Automap: automap})
		if err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("unix", filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		ends = append(ends, done)
		go func() { done <- s.Serve(ctx, l) }()
		talk(name, cat(4, 1, 0, 80, 0, 0, 0, 1, "u", 0, "example.com", 0), 8)
		mapped[name] = talk(name, cat(4, 0xF0, 0, 0, 0, 0, 0, 1, 0, service, 0), 8)[4:]
	}
	for _, c := range []struct {
		on, of string
		code   byte
	}{{"one", "one", 0xF0}, {"two", "two", 0xF0}, {"one", "two", 2}, {"two", "one", 2}} {
		if b := talk(c.on, cat(5, 1, 0, 5, 1, 0, 1, mapped[c.of], 0, 80), 12); b[3] != c.code {
			t.Errorf("%s of %s: % x", c.of, c.on, b)
		}
	}
	for i, d := range f.dialled() {
		if want := isolationKey([]string{"one", "two"}[i], "", credentials{user: "u"}); d.iso != want {
			t.Errorf("dial %d by another key", i)
		}
	}
	cancel()
	for _, done := range ends {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// TestNamesAndBareAddressesAreCounted: what the page shows (SOCKS-13).
func TestNamesAndBareAddressesAreCounted(t *testing.T) {
	f := newFar(t, echo)
	s, addr := start(t, Config{Dialer: f})
	for _, host := range []string{"a.test", "203.0.113.5", "203.0.113.5", "x.onion"} {
		p := open(t, addr)
		p.send(cat(5, 1, 0, 5, 1, 0, 3, len(host), host, 0, 80))
		p.expect([]byte{5, 0, 5})
		p.Close()
	}
	p := open(t, addr)
	p.send(cat(4, 0xF0, 0, 0, 0, 0, 0, 1, 0, "b.test", 0))
	p.rest()
	if c := s.Counts(); c.Names != 3 || c.BareAddresses != 2 {
		t.Errorf("%+v", c)
	}
}
