// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"chive/directory/genesis"
	"chive/internal/control"
	"chive/internal/nat"
)

// natGateway is an address on loopback at which a fake router can have the port of
// NAT-PMP; nobodyThere is one at which nobody answers UPnP.
var (
	natGateway  = netip.MustParseAddr("127.53.52.1")
	nobodyThere = netip.MustParseAddrPort("127.53.52.2:9")
)

// router is a fake one that speaks NAT-PMP (RFC 6886) and forwards nothing.
type router struct {
	mu      sync.Mutex
	outside netip.Addr
	ports   map[uint16]uint16 // outside: inside
}

func startRouter(t *testing.T, outside string, lease uint32) *router {
	t.Helper()
	c, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(natGateway, 5351)))
	if err != nil {
		t.Skipf("SKIPPED: port 5351 of %v is taken", natGateway)
	}
	r := &router{outside: netip.MustParseAddr(outside), ports: map[uint16]uint16{}}
	done := make(chan struct{})
	t.Cleanup(func() {
		c.Close()
		<-done
	})
	go func() {
		defer close(done)
		b := make([]byte, 100)
		for {
			n, from, err := c.ReadFromUDP(b)
			if err != nil {
				return
			}
			if reply := r.reply(b[:n], lease); reply != nil {
				_, _ = c.WriteToUDP(reply, from)
			}
		}
	}()
	return r
}

func (r *router) reply(b []byte, lease uint32) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	reply := []byte{0, b[1] | 0x80, 0, 0, 0, 0, 0, 9}
	if b[1] == 0 {
		ip := r.outside.As4()
		return append(reply, ip[:]...)
	}
	if len(b) != 12 {
		return nil
	}
	inside, want, seconds := binary.BigEndian.Uint16(b[4:]), binary.BigEndian.Uint16(b[6:]), binary.BigEndian.Uint32(b[8:])
	if seconds == 0 {
		for at, to := range r.ports {
			if to == inside {
				delete(r.ports, at)
			}
		}
		lease = 0
	} else {
		r.ports[want] = inside
	}
	reply = append(reply, b[4:8]...)
	return binary.BigEndian.AppendUint32(reply, lease)
}

func (r *router) moves(to string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.outside = netip.MustParseAddr(to)
}

func (r *router) forwards() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.ports)
}

// homeless makes a relay that has been told no address, in a testnet whose founders do
// not run.
func homeless(t *testing.T) (state, doc string) {
	t.Helper()
	w := found(t, 3, nil)
	w.sign(t)
	s := stateOf(t, w.dir+"/homeless")
	if _, err := s.Init(InitOptions{Find: true}, rand.Reader, time.Now()); err != nil {
		t.Fatal(err)
	}
	s.Close()
	return s.Dir(), w.doc
}

// noInterfaces is a machine without a public address.
func noInterfaces() ([]netip.Addr, error) { return nil, nil }

