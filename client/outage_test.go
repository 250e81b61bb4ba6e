// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"net/netip"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"chive/directory/record"
	"chive/directory/snapshot"
	"chive/link"
)

// TestAShortOutageChangesNoGuard (I11): the network is away for less than the time after
// which it counts as down, in one way for some relays and in another for others. Whoever
// is reached first afterwards, and whatever else is asked of the guards meanwhile, they
// are the same as before, in the same order, and none is drawn beside them.
//
// Spec: DIR-12.
func TestAShortOutageChangesNoGuard(t *testing.T) {
	inVillage(t, 9, func(t *testing.T, v *village) {
		var proxy *byAddress
		w := v.walk(func(c *Config) {
			proxy = &byAddress{Transport: c.Transport, fails: map[netip.AddrPort]error{}}
			c.Transport = proxy
		})
		defer w.end()
		w.settleIn(t)
		before := w.Guards()
		for round := range 5 {
			if err := w.firstGuard(t.Context()); err != nil {
				t.Fatal(err)
			}
			v.pass(probePause + time.Second)
			for i, r := range v.relays {
				for _, a := range w.relayOf(t, r.rid).Addresses {
					proxy.fails[a] = []error{syscall.ENETUNREACH, os.ErrDeadlineExceeded, syscall.ECONNREFUSED}[(i+round)%3]
				}
				if l := w.links.Lookup(r.rid); l != nil {
					_ = l.Close()
					<-l.Done()
				}
			}
			v.pass(time.Second)
			for range 3 {
				if err := w.firstGuard(t.Context()); err == nil {
					t.Fatal("a guard was reached")
				}
				v.pass(time.Second)
			}
			marked := 0
			w.mu.Lock()
			for _, g := range w.guards.List(time.Now()) {
				if g.Unreachable {
					marked++
				}
			}
			w.mu.Unlock()
			if marked != len(before) {
				t.Fatalf("%d guards are marked: this is no short outage", marked)
			}
			// It is back. A relay that is no guard is reached first, as any that is hostile
			// may see to, and a list comes.
			clear(proxy.fails)
			for _, r := range v.relays {
				if !slices.Contains(before, r.rid) {
					l, err := w.linkTo(t.Context(), w.relayOf(t, r.rid))
					if err != nil {
						t.Fatal(err)
					}
					if round%2 == 0 {
						_ = l.Close()
						<-l.Done()
					}
					break
				}
			}
			if err := w.updateGuards(); err != nil {
				t.Fatal(err)
			}
			v.pass(time.Second)
			if !w.probe(t.Context()) && len(w.usableGuards()) == 0 {
				t.Error("no guard is found again")
			}
			if err := w.firstGuard(t.Context()); err != nil {
				t.Error(err)
			}
			if after := w.Guards(); !slices.Equal(before, after) {
				t.Fatalf("round %d: the guards were %v, and are %v", round, before, after)
			}
		}
		v.pass(probePause + time.Second)
		// Guards that are gone while others are there are not mistaken for an outage.
		for _, rid := range before {
			for _, a := range w.relayOf(t, rid).Addresses {
				proxy.fails[a] = syscall.ECONNREFUSED
			}
			if l := w.links.Lookup(rid); l != nil {
				_ = l.Close()
				<-l.Done()
			}
		}
		v.pass(time.Second)
		for range 4 {
			_ = w.firstGuard(t.Context())
			w.probe(t.Context())
			v.pass(probePause + time.Second)
		}
		if after := w.Guards(); len(after) == len(before) || !slices.Equal(after[:len(before)], before) {
			t.Errorf("guards that are gone: %d now", len(after))
		}
	})
}

// relayOf returns a relay of the table.
func (w *walker) relayOf(t *testing.T, rid record.RID) *snapshot.Relay {
	t.Helper()
	r, ok := w.current().view.Table().Relay(rid)
	if !ok {
		t.Fatal("no such relay")
	}
	return r
}

// TestWhatThisMachineLacksProvesNothing (I11): all guards are marked since a short outage.
// Then a probe finds another relay, and links to the guards fail for want of file
// descriptors, or of the proxy on the way: that says nothing of the guards. Where they refuse
// it does.
//
// Spec: DIR-12.
func TestWhatThisMachineLacksProvesNothing(t *testing.T) {
	for why, proves := range map[error]bool{syscall.EMFILE: false, link.ErrProxy: false, syscall.ECONNREFUSED: true} {
		inVillage(t, 9, func(t *testing.T, v *village) {
			var proxy *byAddress
			w := v.walk(func(c *Config) {
				proxy = &byAddress{Transport: c.Transport, fails: map[netip.AddrPort]error{}}
				c.Transport = proxy
			})
			defer w.end()
			w.settleIn(t)
			guards := w.Guards()
			if err := w.firstGuard(t.Context()); err != nil {
				t.Fatal(err)
			}
			v.pass(probePause + time.Second)
			for _, rid := range guards {
				for _, a := range w.relayOf(t, rid).Addresses {
					proxy.fails[a] = syscall.ECONNREFUSED
				}
				if l := w.links.Lookup(rid); l != nil {
					_ = l.Close()
					<-l.Done()
				}
				if _, err := w.linkTo(t.Context(), w.relayOf(t, rid)); err == nil {
					t.Fatal("a guard was reached")
				}
				for _, a := range w.relayOf(t, rid).Addresses {
					proxy.fails[a] = why
				}
			}
			w.probe(t.Context())
			proven := 0
			w.mu.Lock()
			for _, g := range w.guards.List(time.Now()) {
				if g.Proven {
					proven++
				}
			}
			w.mu.Unlock()
			if (proven > 0) != proves {
				t.Errorf("%v: %d of %d guards count as gone", why, proven, len(guards))
			}
		})
	}
}
