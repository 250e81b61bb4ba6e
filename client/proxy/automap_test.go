// SPDX-License-Identifier: BSD-3-Clause

package proxy

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"chive/internal/testutil"
)

var mapStart = time.Unix(1e9, 0)

// seeded is randomness that a test can repeat.
type seeded struct{ *rand.ChaCha8 }

func newSeeded(seed byte) seeded { return seeded{rand.NewChaCha8([32]byte{seed})} }

// TestAutomapIsPerListenerAndClient is DNS-2: valid where it was given, for who
// asked, the same for all credentials, which have no say in it.
func TestAutomapIsPerListenerAndClient(t *testing.T) {
	m := NewAutomap(newSeeded(1))
	one, two := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2")
	a, ok := m.Map([]string{"main"}, one, "x.chive.alt", mapStart)
	if !ok || !Mapped(a) {
		t.Fatalf("%v %v", a, ok)
	}
	if again, _ := m.Map([]string{"main", "main"}, one, "x.chive.alt", mapStart); again != a {
		t.Error("not the same again")
	}
	others := map[netip.Addr]bool{a: true}
	for _, o := range []struct {
		listeners []string
		client    netip.Addr
		name      string
	}{{[]string{"other"}, one, "x.chive.alt"}, {[]string{"main"}, two, "x.chive.alt"}, {[]string{"main"}, one, "y.chive.alt"}, {[]string{"main"}, netip.Addr{}, "x.chive.alt"}} {
		b, _ := m.Map(o.listeners, o.client, o.name, mapStart)
		if others[b] {
			t.Errorf("%v has the address of another", o)
		}
		others[b] = true
	}
	for _, c := range []struct {
		listener string
		client   netip.Addr
		want     bool
	}{{"main", one, true}, {"main", netip.MustParseAddr("::ffff:127.0.0.1"), true}, {"other", one, false}, {"main", two, false}, {"main", netip.Addr{}, false}, {"", one, false}} {
		name, ok := m.Name(c.listener, c.client, a, mapStart)
		if ok != c.want || ok && name != "x.chive.alt" {
			t.Errorf("%v: %q %v", c, name, ok)
		}
	}
	b, _ := m.Map([]string{"b", "a"}, one, "z.chive.alt", mapStart)
	for listener, want := range map[string]bool{"a": true, "b": true, "c": false, "a\x00b": false} {
		if _, ok := m.Name(listener, one, b, mapStart); ok != want {
			t.Errorf("%q: %v", listener, ok)
		}
	}
	if again, _ := m.Map([]string{"a", "b"}, one, "z.chive.alt", mapStart); again != b {
		t.Error("the order of listeners matters")
	}
	if _, ok := m.Map(nil, one, "z.chive.alt", mapStart); ok {
		t.Error("valid nowhere, given nevertheless")
	}
	m.Forget()
	if _, ok := m.Name("main", one, a, mapStart); ok || m.used.Len() != 0 {
		t.Error("not forgotten")
	}
}

// TestAutomapEndsAnHourAfterItsLastUse: both kinds of use count.
func TestAutomapEndsAnHourAfterItsLastUse(t *testing.T) {
	m := NewAutomap(newSeeded(1))
	main, one := []string{"main"}, netip.MustParseAddr("127.0.0.1")
	a, _ := m.Map(main, one, "x.chive.alt", mapStart)
	now := mapStart
	for i := range 4 {
		now = now.Add(automapIdle - 1)
		if i%2 == 0 {
			if _, ok := m.Name("main", one, a, now); !ok {
				t.Fatal("over before its time")
			}
		} else if b, _ := m.Map(main, one, "x.chive.alt", now); b != a {
			t.Fatal("changed before its time")
		}
	}
	if _, ok := m.Name("other", one, a, now.Add(automapIdle-1)); ok {
		t.Error("another listener")
	}
	if _, ok := m.Name("main", one, a, now.Add(automapIdle)); ok || m.used.Len() != 0 {
		t.Error("kept too long, or a stranger's question counted as use")
	}
}

