// SPDX-License-Identifier: BSD-3-Clause

package proxy

import (
	"fmt"
	"net"
	"testing"
)

// TestWhatIsRefusedHereIsTold (product §4.6): the user's daemon hears of every request that
// the proxy refused itself, with the reason that the program got; and nothing is dialled.
func TestWhatIsRefusedHereIsTold(t *testing.T) {
	told := make(chan Refused, 64)
	cfg := Config{Refused: func(r Refused) { told <- r }}
	cfg.RefuseIP = true
	f, addr := startHTTP(t, &origin{answer: func(string, string) string { return okAnswer }}, cfg)
	for _, c := range []struct{ target, shown, reason string }{
		{"X.onion:80", "x.onion:80", "name_not_found"},
		{"printer.local:631", "printer.local:631", "name_not_found"},
		{"nas:80", "nas:80", "name_not_found"},
		{"a.alt:80", "a.alt:80", "name_not_found"},
		{"localhost:80", "localhost:80", "private_address"},
		{"10.1.2.3:80", "10.1.2.3:80", "private_address"},
		{"[::1]:22", "[::1]:22", "private_address"},
		{"9.9.9.9:443", "9.9.9.9:443", "refused_ip"},
	} {
		p := open(t, addr)
		p.send([]byte("CONNECT " + c.target + " HTTP/1.1\r\nHost: x\r\n\r\n"))
		p.rest()
		select {
		case r := <-told:
			if r.Kind != RefusedConnect || r.Target != c.shown || r.Reason != c.reason || r.Text == "" || r.Fix == "" {
				t.Errorf("%s: %+v", c.target, r)
			}
		default:
			t.Errorf("%s: nothing is told", c.target)
		}
	}
	if len(f.dialled()) != 0 {
		t.Error("dialled")
	}

	for _, c := range []struct{ greeting, request, kind, shown, reason string }{
		{"\x05\x01\x00", "\x05\xf0\x00\x03\x07x.onion\x00\x00", RefusedResolve, "x.onion", "name_not_found"},
		{"\x05\x01\x00", "\x05\xf0\x00\x03\x03a b\x00\x00", RefusedResolve, "(no name)", "name_not_found"}, // has no normal form
		{"\x05\x01\x00", "\x05\x01\x00\x03\x03a b\x00\x50", RefusedConnect, "(no name):80", "name_not_found"},
		{"\x05\x01\x00", "\x05\xf1\x00\x01\x0a\x01\x02\x03\x00\x00", RefusedResolve, "10.1.2.3", "private_address"},
		{"", "\x04\xf0\x00\x00\x00\x00\x00\x01u\x00x.onion\x00", RefusedResolve, "x.onion", "name_not_found"},
	} {
		p := open(t, addr)
		if c.greeting != "" {
			p.send([]byte(c.greeting))
			p.expect([]byte("\x05\x00"))
		}
		p.send([]byte(c.request))
		p.rest()
		select {
		case r := <-told:
			if r.Kind != c.kind || r.Target != c.shown || r.Reason != c.reason || r.Text == "" {
				t.Errorf("%q: %+v", c.request, r)
			}
		default:
			t.Errorf("%q: nothing is told", c.request)
		}
	}
	if len(f.dialled()) != 0 {
		t.Error("dialled")
	}
	if len(told) != 0 {
		t.Errorf("%d too many", len(told))
	}
}

// TestRefusedDatagramsAreToldOnce: a program that goes on sending does not push the stories
// of others out.
func TestRefusedDatagramsAreToldOnce(t *testing.T) {
	told := make(chan Refused, 64)
	s := &Server{cfg: Config{Refused: func(r Refused) { told <- r }}}
	var a association
	a.c = &session{s: s}
	for i := range 30 {
		for range 3 {
			a.refuse([]byte{byte(i)}, address{name: fmt.Sprintf("h%d.local", i), port: 53}, refusal(reasonNameNotFound))
		}
	}
	if len(told) != maxToldRefusals {
		t.Errorf("%d are told", len(told))
	}
	if r := <-told; r.Kind != RefusedUDP || r.Target != net.JoinHostPort("h0.local", "53") {
		t.Errorf("%+v", r)
	}
}

// TestRefusedDatagramsAreTold (product §4.6): of an association that a program has, and as
// datagrams, not as connections.
func TestRefusedDatagramsAreTold(t *testing.T) {
	told := make(chan Refused, 64)
	_, addr := startUDP(t, &opened{}, Config{Refused: func(r Refused) { told <- r }})
	r := associate(t, addr, 0)
	for _, host := range []string{"printer.local", "printer.local", "10.1.2.3", "a.test"} {
		r.send(nameDatagram(host, 9, pattern(20)))
	}
	r.expect(nameDatagram("a.test", 9, pattern(20)))
	if len(told) != 2 {
		t.Fatalf("%d are told", len(told))
	}
	for _, want := range []Refused{{Target: "printer.local:9", Reason: "name_not_found"}, {Target: "10.1.2.3:9", Reason: "private_address"}} {
		if r := <-told; r.Kind != RefusedUDP || r.Target != want.Target || r.Reason != want.Reason || r.Text == "" || r.Fix == "" {
			t.Errorf("%+v", r)
		}
	}
}
