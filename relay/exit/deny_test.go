// SPDX-License-Identifier: BSD-3-Clause

package exit

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"chive/internal/testutil"
)

// hostile is one host that must never be contacted: a literal, or a name with
// the answers of its first look-up and of those later than the cache's time.
type hostile struct {
	name    string
	host    string
	answers []string // of a name
	later   []string // of a name that changes its mind
	keeps   []string // addresses that RESOLVE may still tell
}

var hostiles = []hostile{
	{name: "loopback", host: "127.0.0.1"},
	{name: "loopback's last", host: "127.255.255.255"},
	{name: "this host", host: "0.0.0.0"},
	{name: "this network", host: "0.255.255.255"},
	{name: "ten", host: "10.0.0.1"},
	{name: "ten's last", host: "10.255.255.255"},
	{name: "carrier NAT", host: "100.64.0.1"},
	{name: "carrier NAT's last", host: "100.127.255.255"},
	{name: "metadata in carrier NAT", host: "100.100.100.200"},
	{name: "link-local", host: "169.254.0.1"},
	{name: "metadata", host: "169.254.169.254"},
	{name: "container metadata", host: "169.254.170.2"},
	{name: "172.16", host: "172.16.0.1"},
	{name: "172.31", host: "172.31.255.255"},
	{name: "protocol assignments", host: "192.0.0.1"},
	{name: "metadata in protocol assignments", host: "192.0.0.192"},
	{name: "metadata on a public address", host: "168.63.129.16"},
	{name: "192.168", host: "192.168.1.1"},
	{name: "documentation 1", host: "192.0.2.1"},
	{name: "documentation 2", host: "198.51.100.1"},
	{name: "documentation 3", host: "203.0.113.1"},
	{name: "benchmark", host: "198.18.0.1"},
	{name: "benchmark's last", host: "198.19.255.255"},
	{name: "6to4 relay", host: "192.88.99.1"},
	{name: "multicast", host: "224.0.0.251"},
	{name: "multicast's last", host: "239.255.255.250"},
	{name: "reserved", host: "240.0.0.1"},
	{name: "broadcast", host: "255.255.255.255"},
	{name: "own IPv4", host: "5.5.5.5"},
	{name: "own IPv6", host: "2600:5::5"},
	{name: "own IPv6 in brackets", host: "[2600:5::5]"},
	{name: "own IPv4 mapped", host: "::ffff:5.5.5.5"},
	{name: "own IPv4 by NAT64", host: "64:ff9b::505:505"},
	{name: "unspecified", host: "::"},
	{name: "loopback 6", host: "::1"},
	{name: "loopback 6 in brackets", host: "[::1]"},
	{name: "loopback 6 in full", host: "0:0:0:0:0:0:0:1"},
	{name: "compatible", host: "::127.0.0.1"},
	{name: "compatible public", host: "::8.8.8.8"},
	{name: "mapped loopback", host: "::ffff:127.0.0.1"},
	{name: "mapped loopback in hex", host: "::ffff:7f00:1"},
	{name: "mapped in brackets", host: "[::ffff:10.1.2.3]"},
	{name: "mapped metadata", host: "::FFFF:169.254.169.254"},
	{name: "translated (SIIT)", host: "::ffff:0:127.0.0.1"},
	{name: "NAT64 loopback", host: "64:ff9b::7f00:1"},
	{name: "NAT64 metadata", host: "64:ff9b::169.254.169.254"},
	{name: "NAT64 private", host: "64:ff9b::192.168.0.1"},
	{name: "NAT64 zero", host: "64:ff9b::"},
	{name: "local NAT64", host: "64:ff9b:1::8.8.8.8"},
	{name: "discard", host: "100::1"},
	{name: "Teredo", host: "2001::1"},
	{name: "Teredo with loopback", host: "2001:0:7f00:1::"},
	{name: "benchmark 6", host: "2001:2::1"},
	{name: "identifiers", host: "2001:10::1"},
	{name: "identifiers 2", host: "2001:20::1"},
	{name: "documentation 6", host: "2001:db8::1"},
	{name: "new documentation 6", host: "3fff::1"},
	{name: "6to4 loopback", host: "2002:7f00:1::"},
	{name: "6to4 private", host: "2002:a00:1::1"},
	{name: "unique local", host: "fc00::1"},
	{name: "metadata 6", host: "fd00:ec2::254"},
	{name: "link-local 6", host: "fe80::1"},
	{name: "link-local 6 with zone", host: "fe80::1%eth0"},
	{name: "public with zone", host: "2606:4700::1111%1"},
	{name: "site-local", host: "fec0::1"},
	{name: "multicast 6", host: "ff02::1"},
	{name: "unassigned 6", host: "4000::1"},
	{name: "segment routing", host: "5f00::1"},

	{name: "short loopback", host: "127.1"},
	{name: "decimal loopback", host: "2130706433"},
	{name: "hex loopback", host: "0x7f000001"},
	{name: "hex label", host: "0x7f.1"},
	{name: "octal loopback", host: "0177.0.0.1"},
	{name: "leading zeros", host: "127.000.000.001"},
	{name: "loopback with a dot", host: "127.0.0.1."},
	{name: "metadata with a dot", host: "169.254.169.254."},
	{name: "numeric last label", host: "a.1"},
	{name: "brackets around IPv4", host: "[127.0.0.1]"},
	{name: "port in the host", host: "127.0.0.1:80"},
	{name: "prefix", host: "127.0.0.0/8"},
	{name: "user part", host: "a@127.0.0.1"},
	{name: "full-width dots", host: "127。0。0。1"},
	{name: "NUL", host: "a.example\x00.b"},
	{name: "space", host: "127.0.0.1 "},
	{name: "empty", host: ""},
	{name: "dot", host: "."},

	{name: "localhost", host: "localhost", answers: []string{"127.0.0.1", "::1"}},
	{name: "LOCALHOST.", host: "LOCALHOST.", answers: []string{"127.0.0.1"}},
	{name: "below localhost", host: "x.localhost", answers: []string{"127.0.0.1"}},
	{name: "single label", host: "router", answers: []string{"192.168.1.1"}},
	{name: "mDNS", host: "printer.local", answers: []string{"8.8.8.8"}},
	{name: "internal", host: "metadata.google.internal", answers: []string{"169.254.169.254"}},
	{name: "onion", host: "x.onion", answers: []string{"8.8.8.8"}},
	{name: "own names", host: "x.chive.alt", answers: []string{"8.8.8.8"}},
	{name: "name to loopback", host: "loop.example", answers: []string{"127.0.0.1"}},
	{name: "name to private", host: "lan.example", answers: []string{"192.168.1.1"}},
	{name: "name to metadata", host: "meta.example", answers: []string{"169.254.169.254"}},
	{name: "name to zero", host: "zero.example", answers: []string{"0.0.0.0"}},
	{name: "name to mapped", host: "mapped.example", answers: []string{"::ffff:10.0.0.1"}},
	{name: "name to NAT64", host: "nat64.example", answers: []string{"64:ff9b::7f00:1"}},
	{name: "name to zone", host: "zone.example", answers: []string{"fe80::1%lo"}},
	{name: "name to own", host: "own.example", answers: []string{"5.5.5.5"}},
	{name: "name to own 6", host: "own6.example", answers: []string{"2600:5::5"}},
	{name: "name to unusable", host: "doc.example", answers: []string{"192.0.2.1", "2001:db8::1"}},
	{name: "two answers, one private", host: "two.example", answers: []string{"8.8.8.8", "10.0.0.1"}, keeps: []string{"8.8.8.8"}},
	{name: "private first", host: "first.example", answers: []string{"10.0.0.1", "8.8.8.8"}, keeps: []string{"8.8.8.8"}},
	{name: "private in the other version", host: "other.example", answers: []string{"8.8.8.8", "fd00::1"}, keeps: []string{"8.8.8.8"}},
	{name: "chain of names to loopback", host: "alias.example", answers: []string{"127.0.0.53"}}, // a resolver follows CNAME itself
	{name: "rebinding", host: "rebind.example", answers: []string{"127.0.0.1"}, later: []string{"10.0.0.1"}},
	{name: "rebinding to own", host: "rebind2.example", answers: []string{"169.254.169.254"}, later: []string{"5.5.5.5"}},
}

