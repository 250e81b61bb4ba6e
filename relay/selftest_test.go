// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"chive/directory/genesis"
)

// TestARelayHearsThatOthersReachIt from three of them, soon after it starts, also where
// it started before them. Links that are up stay. Spec: REACH-1, REL-7.
func TestARelayHearsThatOthersReachIt(t *testing.T) {
	inCity(t, 5, genesis.Testnet(), func(t *testing.T, w *city) {
		w.all[0].start()
		<-w.all[0].Tested()
		if s := w.all[0].Reach(); s.ConfirmedBy != 0 || s.Addresses[0].Confirmed() || s.Addresses[0].Refuted() {
			t.Errorf("alone: %+v", s)
		}
		if got := w.all[0].Published(); len(got) != 1 {
			t.Errorf("a founder that nobody can be asked about publishes %v", got)
		}
		for _, c := range w.all[1:] {
			c.start()
		}
		w.until(0, time.Second)
		pass(4 * reachSoon)
		for _, c := range w.all {
			s := c.Reach()
			if s.ConfirmedBy != reachVoices || s.Addresses[0].Reached != reachVoices || s.Observed != townAddr(c.n).Addr() || s.Tested.IsZero() {
				t.Errorf("relay %d: %+v", c.n, s)
			}
			if c.withheld() || c.wantsTest() {
				t.Errorf("relay %d is not content", c.n)
			}
		}
		w.atEnd(5)
		w.agree(w.all...)
	})
}

// TestAnAddressThatOthersDoNotReachIsNotPublished, and each cause is told; the right one
// is, once it is known. Spec: REACH-4, REL-7.
func TestAnAddressThatOthersDoNotReachIsNotPublished(t *testing.T) {
	inCity(t, 4, genesis.Testnet(), func(t *testing.T, w *city) {
		w.startAll()
		w.atEnd(2)
		late := w.citizen()
		late.claims = netip.AddrPortFrom(townAddr(late.n).Addr(), 9999)
		late.start()
		<-late.Tested()
		s := late.Reach()
		if want := []Unreached{UnreachedRefused, UnreachedRefused, UnreachedRefused}; s.ConfirmedBy != 0 || !slices.Equal(s.Addresses[0].Failed, want) {
			t.Errorf("%+v", s)
		}
		w.atEnd(12)
		d := late.Status().Directory
		if d.Listed || d.Introduced != 0 || !strings.Contains(d.Joining, "does not publish") {
			t.Errorf("%+v", d)
		}
		if own := late.self.described; own != nil {
			t.Errorf("it has made a descriptor that says %v", own)
		}
		// It is tried again every five minutes, and at once when the address changes.
		tested := s.Tested
		pass(reachAgain + time.Second)
		if again := late.Reach().Tested; again.Sub(tested) < reachAgain || again.Sub(tested) > reachAgain+dialBackTimeout {
			t.Errorf("tested again after %v", again.Sub(tested))
		}
		if err := late.moves(townAddr(late.n)); err != nil {
			t.Fatal(err)
		}
		select {
		case <-late.Listed():
		case <-time.After(3 * time.Minute):
			t.Fatalf("it was not listed: %+v, %+v", late.Status().Directory, late.Reach())
		}
		if s := late.Reach(); s.ConfirmedBy != reachVoices {
			t.Errorf("%+v", s)
		}
	})
}

// moves says where the relay is from now on.
func (c *citizen) moves(to ...netip.AddrPort) error {
	return c.ChangeAbout(func(a *About) { a.Addresses = to })
}

// TestANewAddressIsPublishedOnceItIsConfirmed: that of a relay on the list changes, and
// the list follows.
func TestANewAddressIsPublishedOnceItIsConfirmed(t *testing.T) {
	inCity(t, 4, genesis.Testnet(), func(t *testing.T, w *city) {
		w.startAll()
		w.atEnd(2)
		c := w.all[1]
		wrong, right := netip.AddrPortFrom(townAddr(1).Addr(), 9999), townAddr(1)
		if err := c.moves(wrong); err != nil {
			t.Fatal(err)
		}
		pass(20 * time.Second)
		if got := addressesOf(w.all[0].View().Table(), c.RID()); !slices.Equal(got, []netip.AddrPort{right}) || len(c.Published()) != 0 {
			t.Errorf("the list says %v, it would say %v", got, c.Published())
		}
		if err := c.moves(right); err != nil {
			t.Fatal(err)
		}
		pass(10 * time.Second)
		if s := c.Reach(); s.ConfirmedBy != reachVoices || !slices.Equal(c.Published(), []netip.AddrPort{right}) {
			t.Errorf("%+v", s)
		}
	})
}