// TestARelayBehindARouterHasItForwardAPort: what it gave is published, a change of the
// address is followed, and the lease ends with the relay. Spec: REL-8.
func TestARelayBehindARouterHasItForwardAPort(t *testing.T) {
	home := startRouter(t, "203.0.113.5", 1)
	dir, doc := homeless(t)
	port := netip.MustParseAddrPort(freePort(t)).Port()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ready, told := make(chan RelayReady, 1), make(chan string, 64)
	sources := make(chan control.Source, 1)
	ended := make(chan error, 1)
	o := RelayOptions{
		State: dir, Genesis: doc, Listen: netip.AddrPortFrom(netip.IPv4Unspecified(), port).String(), Drain: -1,
		NAT:   &NATOptions{nat.Config{Gateway: natGateway, Search: nobodyThere, Addresses: noInterfaces, Timeout: time.Second}, true},
		Ready: func(r RelayReady) { ready <- r }, Serving: func(s control.Source) { sources <- s },
		Tell: func(text string) {
			select {
			case told <- text:
			default:
			}
		},
	}
	go func() { ended <- RunRelay(ctx, o) }()
	outside := netip.AddrPortFrom(netip.MustParseAddr("203.0.113.5"), port)
	select {
	case r := <-ready:
		if !slices.Equal(r.Published, []netip.AddrPort{outside}) || r.ConfirmedBy != 0 {
			t.Errorf("%+v", r)
		}
	case err := <-ended:
		t.Fatal(err)
	}
	hear := func(want string) {
		t.Helper()
		for {
			select {
			case text := <-told:
				if strings.Contains(text, want) {
					return
				}
			case <-time.After(10 * time.Second):
				t.Fatalf("it was not told: %s", want)
			}
		}
	}
	hear("the router is asked to forward TCP port ")
	hear("The router forwards " + outside.String() + " to this machine (NAT-PMP).")

	home.moves("203.0.113.77")
	hear("Others reach this relay at 203.0.113.77:")
	status := (<-sources).Status()
	if p := status.Relays[0].Published; len(p) > 0 && p[0] == outside.String() {
		t.Errorf("it publishes %v still", p)
	}
	if home.forwards() != 1 {
		t.Errorf("the router forwards %d ports", home.forwards())
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if home.forwards() != 0 {
		t.Error("the lease was not released")
	}
	if kept, err := stateOf(t, dir).readDeclared(); err != nil || len(kept.Addresses) != 0 {
		t.Errorf("what was found is kept as if it had been said: %v %v", kept.Addresses, err)
	}
}

// TestWhereARelayIs without a word of its operator's.
func TestWhereARelayIs(t *testing.T) {
	dir, doc := homeless(t)
	public := netip.MustParseAddr("11.22.33.44")
	six := netip.MustParseAddr("2600::5")
	own := func(all ...netip.Addr) func() ([]netip.Addr, error) {
		return func() ([]netip.Addr, error) { return slices.Clone(all), nil }
	}
	here := netip.MustParseAddr("192.168.1.5")
	for name, c := range map[string]struct {
		listen    string
		addresses func() ([]netip.Addr, error)
		want      string
		missing   string // what the fault says
	}{
		"a public address of its own": {"0.0.0.0:9240", own(here, public), "11.22.33.44:9240", ""},
		"and one of IPv6":             {"[::]:9240", own(here, public, six), "11.22.33.44:9240 [2600::5]:9240", ""},
		"IPv6 alone":                  {"[::]:9240", own(here, six), "[2600::5]:9240", ""},
		"IPv6 where IPv4 is served":   {"0.0.0.0:9240", own(here, six), "", "Forward TCP port 9240 on your router"},
		"no router":                   {"0.0.0.0:9240", own(here), "", "Forward TCP port 9240 on your router to this host"},
		"it listens elsewhere":        {"192.168.1.5:9240", own(here, public), "", "Forward TCP port 9240"},
	} {
		s, err := OpenState(dir)
		if err != nil {
			t.Fatal(err)
		}
		o := RelayOptions{State: dir, Genesis: doc, Listen: c.listen, NAT: &NATOptions{nat.Config{Gateway: netip.MustParseAddr("127.53.52.3"), Search: nobodyThere, Addresses: c.addresses, Timeout: 200 * time.Millisecond}, true}}
		r, err := prepareRelay(t.Context(), o, s)
		if c.missing != "" {
			f := wantFault(t, err, missingCode)
			if !strings.Contains(f.Fix, c.missing) || !strings.Contains(f.Text, "nobody would reach a relay on it. Others cannot reach") {
				t.Errorf("%s: %s | %s", name, f.Text, f.Fix)
			}
		} else if err != nil {
			t.Errorf("%s: %v", name, err)
		} else {
			var got []string
			for _, a := range r.addresses(r.declares()) {
				got = append(got, a.String())
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("%s: %v, want %s", name, got, c.want)
			}
		}
		if err == nil {
			r.close()
		}
		s.Close()
	}
}

// TestWhoIsNotAskedForAPort: nobody, where an address was said, where relay.nat is off, in a
// testnet unless it is written down, and for a port that only this machine reaches.
func TestWhoIsNotAskedForAPort(t *testing.T) {
	dir, doc := homeless(t)
	asked := func() ([]netip.Addr, error) {
		t.Error("an address is looked for")
		return nil, nil
	}
	n := nat.Config{Gateway: netip.MustParseAddr("127.53.52.3"), Search: nobodyThere, Addresses: asked, Timeout: 100 * time.Millisecond}
	for name, c := range map[string]struct {
		o  RelayOptions
		ok bool
	}{
		"off":            {RelayOptions{Listen: "0.0.0.0:9240"}, false},
		"a testnet":      {RelayOptions{Listen: "0.0.0.0:9240", NAT: &NATOptions{n, false}}, false},
		"loopback":       {RelayOptions{Listen: "127.0.0.1:9240", NAT: &NATOptions{n, true}}, false},
		"an address":     {RelayOptions{Listen: "0.0.0.0:9240", NAT: &NATOptions{n, true}, Declaring: Declaring{Addresses: []string{"203.0.113.5:9240"}}}, true},
		"a chosen place": {RelayOptions{Listen: "11.22.33.44:9240", NAT: &NATOptions{n, true}}, false},
	} {
		s, err := OpenState(dir)
		if err != nil {
			t.Fatal(err)
		}
		c.o.State, c.o.Genesis = dir, doc
		r, err := prepareRelay(t.Context(), c.o, s)
		if c.ok != (err == nil) {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			r.close()
		} else {
			wantFault(t, err, missingCode)
		}
		s.Close()
	}
}

// TestInATestnetNobodyIsSentToARouter: who says no address there hears what works there.
func TestInATestnetNobodyIsSentToARouter(t *testing.T) {
	at := netip.MustParseAddrPort("0.0.0.0:9240")
	if _, err := ownAddress(at); err == nil {
		t.Skip("this machine has a public address")
	}
	for testnet, want := range map[bool]string{true: "--listen 127.0.0.1:PORT", false: "Forward port 9240 of your router"} {
		r := &relayRun{listen: at, doc: &genesis.Document{Testnet: testnet}}
		_, err := r.locate(t.Context())
		f := wantFault(t, err, missingCode)
		if !strings.Contains(f.Fix, want) || testnet == strings.Contains(f.Fix, "router") {
			t.Errorf("testnet %v: %q", testnet, f.Fix)
		}
	}
}

// TestAClientGoesOnWithoutARelayThatNobodyWouldReach, and nothing is made for it.
func TestAClientGoesOnWithoutARelayThatNobodyWouldReach(t *testing.T) {
	w := found(t, 3, nil)
	w.sign(t)
	dir := w.dir + "/up"
	n := &NATOptions{nat.Config{Gateway: netip.MustParseAddr("127.53.52.3"), Search: nobodyThere, Addresses: noInterfaces, Timeout: 100 * time.Millisecond}, true}
	o := UpOptions{
		Client: ClientOptions{State: dir, Genesis: w.doc, Socks: SocksOptions{Addrs: []string{"127.0.0.1:0"}}, Wait: 50 * time.Millisecond},
		Relay:  &RelayOptions{State: dir, Genesis: w.doc, Listen: "0.0.0.0:9240", Make: true, NAT: n},
	}
	wantFault(t, RunUp(t.Context(), o), missingCode)
	var why *Fault
	o.Without = func(f *Fault) { why = f }
	wantFault(t, RunUp(t.Context(), o), "not_ready") // the client's: no relay runs
	if why == nil || why.Code != missingCode {
		t.Errorf("%+v", why)
	}
	if there, err := stateOf(t, dir).hasKeys(); err != nil || there {
		t.Errorf("keys were made: %v %v", there, err)
	}
}

// hears waits for what is told, or for the end of what runs.
func hears(t *testing.T, told <-chan string, ended <-chan error, want string) {
	t.Helper()
	late := time.After(20 * time.Second)
	for {
		select {
		case text := <-told:
			if strings.Contains(text, want) {
				return
			}
		case err := <-ended:
			t.Fatalf("it has ended: %v", err)
		case <-late:
			t.Fatalf("it was not told: %s", want)
		}
	}
}

// TestARouterThatComesLateIsAskedAgain: the relay starts then (REL-8).
func TestARouterThatComesLateIsAskedAgain(t *testing.T) {
	dir, doc := homeless(t)
	port := netip.MustParseAddrPort(freePort(t)).Port()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	told, ended := make(chan string, 1024), make(chan error, 1)
	o := RelayOptions{
		State: dir, Genesis: doc, Listen: netip.AddrPortFrom(netip.IPv4Unspecified(), port).String(), Drain: -1,
		NAT:   &NATOptions{nat.Config{Gateway: natGateway, Search: nobodyThere, Addresses: noInterfaces, Timeout: 200 * time.Millisecond}, true},
		Waits: func(f *Fault) { told <- "waits: " + f.Fix }, AskAgain: 20 * time.Millisecond,
		Ready: func(r RelayReady) { told <- "ready" },
		Tell:  func(text string) { told <- text },
	}
	go func() { ended <- RunRelay(ctx, o) }()
	hears(t, told, ended, "waits: Forward TCP port")
	hears(t, told, ended, "waits: Forward TCP port") // again
	home := startRouter(t, "203.0.113.5", 3600)
	hears(t, told, ended, "The router forwards 203.0.113.5:")
	hears(t, told, ended, "ready")
	if home.forwards() != 1 {
		t.Errorf("the router forwards %d ports", home.forwards())
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if home.forwards() != 0 {
		t.Error("the lease was not released")
	}

	// One that is stopped while it waits has no fault.
	ctx, stop = context.WithCancel(t.Context())
	o.NAT.Gateway = netip.MustParseAddr("127.53.52.3")
	o.Waits = func(*Fault) { stop() }
	if err := RunRelay(ctx, o); err != nil {
		t.Error(err)
	}
}

// TestARelayComesLateBesideItsClient: the client runs without it, and the status, its events
// and the drain have it as soon as a router forwards a port (REL-8, API-2).
func TestARelayComesLateBesideItsClient(t *testing.T) {
	w := found(t, 3, nil)
	w.sign(t)
	dir := w.dir + "/late"
	port := netip.MustParseAddrPort(freePort(t)).Port()
	told, ended := make(chan string, 1024), make(chan error, 1)
	sources := make(chan *ClientSources, 1)
	n := &NATOptions{nat.Config{Gateway: natGateway, Search: nobodyThere, Addresses: noInterfaces, Timeout: 200 * time.Millisecond}, true}
	tell := func(text string) { told <- text }
	o := UpOptions{
		Client: ClientOptions{
			State: dir, Genesis: w.doc, Socks: SocksOptions{Addrs: []string{"127.0.0.1:0"}}, Tell: tell,
			Serving: func(s control.Source) { sources <- s.(*ClientSources) },
		},
		Relay: &RelayOptions{
			State: dir, Genesis: w.doc, Listen: netip.AddrPortFrom(netip.IPv4Unspecified(), port).String(), Make: true, Drain: -1, NAT: n,
			AskAgain: 20 * time.Millisecond, Tell: tell, Ready: func(r RelayReady) { told <- "ready " + r.RID },
		},
		Without: func(f *Fault) { told <- "without" },
	}
	go func() { ended <- RunUp(t.Context(), o) }()
	hears(t, told, ended, "without")
	var source *ClientSources
	select {
	case source = <-sources:
	case err := <-ended:
		t.Fatal(err)
	}
	if s := source.Status(); len(s.Relays) != 0 || source.Drain(0) == nil {
		t.Errorf("there is a relay: %+v", s.Relays)
	}
	sub, err := source.Events().Subscribe()
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	home := startRouter(t, "203.0.113.5", 3600)
	hears(t, told, ended, "The router forwards 203.0.113.5:")
	hears(t, told, ended, "ready ")
	if s := source.Status(); len(s.Relays) != 1 || !strings.Contains(s.Relays[0].Forwarded, "203.0.113.5") {
		t.Errorf("the status has %+v", s.Relays)
	}
	if err := source.Drain(0); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if home.forwards() != 0 {
		t.Error("the lease was not released")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for state := ""; state != control.RelayDrains; {
		e, err := sub.Next(ctx)
		if err != nil {
			t.Fatalf("the drain was not told: %v", err)
		}
		if e.Kind == control.EventRelay {
			state = e.State
		}
	}
}

// TestALateRelayGoesByTheConfigurationOfItsStart (CFG-4, REL-8): what was read again while
// no router forwarded a port counts for the relay that comes then.
func TestALateRelayGoesByTheConfigurationOfItsStart(t *testing.T) {
	w := found(t, 3, nil)
	w.sign(t)
	dir, socks := w.dir+"/late", freePort(t)
	port := netip.MustParseAddrPort(freePort(t)).Port()
	base := "web.listen = \"off\"\nclient.socks = [\"" + socks + "\"]\n"
	var text written
	e := text.effect(t, base)
	told, ended := make(chan string, 1024), make(chan error, 1)
	sources := make(chan *ClientSources, 1)
	tell := func(text string) { told <- text }
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	o := UpOptions{
		Client: ClientOptions{
			State: dir, Genesis: w.doc, Socks: SocksOptions{Addrs: []string{socks}}, Tell: tell, Effect: e,
			Serving: func(s control.Source) { sources <- s.(*ClientSources) },
		},
		Relay: &RelayOptions{
			State: dir, Genesis: w.doc, Listen: netip.AddrPortFrom(netip.IPv4Unspecified(), port).String(), Make: true, Drain: -1, Effect: e,
			NAT:      &NATOptions{nat.Config{Gateway: natGateway, Search: nobodyThere, Addresses: noInterfaces, Timeout: 200 * time.Millisecond}, true},
			AskAgain: 20 * time.Millisecond, Tell: tell, Ready: func(r RelayReady) { told <- "ready " + r.RID },
		},
		Without: func(*Fault) { told <- "without" },
	}
	go func() { ended <- RunUp(ctx, o) }()
	hears(t, told, ended, "without")
	var source *ClientSources
	select {
	case source = <-sources:
	case err := <-ended:
		t.Fatal(err)
	}
	text.reload(t, e, base+"relay.nickname = \"oak\"\nrelay.rate = \"3 MiB/s\"", "", "")
	startRouter(t, "203.0.113.5", 3600)
	hears(t, told, ended, "ready ")
	if s := source.Status(); len(s.Relays) != 1 || s.Relays[0].Nickname != "oak" || s.Relays[0].Rate != 3<<20 {
		t.Errorf("the relay is %+v", s.Relays)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestARouterWithoutLeasesIsTold: its entry outlives a crash (REL-8).
func TestARouterWithoutLeasesIsTold(t *testing.T) {
	at := netip.MustParseAddrPort("1.2.3.4:9240")
	for lease, want := range map[time.Duration]bool{0: true, time.Hour: false} {
		r := &relayRun{listen: netip.MustParseAddrPort("0.0.0.0:9240"), o: RelayOptions{NAT: &NATOptions{}}}
		r.settle(nat.Mapping{Method: nat.UPnP, External: at, Lease: lease})
		text := r.place.forwarded()
		if !strings.HasPrefix(text, "The router forwards 1.2.3.4:9240 to this machine (UPnP).") || strings.Contains(text, "stays after a crash") != want {
			t.Errorf("a lease of %v: %q", lease, text)
		}
		r.settle(nat.Mapping{Method: nat.Public, External: at})
		if text := r.place.forwarded(); text != "" {
			t.Errorf("at a public address: %q", text)
		}
	}
}