// TestAutomapAtItsBound: 4,096 stay; the next takes the place of the longest
// unused, whose address then leads nowhere (B31).
func TestAutomapAtItsBound(t *testing.T) {
	m := NewAutomap(newSeeded(1))
	main, one := []string{"main"}, netip.MustParseAddr("127.0.0.1")
	addrs := map[netip.Addr]bool{}
	list := make([]netip.Addr, automapKept)
	for i := range list {
		list[i], _ = m.Map(main, one, fmt.Sprint(i, ".chive.alt"), mapStart)
		addrs[list[i]] = true
	}
	if len(addrs) != automapKept || m.used.Len() != automapKept {
		t.Fatalf("%d addresses", len(addrs))
	}
	if _, ok := m.Name("main", one, list[0], mapStart.Add(1)); !ok { // used: now 1 is the longest unused
		t.Error("the first went before the bound")
	}
	extra, _ := m.Map(main, one, "extra.chive.alt", mapStart.Add(2))
	for i, want := range map[int]bool{0: true, 1: false, 2: true, automapKept - 1: true} {
		if _, ok := m.Name("main", one, list[i], mapStart.Add(3)); ok != want {
			t.Errorf("%d: %v", i, ok)
		}
	}
	if _, ok := m.Name("main", one, extra, mapStart.Add(3)); !ok || addrs[extra] || m.used.Len() != automapKept || len(m.byAddr) != automapKept || len(m.byName) != automapKept {
		t.Error("beyond the bound")
	}
}

// TestAutomapSurvivesBadRandomness: a source that repeats gives other addresses
// nevertheless; one that fails gives none.
func TestAutomapSurvivesBadRandomness(t *testing.T) {
	m := NewAutomap(bytes.NewReader(bytes.Repeat([]byte{0, 1, 0xFF, 0xFE}, 3)))
	one := netip.MustParseAddr("127.0.0.1")
	for i, want := range []string{"198.19.255.254", "198.18.0.1", "198.18.0.2"} {
		if a, ok := m.Map([]string{"main"}, one, fmt.Sprint(i), mapStart); !ok || a.String() != want {
			t.Errorf("%v %v", a, ok)
		}
	}
	if a, ok := m.Map([]string{"main"}, one, "x", mapStart); ok || a.IsValid() {
		t.Error("an address without randomness")
	}
}

// TestAutomapAgainstAModel: random orders of use, time and forgetting agree with
// a plain list.
func TestAutomapAgainstAModel(t *testing.T) {
	type entry struct {
		listener, client, name string
		addr                   netip.Addr
		last                   time.Time
	}
	rapid.Check(t, func(t *rapid.T) {
		var seed [4]byte
		binary.BigEndian.PutUint32(seed[:], rapid.Uint32().Draw(t, "seed"))
		m := NewAutomap(newSeeded(seed[3]))
		var model []entry
		now := mapStart
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 30).Draw(t, "minutes")) * time.Minute)
			live := model[:0]
			for _, e := range model {
				if now.Sub(e.last) < automapIdle {
					live = append(live, e)
				}
			}
			model = live
			e := entry{listener: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "listener"), client: rapid.SampledFrom([]string{"127.0.0.1", "::1"}).Draw(t, "client"),
				name: rapid.SampledFrom([]string{"x", "y"}).Draw(t, "name")}
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			case 0:
				m.Forget()
				model = nil
			case 1, 2, 3, 4:
				addr, ok := m.Map([]string{e.listener}, netip.MustParseAddr(e.client), e.name, now)
				if !ok {
					t.Fatal("refused")
				}
				found := false
				for i, o := range model {
					if same := o.listener == e.listener && o.client == e.client && o.name == e.name; same != (o.addr == addr) {
						t.Fatalf("%v and %v", o, addr)
					} else if same {
						found, model[i].last = true, now
					}
				}
				if e.addr, e.last = addr, now; !found {
					model = append(model, e)
				}
			default:
				if len(model) == 0 {
					continue
				}
				i := rapid.IntRange(0, len(model)-1).Draw(t, "which")
				name, ok := m.Name(e.listener, netip.MustParseAddr(e.client), model[i].addr, now)
				if want := model[i].listener == e.listener && model[i].client == e.client; ok != want || ok && name != model[i].name {
					t.Fatalf("%v: %q %v", model[i], name, ok)
				} else if ok {
					model[i].last = now
				}
			}
		}
	})
}

