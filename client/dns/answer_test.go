// SPDX-License-Identifier: BSD-3-Clause

package dns

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"chive/client/proxy"
	"chive/internal/testutil"
)

// TestAnswers is DNS-3 and DNS-4, by UDP and by TCP: what is answered, and who
// was asked.
func TestAnswers(t *testing.T) {
	const a, aaaa, ptr = dnsmessage.TypeA, dnsmessage.TypeAAAA, dnsmessage.TypePTR
	six := reverse(netip.MustParseAddr("2001:db8::1")) + "."
	long := strings.Repeat(strings.Repeat("n", 62)+".", 4)
	for _, c := range []struct {
		name  string
		kind  dnsmessage.Type
		want  string
		asked string
	}{
		{"Both.Test.", a, "Success 203.0.113.5 203.0.113.6", "both.test"},
		{"both.test.", aaaa, "Success 2001:db8::1", "both.test"},
		{"six.test.", a, "Success", "six.test"},
		{"none.test.", a, "NameError", "none.test"},
		{"none.test.", aaaa, "NameError", "none.test"},
		{"private.test.", a, "Success", "private.test"},
		{"private.test.", aaaa, "Success", "private.test"},
		{"down.test.", a, "ServerFailure", "down.test"},
		{"slow.test.", a, "ServerFailure", "slow.test"},
		{long, a, "NameError", strings.TrimSuffix(long, ".")},
		{"both.test.", dnsmessage.TypeMX, "NotImplemented", ""},
		{"both.test.", dnsmessage.TypeTXT, "NotImplemented", ""},
		{"both.test.", dnsmessage.TypeALL, "NotImplemented", ""},
		{"both.test.", 65, "NotImplemented", ""},
		{"both.test.", ptr, "NotImplemented", ""},
		{"_http._tcp.example.com.", ptr, "NotImplemented", ""},
		{".", a, "Success", ""}, {".", dnsmessage.TypeNS, "NotImplemented", ""},
		{"5.113.0.203.in-addr.arpa.", ptr, "Success host.example.com. also.example.com.", "203.0.113.5"},
		{"5.113.0.203.IN-ADDR.ARPA.", ptr, "Success host.example.com. also.example.com.", "203.0.113.5"},
		{six, ptr, "Success six.example.com.", "2001:db8::1"},
		{"6.113.0.203.in-addr.arpa.", ptr, "NameError", "203.0.113.6"},
		{"113.0.203.in-addr.arpa.", ptr, "NotImplemented", ""},
		{"1.0.0.10.in-addr.arpa.", ptr, "NameError", ""},
		{"1.0.18.198.in-addr.arpa.", ptr, "NameError", ""},
		{"1.0.0.127.in-addr.arpa.", ptr, "Success localhost.", ""},
		{reverse(netip.IPv6Loopback()) + ".", ptr, "Success localhost.", ""},
		{"localhost.", a, "Success 127.0.0.1", ""}, {"x.LocalHost.", aaaa, "Success ::1", ""}, {"localhost.", dnsmessage.TypeMX, "NotImplemented", ""},
		{"x.onion.", a, "NameError", ""}, {"X.Onion.", dnsmessage.TypeMX, "NameError", ""}, {"onion.", aaaa, "NameError", ""},
		{"x.alt.", a, "NameError", ""}, {"chive.alt.", a, "NameError", ""}, {"printer.local.", a, "NameError", ""}, {"_x._tcp.local.", ptr, "NameError", ""},
		{"intranet.", a, "NameError", ""}, {"wpad.", aaaa, "NameError", ""}, {"com.", dnsmessage.TypeNS, "NameError", ""},
		{"bad name.test.", a, "NameError", ""}, {"1.2.3.4.", a, "NameError", ""},
		{"x.chive.alt.", a, "NameError", ""}, {testutil.ServiceName('x') + ".", a, "NameError", ""}, // no listener is named
	} {
		r := &resolver{}
		s := start(t, Config{Name: "dns", Resolver: r})
		got := text(s.query(t, c.name, c.kind))
		asked := strings.Join(r.all(), " ")
		if got != c.want || asked != c.asked {
			t.Errorf("%s %v: %q, want %q; asked %q", c.name, c.kind, got, c.want, asked)
		}
		tcp := dialTCP(t, s.tcp)
		tcp.send(ask(t, 8, c.name, c.kind))
		if m := tcp.receive(); text(m) != c.want || m.ID != 8 {
			t.Errorf("by TCP %s %v: %q", c.name, c.kind, text(m))
		}
	}
}

