// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"chive/directory/genesis"
	"chive/directory/snapshot"
)

// Spec: protocol §7 (BOOT-5)
func TestAReadyClientFollowsTheNetwork(t *testing.T) {
	inVillage(t, 6, func(t *testing.T, v *village) {
		c := v.chain().grow(50, 0)
		for _, r := range v.relays {
			r.follows(c, 50)
		}
		v.epoch(10)
		w := v.walk(nil)
		defer w.end()
		if err := w.obtain(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		if err := w.updateGuards(); err != nil {
			t.Fatal(err)
		}
		guards := w.Guards()
		w.arrive()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			w.follow(ctx)
		}()
		before := w.current()
		v.epoch(25)
		if h := w.held(); h < 20 || w.Status().State != StateReady || w.Status().NextFetch.IsZero() {
			t.Errorf("holds epoch %d, %s", h, w.Status().State)
		}
		if before.view.Epoch() != 9 || before.selector.View() != before.view {
			t.Error("a snapshot in use was changed")
		}
		if w.mem.saves < 3 {
			t.Errorf("saved %d times", w.mem.saves)
		}
		for i, g := range w.Guards() {
			if g != guards[i] {
				t.Error("a new list changed the guards")
			}
		}

		// Nobody makes lists for a while.
		for _, r := range v.relays {
			r.follows(c, 25)
		}
		v.epoch(35)
		if st := w.Status(); st.State != StateStale || !st.Stalled || st.Text == "" || strings.HasSuffix(st.Freshness, ": fresh.") {
			t.Errorf("%s, stalled %v, %q", st.State, st.Stalled, st.Text)
		}
		for _, r := range v.relays {
			r.follows(c, 50)
		}
		v.epoch(45)
		if st := w.Status(); st.State != StateReady || st.Epoch < 35 || st.Stalled || st.Text != "" {
			t.Errorf("%s, epoch %d, stalled %v, %q", st.State, st.Epoch, st.Stalled, st.Text)
		}
		cancel()
		<-done
	})
}

// TestGuardsThatHoldTheListBackDoNotHoldItForEver has three hostile guards, through
// which no circuit leads anywhere.
//
// Spec: protocol §7 (BOOT-2, BOOT-5)
func TestGuardsThatHoldTheListBackDoNotHoldItForEver(t *testing.T) {
	for _, blocked := range []bool{false, true} {
		inVillage(t, 8, func(t *testing.T, v *village) {
			c := v.chain().grow(40, 0)
			for _, r := range v.relays {
				r.follows(c, 40)
			}
			v.epoch(10)
			w := v.walk(nil)
			defer w.end()
			if err := w.obtain(t.Context(), 0); err != nil {
				t.Fatal(err)
			}
			if err := w.updateGuards(); err != nil {
				t.Fatal(err)
			}
			w.arrive()
			guards := w.Guards()
			for _, r := range v.relays {
				if slices.Contains(guards, r.rid) {
					r.follows(c, 10)
				}
			}
			if blocked {
				w.askLast = func(context.Context, *snapshot.Relay, int, func(context.Context, stream) error) error { return errLost }
			}
			v.epoch(40)
			if err := w.round(t.Context()); err != nil || w.held() != 39 {
				t.Errorf("blocked %v: %v, holds epoch %d", blocked, err, w.held())
			}
			links := 0
			for _, r := range v.relays {
				if _, n := r.count(); !slices.Contains(guards, r.rid) {
					links += n
				}
			}
			if !blocked && links > voices+1 { // one is the first source
				t.Errorf("%d links to others than guards", links)
			}
		})
	}
}

// Spec: protocol §7 (BOOT-6)
func TestAnOldKeyHasTheListFetchedButNotAtWill(t *testing.T) {
	inVillage(t, 6, func(t *testing.T, v *village) {
		c := v.chain().grow(20, 0)
		for _, r := range v.relays {
			r.follows(c, 20)
		}
		v.epoch(10)
		w := v.walk(nil)
		defer w.end()
		if err := w.obtain(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		if err := w.updateGuards(); err != nil {
			t.Fatal(err)
		}
		w.arrive()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			w.follow(ctx)
		}()
		old := w.current()
		if w.freshen(ctx, old) {
			t.Error("another list a moment after a fetch")
		}
		v.epoch(11)
		v.pass(time.Second) // a fetch may be had again, and none is due yet
		began := time.Now()
		if !w.freshen(ctx, old) || w.held() != 10 {
			t.Errorf("holds epoch %d", w.held())
		}
		if time.Since(began) > time.Second {
			t.Errorf("it took %v", time.Since(began))
		}
		if !w.freshen(ctx, old) {
			t.Error("who chose from the old list is not told that there is another")
		}
		cancel()
		<-done
	})
}

// Whoever has an old list asks more and more seldom, and never more seldom than whoever
// has a fresh one: after a standstill its list would be the older for it.
// Spec: protocol §7 (BOOT-5)
func TestOldListsAreAskedForMoreAndMoreSeldom(t *testing.T) {
	for fetch, waits := range map[time.Duration][]time.Duration{
		2 * time.Hour:    {time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 10 * time.Minute, 10 * time.Minute},
		3 * time.Minute:  {time.Minute, 2 * time.Minute, 3 * time.Minute, 3 * time.Minute},
		20 * time.Second: {20 * time.Second, 20 * time.Second, 20 * time.Second},
	} {
		doc := &genesis.Document{Params: genesis.Testnet()}
		doc.Params.ClientFetch = fetch
		c := &Client{doc: doc}
		for n, want := range waits {
			if got := c.staleWait(n); got != want {
				t.Errorf("fetching every %v, after %d rounds: %v, want %v", fetch, n, got, want)
			}
		}
	}
}