// TestANetworkOfOneStarts: nobody can be asked, and the founder says what it is.
func TestANetworkOfOneStarts(t *testing.T) {
	inCity(t, 1, genesis.Testnet(), func(t *testing.T, w *city) {
		w.startAll()
		<-w.all[0].Tested()
		w.atEnd(6)
		d := w.all[0].Status().Directory
		if s := w.all[0].Reach(); s.ConfirmedBy != 0 || !d.Listed || d.Head != 6 {
			t.Errorf("%+v %+v", s, d)
		}
	})
}

// TestWhatMayBePublished is REACH-4 as a table.
func TestWhatMayBePublished(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		pass(2 * reachSoon)
		r := w.relay
		listed, other, third := townAddr(0), netip.MustParseAddrPort("20.0.0.1:1"), netip.MustParseAddrPort("20.0.0.1:2")
		yes, no := []Unreached(nil), []Unreached{UnreachedTimeout}
		for name, c := range map[string]struct {
			has    []netip.AddrPort
			tested []AddressReach
			want   []netip.AddrPort
		}{
			"listed, and not tested yet":   {[]netip.AddrPort{listed}, nil, []netip.AddrPort{listed}},
			"listed, and refuted":          {[]netip.AddrPort{listed}, []AddressReach{{listed, 0, no}}, []netip.AddrPort{listed}},
			"new, and not tested yet":      {[]netip.AddrPort{other}, nil, nil},
			"new, and confirmed":           {[]netip.AddrPort{other}, []AddressReach{{other, 1, yes}}, []netip.AddrPort{other}},
			"new, and most confirm it":     {[]netip.AddrPort{other}, []AddressReach{{other, 2, no}}, []netip.AddrPort{other}},
			"new, and half confirm it":     {[]netip.AddrPort{other}, []AddressReach{{other, 1, no}}, nil},
			"new, and refuted":             {[]netip.AddrPort{other}, []AddressReach{{other, 0, no}}, nil},
			"new, and nobody can be asked": {[]netip.AddrPort{other}, []AddressReach{{other, 0, nil}}, []netip.AddrPort{other}},
			"of two, one is refuted":       {[]netip.AddrPort{other, third}, []AddressReach{{other, 0, no}, {third, 1, yes}}, []netip.AddrPort{third}},
			"the result is of another one": {[]netip.AddrPort{third}, []AddressReach{{other, 1, yes}}, nil},
		} {
			about := *r.about()
			about.Addresses = c.has
			r.live.about.Store(&about)
			r.self.mu.Lock()
			r.self.status = ReachStatus{Addresses: c.tested}
			r.self.mu.Unlock()
			if got := r.Published(); !slices.Equal(got, c.want) {
				t.Errorf("%s: %v, want %v", name, got, c.want)
			}
		}
	})
}

// TestWhoIsAsked: running relays, nine at most, each in another place where places count.
func TestWhoIsAsked(t *testing.T) {
	for _, rule := range []bool{false, true} {
		p := genesis.Testnet()
		p.PathNetworkRule = rule
		inCity(t, 12, p, func(t *testing.T, w *city) {
			w.all[0].start()
			r := w.all[0].Relay
			random := testRand()
			for range 50 {
				whom := r.reachWhom(random)
				if len(whom) != reachVoices*reachWaves || slices.Contains(whom, r.rid) {
					t.Fatalf("%d are asked, perhaps itself", len(whom))
				}
			}
			if !rule {
				return
			}
			places := map[uint16]bool{}
			for _, rid := range r.reachWhom(testRand()) {
				other, _ := r.View().Table().Relay(rid)
				if places[other.Leaf.Group] {
					t.Error("two of one network")
				}
				places[other.Leaf.Group] = true
			}
		})
	}
}

func TestMost(t *testing.T) {
	a, b := netip.MustParseAddr("20.0.0.1"), netip.MustParseAddr("20.0.0.2")
	for _, c := range []struct {
		seen []netip.Addr
		want netip.Addr
	}{{nil, netip.Addr{}}, {[]netip.Addr{a}, a}, {[]netip.Addr{a, b}, netip.Addr{}}, {[]netip.Addr{b, a, a}, a}, {[]netip.Addr{a, b, a, b}, netip.Addr{}}} {
		if got := most(c.seen); got != c.want {
			t.Errorf("%v: %v", c.seen, got)
		}
	}
}