// TestServicesAreMapped: valid on the listeners named, for the client that asked;
// PTR leads back; forgotten with the table (DNS-2, DNS-3).
func TestServicesAreMapped(t *testing.T) {
	r, m := &resolver{}, proxy.NewAutomap(nil)
	s := start(t, Config{Name: "dns", Resolver: r, Automap: m, Listeners: []string{"main", "second"}})
	name := "www." + testutil.ServiceName('x')
	answer := s.query(t, "Www."+strings.ToUpper(testutil.ServiceName('x'))+".", dnsmessage.TypeA)
	if len(answer.Answers) != 1 || answer.Answers[0].Header.TTL != 60 {
		t.Fatal(text(answer))
	}
	addr := netip.AddrFrom4(answer.Answers[0].Body.(*dnsmessage.AResource).A)
	here, now := netip.MustParseAddr("127.0.0.1"), time.Now()
	for listener, want := range map[string]bool{"main": true, "second": true, "third": false, "dns": false} {
		if got, ok := m.Name(listener, here, addr, now); ok != want || ok && got != name {
			t.Errorf("%s: %q %v", listener, got, ok)
		}
	}
	if _, ok := m.Name("main", netip.MustParseAddr("127.0.0.2"), addr, now); ok {
		t.Error("valid for another client")
	}
	back := reverse(addr) + "."
	for _, c := range []struct {
		name string
		kind dnsmessage.Type
		want string
	}{{name + ".", dnsmessage.TypeA, "Success " + addr.String()}, {name + ".", dnsmessage.TypeAAAA, "Success"},
		{name + ".", dnsmessage.TypeMX, "NotImplemented"}, {"www.x.chive.alt.", dnsmessage.TypeA, "NameError"}, {"www.x.chive.alt.", dnsmessage.TypeAAAA, "NameError"}, // no service can have it
		{back, dnsmessage.TypePTR, "Success " + name + "."}} {
		if got := text(s.query(t, c.name, c.kind)); got != c.want {
			t.Errorf("%s: %q", c.name, got)
		}
	}
	m.Forget()
	if got := text(s.query(t, back, dnsmessage.TypePTR)); got != "NameError" {
		t.Errorf("forgotten: %q", got)
	}
	if len(r.all()) != 0 {
		t.Error("an exit was asked")
	}
}

// TestAnswersAreNoBareAddresses: both families are noted, private ones are not (SOCKS-13).
func TestAnswersAreNoBareAddresses(t *testing.T) {
	var l proxy.Lookups
	s := start(t, Config{Resolver: &resolver{}, Lookups: &l})
	s.query(t, "both.test.", dnsmessage.TypeA)
	s.query(t, "private.test.", dnsmessage.TypeA)
	for addr, want := range map[string]bool{"203.0.113.5": true, "203.0.113.6": true, "2001:db8::1": true, "10.0.0.1": false, "198.18.0.5": false} {
		if l.Has(netip.MustParseAddr(addr), time.Now()) != want {
			t.Errorf("%s: noted %v", addr, !want)
		}
	}
	if c := s.Counts(); c.Names != 2 || c.Queries != 2 {
		t.Errorf("%+v", c)
	}
}

// TestTestnetsAnswerPrivateAddresses but never mapped ones that came from an exit.
func TestTestnetsAnswerPrivateAddresses(t *testing.T) {
	r := &resolver{}
	s := start(t, Config{Resolver: r, Testnet: true})
	if got := text(s.query(t, "private.test.", dnsmessage.TypeA)); got != "Success 10.0.0.1 127.0.0.1" {
		t.Error(got)
	}
	if s.query(t, "1.0.0.10.in-addr.arpa.", dnsmessage.TypePTR); len(r.all()) != 1 {
		t.Error("an exit was asked for the name of a private address")
	}
}

// TestClientsHaveKeysOfTheirOwn: by address and listener (ISO-1).
func TestClientsHaveKeysOfTheirOwn(t *testing.T) {
	r := &resolver{}
	one, two := start(t, Config{Name: "one", Resolver: r}), start(t, Config{Name: "two", Resolver: r})
	one.query(t, "both.test.", dnsmessage.TypeA)
	one.query(t, "six.test.", dnsmessage.TypeA)
	two.query(t, "both.test.", dnsmessage.TypeA)
	other := dialUDP(t, "127.0.0.2", one.udp.RemoteAddr().(*net.UDPAddr))
	send(t, other, ask(t, 1, "both.test.", dnsmessage.TypeA))
	receive(t, other)
	c := dialTCP(t, one.tcp)
	c.send(ask(t, 1, "both.test.", dnsmessage.TypeA))
	c.receive()
	local := netip.MustParseAddr("127.0.0.1")
	if len(r.keys) != 3 || !r.keys[proxy.ListenerKey("one", local)] || !r.keys[proxy.ListenerKey("two", local)] || !r.keys[proxy.ListenerKey("one", netip.MustParseAddr("127.0.0.2"))] {
		t.Errorf("%d keys", len(r.keys))
	}
}

// TestWhatNoExitIsAskedHasAStory (product §4.6): the names that are refused here are told, in
// the proxy's words; others are not.
func TestWhatNoExitIsAskedHasAStory(t *testing.T) {
	var told []proxy.Refused
	s, err := New(Config{Resolver: &resolver{}, Refused: func(r proxy.Refused) { told = append(told, r) }})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"abc.onion.": "name_not_found", "x.alt.": "name_not_found", "printer.local.": "name_not_found", "printer.": "name_not_found", "bad.chive.alt.": "service_address_bad",
		"localhost.": "", "example.com.": "", "4.3.2.10.in-addr.arpa.": "",
	} {
		told = nil
		q, ok := parseQuery(ask(t, 7, name, dnsmessage.TypeA))
		if !ok {
			t.Fatal(name)
		}
		s.local(netip.MustParseAddr("127.0.0.1"), &q)
		if (len(told) == 1) != (want != "") || want != "" && (told[0].Reason != want || told[0].Kind != proxy.RefusedResolve || told[0].Text == "" || told[0].Target+"." != name) {
			t.Errorf("%s: %+v", name, told)
		}
	}
}