// TestHostileHostsAreNeverContacted is the exit's half of T33: every hostile
// host, for TCP, UDP and RESOLVE, with the widest policy there is.
// Spec: EXIT-2, EXIT-3.
func TestHostileHostsAreNeverContacted(t *testing.T) {
	if len(hostiles) < 60 {
		t.Fatalf("%d cases, at least 60 are promised", len(hostiles))
	}
	testutil.Bubble(t, func(t *testing.T) {
		for _, test := range hostiles {
			neverContacted(t, test)
		}
	})
}

func neverContacted(t *testing.T, test hostile) {
	answers := test.answers
	n := &fakeNet{lookup: func(context.Context, string) ([]netip.Addr, error) { return addrs(answers...), nil }}
	e := newExit(t, n, nil)
	c := e.NewCircuit()
	udp, err := c.OpenUDP()
	if err != nil {
		t.Fatal(err)
	}
	refused := func(what string, err error) {
		if r := ReasonOf(err); r != ReasonPolicy && r != ReasonUnresolvable {
			t.Errorf("%s: %s: %v", test.name, what, err)
		}
	}
	for round := range 2 {
		for _, six := range []bool{false, true} {
			conn, err := c.Dial(t.Context(), test.host, 443, six)
			if err == nil {
				conn.Close()
			}
			refused("Dial", err)
		}
		refused("Send", udp.Send(t.Context(), test.host, 53, []byte("x")))
		got, _, err := c.Resolve(t.Context(), test.host)
		if len(test.keeps) == 0 {
			refused("Resolve", err)
		}
		if !slices.Equal(got, addrs(test.keeps...)) {
			t.Errorf("%s: Resolve told %v", test.name, got)
		}
		if a, err := netip.ParseAddr(strings.Trim(test.host, "[]")); err == nil {
			_, _, err := c.ResolveAddr(t.Context(), a)
			refused("ResolveAddr", err)
		}
		if dialled, sent := n.contacts(); len(dialled) != 0 || len(sent) != 0 {
			t.Errorf("%s: contacted TCP %v, UDP %v", test.name, dialled, sent)
		}
		if test.later == nil {
			break
		}
		if round == 0 {
			answers = test.later
			udp.Close()
			pass(AddrTTL)
			if udp, err = c.OpenUDP(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if c := e.Counters(); c.Private != c.Denied || c.Private == 0 && c.Lookups[ReasonUnresolvable]+c.Streams[ReasonUnresolvable] == 0 {
		t.Errorf("%s: %d of %d refusals are counted as the judge's", test.name, c.Private, c.Denied)
	}
	if len(test.answers) == 0 && len(n.questions()) != 0 {
		t.Errorf("%s: the resolver was asked: %v", test.name, n.questions())
	}
	c.Close()
	wantIdle(t, e)
}

func TestNamesWithoutPublicMeaningAreNotAskedFor(t *testing.T) {
	n := &fakeNet{}
	c := newExit(t, n, nil).NewCircuit()
	for _, host := range []string{"localhost", "a.localhost", "router", "a.local", "a.onion", "b.alt", "a.home.arpa", "a.internal", "a.invalid"} {
		_, err := c.Dial(t.Context(), host, 80, false)
		wantReason(t, err, ReasonUnresolvable)
	}
	if q := n.questions(); len(q) != 0 {
		t.Errorf("asked for %v", q)
	}
}

// TestRebindingAfterASuccessIsRefused: the first answer is public and is
// connected to; the second one is inside.
func TestRebindingAfterASuccessIsRefused(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		answer := "8.8.8.8"
		n := &fakeNet{lookup: func(context.Context, string) ([]netip.Addr, error) { return addrs(answer), nil }}
		e := newExit(t, n, nil)
		c := e.NewCircuit()
		defer c.Close()
		if _, err := c.Dial(t.Context(), "a.example", 443, false); err != nil {
			t.Fatal(err)
		}
		answer = "127.0.0.1"
		if _, err := c.Dial(t.Context(), "a.example", 443, false); err != nil {
			t.Fatalf("within the cache's time: %v", err)
		}
		pass(AddrTTL)
		_, err := c.Dial(t.Context(), "a.example", 443, false)
		wantReason(t, err, ReasonPolicy)
		for _, a := range n.dialled {
			if a != netip.MustParseAddrPort("8.8.8.8:443") {
				t.Errorf("dialled %v", a)
			}
		}
	})
}

func TestUnusableAnswersDoNotSpoilGoodOnes(t *testing.T) {
	n := &fakeNet{lookup: func(context.Context, string) ([]netip.Addr, error) {
		return addrs("2002:808:808::1", "2001:db8::1", "8.8.8.8"), nil
	}}
	c := newExit(t, n, nil).NewCircuit()
	defer c.Close()
	conn, err := c.Dial(t.Context(), "a.example", 443, true)
	if err != nil {
		t.Fatal(err)
	}
	if conn.Target() != netip.MustParseAddrPort("8.8.8.8:443") || len(n.dialled) != 1 {
		t.Errorf("dialled %v", n.dialled)
	}
}

func TestRelaysLinksAreClosedAtTheirPortOnly(t *testing.T) {
	n := &fakeNet{}
	c := newExit(t, n, nil).NewCircuit()
	defer c.Close()
	for _, host := range []string{"7.7.7.7", "::ffff:7.7.7.7", "64:ff9b::707:707"} {
		_, err := c.Dial(t.Context(), host, 9240, false)
		wantReason(t, err, ReasonPolicy)
	}
	if len(n.dialled) != 0 {
		t.Fatalf("dialled %v", n.dialled)
	}
	if _, err := c.Dial(t.Context(), "7.7.7.7", 443, false); err != nil {
		t.Errorf("a relay's web server: %v", err)
	}
}

func TestPublicAddressesAreDialled(t *testing.T) {
	for _, a := range []string{
		"1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0",
		"169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.0", "192.167.255.255", "192.169.0.0",
		"198.17.255.255", "198.20.0.0", "223.255.255.255", "168.63.129.15", "168.63.129.17",
		"2000::", "2001:1::1", "2001:200::", "2001:db7:ffff::1", "2001:db9::", "2003::", "2606:4700::1111", "3ffe::1", "3fff:1000::",
		"::ffff:8.8.8.8", "64:ff9b::808:808",
	} {
		e := newExit(t, &fakeNet{}, nil)
		if v := e.judge(netip.AddrPortFrom(netip.MustParseAddr(a), 443)); v != public {
			t.Errorf("%s: verdict %d", a, v)
		}
	}
}

// TestTestnetPermitsLoopbackBesideThePublic: of what is this host's or its networks' nothing
// else; public addresses are judged as anywhere.
func TestTestnetPermitsLoopbackBesideThePublic(t *testing.T) {
	closed := netip.MustParseAddrPort("127.0.0.1:9240")
	e := newExit(t, &fakeNet{}, func(c *Config) {
		c.Testnet = true
		c.Own = func() ([]netip.Addr, error) { return addrs("127.0.0.1", "5.5.5.5"), nil }
		c.Forbidden = func(a netip.AddrPort) bool { return a == closed }
	})
	for host, want := range map[string]verdict{
		"127.0.0.1:80": public, "127.9.9.9:80": public, "[::1]:80": public, "[::ffff:127.0.0.1]:80": public,
		"127.0.0.1:9240": inside, "[::ffff:127.0.0.1]:9240": inside,
		"8.8.8.8:80": public, "[2600::1]:80": public, "[::ffff:8.8.8.8]:80": public, "[64:ff9b::808:808]:80": public,
		"10.0.0.1:80": inside, "169.254.169.254:80": inside, "0.0.0.0:80": inside, "[::]:80": inside, "5.5.5.5:80": inside,
		"[64:ff9b::7f00:1]:80": inside, "[::127.0.0.1]:80": inside, "[fd00::1]:80": inside, "192.0.2.1:80": unusable,
	} {
		if got := e.judge(netip.MustParseAddrPort(host)); got != want {
			t.Errorf("%s: verdict %d, want %d", host, got, want)
		}
	}
	if newExit(t, &fakeNet{}, nil).judge(netip.MustParseAddrPort("127.0.0.1:80")) != inside {
		t.Error("without the testnet flag loopback is open")
	}
}

func TestWithoutOwnAddressesNothingIsDialled(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		var list []netip.Addr
		err := errors.New("no interfaces")
		e := newExit(t, &fakeNet{}, func(c *Config) {
			c.Own = func() ([]netip.Addr, error) { return list, err }
		})
		target := netip.MustParseAddrPort("8.8.8.8:80")
		if e.judge(target) != inside {
			t.Error("dialled although the own addresses are unknown")
		}
		err = nil
		if e.judge(target) != public {
			t.Error("not dialled although the own addresses are known")
		}
		list = addrs("8.8.8.8") // a new address of this host
		pass(ownRefresh)
		if e.judge(target) != inside {
			t.Error("a new own address is not noticed")
		}
		err = errors.New("no interfaces")
		pass(ownRefresh)
		if e.judge(target) != inside || e.judge(netip.MustParseAddrPort("9.9.9.9:80")) != public {
			t.Error("a failure forgets the last list")
		}
	})
}