// TestMappedAddressesLeadToTheName: RESOLVE in both protocols, RESOLVE_PTR, then
// CONNECT with other credentials, which fails as the name itself does (DNS-2).
func TestMappedAddressesLeadToTheName(t *testing.T) {
	name := testutil.ServiceName('a')
	f := newFar(t, echo)
	shared := NewAutomap(nil)
	_, addr := start(t, Config{Options: Options{Name: "main", ExtendedErrors: true}, Dialer: f, Automap: shared})
	_, other := start(t, Config{Options: Options{Name: "other", ExtendedErrors: true}, Dialer: f, Automap: shared})
	_, off := start(t, Config{Options: Options{Name: "off", ExtendedErrors: true, NoAutomap: true}, Dialer: f, Automap: shared})
	ask := func(addr string, b []byte) []byte {
		p := open(t, addr)
		p.send(b)
		return p.rest()
	}
	upper := strings.ToUpper(name) + "."
	got := ask(addr, cat(5, 1, 2, 1, 1, "u", 1, "p", 5, 0xF0, 0, 3, len(upper), upper, 0, 0))
	if len(got) != 2+2+10 || got[5] != 0 || got[7] != 1 || !Mapped(netip.AddrFrom4([4]byte(got[8:12]))) {
		t.Fatalf("% x", got)
	}
	ip := got[8:12]
	if again := ask(addr, cat(4, 0xF0, 0, 0, 0, 0, 0, 1, 0, name, 0)); !bytes.Equal(again, cat(0, 90, 0, 0, ip)) {
		t.Errorf("by SOCKS4a % x", again)
	}
	if ptr := ask(addr, cat(5, 1, 0, 5, 0xF1, 0, 1, ip, 0, 0)); !bytes.Equal(ptr, cat(5, 0, 5, 0, 0, 3, len(name), name, 0, 0)) {
		t.Errorf("% x", ptr)
	}
	connect := cat(5, 1, 0, 5, 1, 0, 1, ip, 0, 80)
	text := netip.AddrFrom4([4]byte(ip)).String()
	for _, c := range []struct {
		name, addr string
		send       []byte
		code       byte
	}{
		{"by address", addr, connect, 0xF0},
		{"by text in a name field", addr, cat(5, 1, 0, 5, 1, 0, 3, len(text), text, 0, 80), 0xF0},
		{"by name", addr, cat(5, 1, 0, 5, 1, 0, 3, len(name), name, 0, 80), 0xF0},
		{"on another listener", other, connect, 2},
		{"on one without automap", off, connect, 2},
		{"RESOLVE without automap", off, cat(5, 1, 0, 5, 0xF0, 0, 3, len(name), name, 0, 0), 0xF0},
		{"RESOLVE of what no service can have", addr, cat(5, 1, 0, 5, 0xF0, 0, 3, 11, "x.chive.alt", 0, 0), 0xF6},
		{"RESOLVE_PTR elsewhere", other, cat(5, 1, 0, 5, 0xF1, 0, 1, ip, 0, 0), 2},
	} {
		if got := ask(c.addr, c.send); len(got) != 12 || got[3] != c.code {
			t.Errorf("%s: % x", c.name, got)
		}
	}
	for _, request := range []string{"CONNECT " + text + ":80 HTTP/1.1\r\n\r\n", "GET http://" + text + "/ HTTP/1.1\r\nHost: x\r\n\r\n"} {
		if b := string(ask(addr, []byte(request))); !strings.Contains(b, "X-Chive-Error: service_not_found\r\n") {
			t.Errorf("%q", b)
		}
	}
	shared.Forget()
	if got := ask(addr, connect); len(got) != 12 || got[3] != 2 {
		t.Errorf("forgotten: % x", got)
	}
	if n := len(f.dialled()); n != 0 {
		t.Errorf("%d dials", n)
	}
}

// TestMappedAddressesAreNoBareOnes: they came from chive, and refuse_ip takes them.
func TestMappedAddressesAreNoBareOnes(t *testing.T) {
	s := admitServer(t, Options{Name: "main", RefuseIP: true})
	client := netip.MustParseAddr("127.0.0.1")
	ip, _ := s.automap.Map([]string{"main"}, client, testutil.ServiceName('x'), time.Now())
	_, err := s.admit(client, address{ip: ip, port: 80})
	if r := refusal(""); !errors.As(err, new(told)) || outcomeFor(err).reason != reasonServiceNotFound || errors.As(err, &r) {
		t.Errorf("%v", err)
	}
	if c := s.Counts(); c.BareAddresses != 0 || c.Names != 1 {
		t.Errorf("%+v", c)
	}
}
