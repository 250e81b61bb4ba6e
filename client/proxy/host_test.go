// SPDX-License-Identifier: BSD-3-Clause

package proxy

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"chive/internal/testutil"
)

// checkHost holds what every admitted host must be.
func checkHost(t *testing.T, ip netip.Addr, name string) {
	t.Helper()
	if ip.IsValid() == (name != "") {
		t.Fatal("a host is an address or a name")
	}
	if ip.Is4In6() || ip.Zone() != "" {
		t.Fatal("address not in its one form")
	}
	if name == "" {
		return
	}
	if len(name) > maxName || name != strings.ToLower(name) || strings.ContainsAny(name, "\x00 \r\n:/@") ||
		strings.Contains("."+name+".", "..") {
		t.Fatalf("name %q", name)
	}
	if _, err := netip.ParseAddr(name); err == nil {
		t.Fatalf("address %q passed as a name", name)
	}
	if again, ok := normalName(name); !ok || again != name {
		t.Fatalf("%q is not its own normal form", name)
	}
}

// TestNamesAreNormalised is SOCKS-7.
func TestNamesAreNormalised(t *testing.T) {
	label := strings.Repeat("a", 63)
	long := label + "." + label + "." + label + "." + strings.Repeat("b", 61)
	for in, want := range map[string]string{
		"Example.COM":   "example.com",
		"example.com.":  "example.com",
		"_srv.a-b.test": "_srv.a-b.test",
		"single":        "single",
		"1.2.3.4.test":  "1.2.3.4.test",
		long:            long,
		long + ".":      long,
		"":              "",
		".":             "",
		"a..b":          "",
		".a":            "",
		"a..":           "",
		"a\x00b":        "",
		"a b":           "",
		"a/b":           "",
		"a:80":          "",
		"bücher.test":   "",
		label + "a.com": "",
		long + "b":      "",
		"127.1":         "",
		"2130706433":    "",
		"0x7f000001":    "",
		"0x7F.0.0.1":    "",
		"a.0x1":         "",
		"[::1":          "",
		"[127.0.0.1]":   "",
		"[x]":           "",
	} {
		ip, got, err := address{name: in}.host()
		if got != want || ip.IsValid() || (err == nil) != (want != "") {
			t.Errorf("%q: %q %v %v", in, got, ip, err)
		}
	}
}

func TestNameFieldWithLiteralIsTheAddress(t *testing.T) {
	for in, want := range map[string]string{
		"127.0.0.1": "127.0.0.1", "::1": "::1", "[::1]": "::1", "::ffff:10.0.0.1": "10.0.0.1",
		"fe80::1%eth0": "fe80::1", "2001:DB8::1": "2001:db8::1",
	} {
		ip, name, err := address{name: in}.host()
		if err != nil || name != "" || ip.String() != want {
			t.Errorf("%q: %v %q %v", in, ip, name, err)
		}
	}
}

// TestPrivateAddressesAreKnown is SOCKS-14.
func TestPrivateAddressesAreKnown(t *testing.T) {
	for _, s := range strings.Fields(`0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 100.127.255.255 127.0.0.1 127.255.0.1 169.254.169.254
		172.16.0.1 172.31.255.255 192.168.1.1 192.0.0.1 198.18.0.1 198.19.255.255 224.0.0.1 239.1.1.1 240.0.0.1 255.255.255.255
		:: ::1 ::127.0.0.1 ::ffff:127.0.0.1 ::ffff:8.8.8.8%x fe80::1 fe80::1%eth0 fec0::1 fc00::1 fdff::1 ff02::1 100::1
		64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 64:ff9b:1::1 2002:7f00:1:: 2002:a00:1::`) {
		ip := netip.MustParseAddr(s)
		if want := s != "::ffff:8.8.8.8%x"; isPrivate(ip) != want {
			t.Errorf("%s: %v", s, !want)
		}
	}
	for _, s := range strings.Fields(`1.1.1.1 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.1 172.15.0.1
		172.32.0.1 192.167.1.1 198.17.255.255 198.20.0.0 223.255.255.255 203.0.113.5 2001:db8::1 2606:4700::1 64:ff9b::808:808
		2002:808:808::1 ::ffff:8.8.8.8`) {
		if isPrivate(netip.MustParseAddr(s)) {
			t.Errorf("%s counts as private", s)
		}
	}
	if !isPrivate(netip.Addr{}) {
		t.Error("no address counts as public")
	}
}