// Spec: EXIT-3.
func TestSystemJudgesInTheDialHook(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	target := listener.Addr().(*net.TCPAddr).AddrPort()
	accepted := make(chan struct{}, 8)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			accepted <- struct{}{}
			conn.Close()
		}
	}()
	for name, n := range map[string]Network{
		"value":   newExit(t, System{}, nil).net,
		"pointer": newExit(t, &System{}, nil).net,
		"no exit": System{},
	} {
		for _, to := range []netip.AddrPort{target, netip.AddrPortFrom(netip.MustParseAddr("::ffff:127.0.0.1"), target.Port())} {
			conn, err := n.DialTCP(t.Context(), to)
			if err == nil {
				conn.Close()
			}
			wantReason(t, err, ReasonPolicy)
			if len(accepted) != 0 {
				t.Errorf("%s: a connection arrived", name)
			}
		}
	}
	open := newExit(t, System{}, func(c *Config) { c.Testnet = true }).net
	conn, err := open.DialTCP(t.Context(), target)
	if err != nil {
		t.Fatalf("in a testnet: %v", err)
	}
	conn.Close()
	select {
	case <-accepted:
	case <-time.After(5 * time.Second):
		t.Error("the connection never arrived: the test proves nothing")
	}
}

func TestInterfaceAddrsHoldLoopback(t *testing.T) {
	list, err := InterfaceAddrs()
	if err != nil {
		t.Skip("no interfaces to be had here")
	}
	for _, a := range list {
		if a.IsLoopback() {
			return
		}
	}
	t.Errorf("no loopback among %d addresses", len(list))
}

