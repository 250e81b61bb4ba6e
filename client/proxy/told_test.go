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

	p := open(t, addr)
	p.send([]byte("\x05\x01\x00"))
	p.expect([]byte("\x05\x00"))
	p.send([]byte("\x05\xf0\x00\x03\x07x.onion\x00\x00"))
	p.rest()
	select {
	case r := <-told:
		if r.Kind != RefusedResolve || r.Target != "x.onion" {
			t.Errorf("a look-up: %+v", r)
		}
	default:
		t.Error("a refused look-up is not told")
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