func admitServer(t *testing.T, o Options) *Server {
	t.Helper()
	s, err := New(Config{Options: o, Dialer: &far{}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestAdmitRefusesWhatIsNobodysToReach: in the public network and in a testnet
// (SOCKS-7, SOCKS-14, DNS-1).
func TestAdmitRefusesWhatIsNobodysToReach(t *testing.T) {
	id := strings.TrimSuffix(testutil.ServiceName('a'), ".chive.alt")
	for _, c := range []struct{ host, public, testnet string }{
		{"example.com", "", ""},
		{"127.0.0.1", "private_address", ""},
		{"[::1]", "private_address", ""},
		{"::ffff:10.1.1.1", "private_address", ""},
		{"localhost", "private_address", ""},
		{"a.localhost.", "private_address", ""},
		{"x.notlocalhost", "", ""},
		{"x.onion", "name_not_found", "name_not_found"},
		{"X.ONION.", "name_not_found", "name_not_found"},
		{"onion", "name_not_found", "name_not_found"},
		{"x.monion", "", ""},
		{"printer.local", "name_not_found", "name_not_found"},
		{"Local.", "name_not_found", "name_not_found"},
		{"x.notlocal", "", ""},
		{"intranet", "name_not_found", "name_not_found"},
		{"alt", "name_not_found", "name_not_found"},
		{"chive.alt", "name_not_found", "name_not_found"},
		{"198.18.0.1", "private_address", "private_address"}, // nobody's mapping
		{"::ffff:198.19.1.2", "private_address", "private_address"},
		{id + ".chive.alt", "service_not_found", "service_not_found"},
		{"www." + id + ".Chive.Alt", "service_not_found", "service_not_found"},
		{"x.chive.alt", "service_address_bad", "service_address_bad"}, // no service can have it: too short
		{id + "a.chive.alt", "service_address_bad", "service_address_bad"},
		{id[1:] + ".chive.alt", "service_address_bad", "service_address_bad"},
		{id + ".x.chive.alt", "service_address_bad", "service_address_bad"},
		{id[:55] + "c.chive.alt", "service_address_bad", "service_address_bad"}, // version 2
		{id[:54] + "bb.chive.alt", "service_address_bad", "service_address_bad"},
		{"1" + id[1:] + ".chive.alt", "service_address_bad", "service_address_bad"}, // no base32
		{id[:30] + "-" + id[31:] + ".chive.alt", "service_address_bad", "service_address_bad"},
		{"x.alt", "name_not_found", "name_not_found"},
		{"203.0.113.5", "", ""},
		{"a..b", "name_not_found", "name_not_found"},
	} {
		for testnet, want := range map[bool]string{false: c.public, true: c.testnet} {
			_, err := admitServer(t, Options{Testnet: testnet}).admit(netip.Addr{}, address{name: c.host, port: 80})
			got := ""
			if err != nil {
				got = outcomeFor(err).reason
			}
			if got != want {
				t.Errorf("%s, testnet %v: %q, want %q", c.host, testnet, got, want)
			}
		}
	}
	if _, err := admitServer(t, Options{}).admit(netip.Addr{}, address{name: "example.com"}); err == nil || outcomeFor(err).reason != reasonHostUnreachable || strings.Contains(outcomeFor(err).sentence, "exit") {
		t.Errorf("port 0: %v", err) // no relay was asked, so that no exit has failed
	}
}

// TestKindsOfNamesHaveSentencesOfTheirOwn: the reason stays in the closed list.
func TestKindsOfNamesHaveSentencesOfTheirOwn(t *testing.T) {
	s := admitServer(t, Options{})
	for host, want := range map[string]struct{ reason, sentence string }{
		"x.onion": {reasonNameNotFound, sayOnion}, "x.alt": {reasonNameNotFound, sayAlt},
		testutil.ServiceName('x'): {reasonServiceNotFound, sayService}, "y.chive.alt": {reasonServiceAddressBad, outcomeOf(reasonServiceAddressBad).sentence}, "localhost": {reasonPrivateAddress, sayLocalhost},
		"x.local": {reasonNameNotFound, sayLocal}, "intranet": {reasonNameNotFound, saySingle}, "198.18.4.4": {reasonPrivateAddress, sayUnmapped},
	} {
		_, err := s.admit(netip.Addr{}, address{name: host, port: 80})
		o := outcomeFor(fmt.Errorf("wrapped: %w", err))
		if o.reason != want.reason || o.sentence != want.sentence || o.http != outcomeOf(want.reason).http {
			t.Errorf("%s: %+v", host, o)
		}
	}
	if outcomeOf(reasonNameNotFound).sentence == sayOnion {
		t.Error("the list itself was changed")
	}
}

// TestRefusalsOfAnExitAreExplained: a private address is at fault, not its port.
func TestRefusalsOfAnExitAreExplained(t *testing.T) {
	for _, c := range []struct{ host, reason, want string }{
		{"10.1.2.3", reasonExitPolicy, reasonPrivateAddress},
		{"fd00::1", reasonExitPolicy, reasonPrivateAddress},
		{"169.254.169.254", reasonExitPolicy, reasonPrivateAddress},
		{"10.1.2.3", reasonTimeout, reasonTimeout},
		{"127.0.0.1", reasonExitPolicy, reasonExitPolicy}, // a testnet's exits permit it
		{"::1", reasonExitPolicy, reasonExitPolicy},
		{"203.0.113.5", reasonExitPolicy, reasonExitPolicy},
		{"example.com", reasonExitPolicy, reasonExitPolicy},
		{"localhost", reasonExitPolicy, reasonExitPolicy},
		{"localhost", reasonNameNotFound, reasonNameNotFound},
	} {
		err := explain(Target{Host: c.host, Port: 80}, refusal(c.reason))
		if o := outcomeFor(err); o.reason != c.want || (o.sentence == sayLocalhostHere) != (c.host == "localhost" && c.reason == reasonNameNotFound) {
			t.Errorf("%s, %s: %+v", c.host, c.reason, o)
		}
	}
}

// TestRefuseIPTakesWhatWasLookedUp: refuse_ip on and off, looked up or not (SOCKS-13).
func TestRefuseIPTakesWhatWasLookedUp(t *testing.T) {
	ip := netip.MustParseAddr("203.0.113.5")
	for _, refuse := range []bool{false, true} {
		s := admitServer(t, Options{RefuseIP: refuse})
		_, err := s.admit(netip.Addr{}, address{ip: ip, port: 80})
		if (err != nil) != refuse || refuse && outcomeFor(err).socks5 != 2 {
			t.Errorf("refuse_ip %v: %v", refuse, err)
		}
		if _, err := s.admit(netip.Addr{}, address{name: "example.com", port: 80}); err != nil {
			t.Errorf("name: %v", err)
		}
		if s.Counts().BareAddresses != 1 {
			t.Error("not counted")
		}
		if _, err := s.chooseAnswer(Answer{Addrs: []netip.Addr{ip}}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.admit(netip.Addr{}, address{name: "203.0.113.5", port: 80}); err != nil || s.Counts().BareAddresses != 1 {
			t.Errorf("looked up: %v", err)
		}
	}
}

func TestLookupsKeepAnHourAndTheLast4096(t *testing.T) {
	var l Lookups
	now := time.Unix(1e9, 0)
	at := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{9, byte(i >> 16), byte(i >> 8), byte(i)}) }
	for i := range lookupsKept {
		l.Add(at(i), now)
	}
	l.Add(at(0), now.Add(time.Minute)) // again: no new slot
	if !l.Has(at(0), now) || !l.Has(at(lookupsKept-1), now) || len(l.until) != lookupsKept {
		t.Error("at the cap")
	}
	l.Add(at(lookupsKept), now)
	if l.Has(at(0), now) || !l.Has(at(1), now) || !l.Has(at(lookupsKept), now) || len(l.until) != lookupsKept {
		t.Error("beyond the cap the oldest goes")
	}
	if !l.Has(at(1), now.Add(lookupsLately-1)) || l.Has(at(1), now.Add(lookupsLately)) {
		t.Error("an hour")
	}
	l.Forget()
	if l.Has(at(1), now) {
		t.Error("not forgotten")
	}
}

func TestRareLinesComeOncePerHour(t *testing.T) {
	var r rarely
	now := time.Unix(1e9, 0)
	if !r.due(now) || r.due(now) || r.due(now.Add(rareLine-1)) || !r.due(now.Add(rareLine)) {
		t.Error("not once per hour")
	}
}

// TestABareAddressIsToldOncePerListener (SOCKS-13, API-2): with the listener's name and
// nothing of the address; a name, and the second within the hour, are not.
func TestABareAddressIsToldOncePerListener(t *testing.T) {
	f := newFar(t, echo)
	var told []string
	s, _ := start(t, Config{Options: Options{Name: "browser"}, Dialer: f, Leak: func(l string) { told = append(told, l) }})
	for _, a := range []string{"a.test", "203.0.113.5", "203.0.113.6"} {
		_, _ = s.admit(netip.Addr{}, address{name: a, port: 80})
	}
	if len(told) != 1 || told[0] != "browser" {
		t.Errorf("%q", told)
	}
}