func TestConfigMustBeWhole(t *testing.T) {
	whole := Config{
		Network: &fakeNet{}, Policy: new(Policy),
		Own:       func() ([]netip.Addr, error) { return nil, nil },
		Forbidden: func(netip.AddrPort) bool { return false },
	}
	for name, drop := range map[string]func(*Config){
		"network":   func(c *Config) { c.Network = nil },
		"policy":    func(c *Config) { c.Policy = nil },
		"own":       func(c *Config) { c.Own = nil },
		"forbidden": func(c *Config) { c.Forbidden = nil },
	} {
		c := whole
		drop(&c)
		if _, err := New(c); !errors.Is(err, ErrConfig) {
			t.Errorf("without %s: %v", name, err)
		}
	}
}

// secondRange is a row of the second opinion on addresses: first and last,
// written out from the page of the specification and the registries by hand.
type secondRange struct{ first, last string }

var secondOpinion = []secondRange{
	{"0.0.0.0", "0.255.255.255"}, {"10.0.0.0", "10.255.255.255"}, {"100.64.0.0", "100.127.255.255"},
	{"127.0.0.0", "127.255.255.255"}, {"168.63.129.16", "168.63.129.16"}, {"169.254.0.0", "169.254.255.255"},
	{"172.16.0.0", "172.31.255.255"}, {"192.0.0.0", "192.0.0.255"}, {"192.0.2.0", "192.0.2.255"},
	{"192.88.99.0", "192.88.99.255"}, {"192.168.0.0", "192.168.255.255"}, {"198.18.0.0", "198.19.255.255"},
	{"198.51.100.0", "198.51.100.255"}, {"203.0.113.0", "203.0.113.255"}, {"224.0.0.0", "255.255.255.255"},
	{"::", "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
	{"2001::", "2001:0:ffff:ffff:ffff:ffff:ffff:ffff"},
	{"2001:2::", "2001:2:0:ffff:ffff:ffff:ffff:ffff"},
	{"2001:10::", "2001:1f:ffff:ffff:ffff:ffff:ffff:ffff"},
	{"2001:20::", "2001:2f:ffff:ffff:ffff:ffff:ffff:ffff"},
	{"2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"},
	{"2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
	{"3fff::", "3fff:0fff:ffff:ffff:ffff:ffff:ffff:ffff"},
	{"4000::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
}

// mayDialSecond judges bytes of an address without netip's help.
func mayDialSecond(raw []byte, own [][]byte, link []byte, linkPort, port uint16) bool {
	if len(raw) == 16 {
		mapped := append(make([]byte, 10), 0xff, 0xff)
		nat64 := []byte{0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0}
		if bytes.HasPrefix(raw, mapped) || bytes.HasPrefix(raw, nat64) {
			raw = raw[12:]
		}
	}
	for _, r := range secondOpinion {
		first, last := net.ParseIP(r.first).To16(), net.ParseIP(r.last).To16()
		if strings.Contains(r.first, ".") {
			first, last = first.To4(), last.To4()
		}
		if len(first) == len(raw) && bytes.Compare(first, raw) <= 0 && bytes.Compare(raw, last) <= 0 {
			return false
		}
	}
	for _, o := range own {
		if bytes.Equal(o, raw) {
			return false
		}
	}
	return !(bytes.Equal(link, raw) && port == linkPort)
}

func compareJudges(t testing.TB, e *Exit, raw []byte, port uint16) {
	a, ok := netip.AddrFromSlice(raw)
	if !ok {
		return
	}
	own := [][]byte{ownAddr4.AsSlice(), ownAddr6.AsSlice()}
	want := mayDialSecond(raw, own, relayLink.Addr().AsSlice(), relayLink.Port(), port)
	if got := e.judge(netip.AddrPortFrom(a, port)) == public; got != want {
		t.Errorf("%v port %d: dialled %v, second opinion %v", a, port, got, want)
	}
	if private := judgeRange(unwrap(a)) != public; private && want {
		t.Errorf("%v is private and may be dialled", a)
	}
}

// edges returns the ends of every range of both opinions, and what lies beside.
func edges() (out [][]byte) {
	add := func(a netip.Addr) {
		for _, x := range []netip.Addr{a.Prev(), a, a.Next()} {
			if !x.IsValid() {
				continue
			}
			out = append(out, x.AsSlice())
			if x.Is4() {
				four := x.AsSlice()
				sixteen := x.As16()
				out = append(out, sixteen[:], append([]byte{0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0}, four...))
			}
		}
	}
	for _, r := range secondOpinion {
		add(netip.MustParseAddr(r.first))
		add(netip.MustParseAddr(r.last))
	}
	for _, r := range append(append([]deniedRange{{prefix: translated}}, denied4...), denied6...) {
		add(r.prefix.Addr())
		last := r.prefix.Addr().AsSlice()
		for i := r.prefix.Bits(); i < len(last)*8; i++ {
			last[i/8] |= 0x80 >> (i % 8)
		}
		a, _ := netip.AddrFromSlice(last)
		add(a)
	}
	for _, a := range []netip.Addr{ownAddr4, ownAddr6, relayLink.Addr()} {
		add(a)
	}
	return out
}

func TestBothJudgesAgreeAtEveryEdge(t *testing.T) {
	e := newExit(t, &fakeNet{}, nil)
	for _, raw := range edges() {
		compareJudges(t, e, raw, 443)
		compareJudges(t, e, raw, relayLink.Port())
	}
}

func FuzzAddressJudge(f *testing.F) {
	for _, raw := range edges() {
		f.Add(raw, uint16(443))
		f.Add(raw, relayLink.Port())
	}
	e := newExit(f, &fakeNet{}, nil)
	f.Fuzz(func(t *testing.T, raw []byte, port uint16) { compareJudges(t, e, raw, port) })
}
