// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"chive/directory/snapshot"
)

// liesAhead makes the relay show what c has so many epochs later, with the signatures of a
// quorum, and say that it is that time: its keys and theirs were taken.
func (r *fake) liesAhead(c *chain, epochs int) {
	r.follows(c, c.head().Epoch())
	r.mu.Lock()
	defer r.mu.Unlock()
	honest := r.answers
	r.answers = func(now time.Time, body []byte) []byte {
		return honest(now.Add(time.Duration(epochs)*r.v.doc.Params.EpochLen), body)
	}
}

// guarded returns the relays that are the client's guards, in its order, and the others.
func (v *village) guarded(w *walker) (guards, others []*fake) {
	rids := w.Guards()
	for _, rid := range rids {
		guards = append(guards, v.relays[slices.IndexFunc(v.relays, func(r *fake) bool { return r.rid == rid })])
	}
	for _, r := range v.relays {
		if !slices.Contains(rids, r.rid) {
			others = append(others, r)
		}
	}
	return guards, others
}

// TestListsOfTheFutureFromFewPlacesStopNoClient: one or two relays show what a quorum whose
// keys were taken has signed; the client goes on with what the others have, whatever else it
// needs to reach one of those.
// Spec: protocol §7 (BOOT-3, BOOT-5)
func TestListsOfTheFutureFromFewPlacesStopNoClient(t *testing.T) {
	for _, c := range []struct {
		name  string
		liars int  // of the guards, the first ones
		dead  bool // the other guards are
		shut  bool // no circuit leads anywhere
	}{
		{"the first guard", 1, false, false},
		{"two guards", 2, false, false},
		{"the only guard that runs", 1, true, false},
		{"the only guard that runs, which lets no circuit through", 1, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			inVillage(t, 9, func(t *testing.T, v *village) {
				all := v.chain().grow(60, 0)
				for _, r := range v.relays {
					r.follows(all, 60)
				}
				v.epoch(20)
				w := v.walk(nil)
				defer w.end()
				w.settleIn(t)
				guards, _ := v.guarded(w)
				for i, g := range guards {
					switch {
					case i < c.liars:
						g.liesAhead(all, 15)
					case c.dead:
						v.net.Kill(g.addr.Addr())
					}
				}
				if c.shut {
					w.askLast = func(context.Context, *snapshot.Relay, int, func(context.Context, stream) error) error { return errLost }
				}
				for e := uint64(22); e < 30; e += 2 {
					v.epoch(e)
					err := w.round(t.Context())
					w.reportRefusal(err)
					if st := w.Status(); err != nil || st.State != StateReady || st.Clock != "" || st.Bootstrap.Cause != "" || st.Epoch != e-1 {
						t.Fatalf("in epoch %d: %v, %s, clock %q, cause %q, holds epoch %d", e, err, st.State, st.Clock, st.Bootstrap.Cause, st.Epoch)
					}
					if _, _, err := w.choose(needWeb, nil); err != nil {
						t.Fatalf("in epoch %d: a new circuit: %v", e, err)
					}
				}
			})
		})
	}
}

// TestListsOfTheFutureFromThreePlacesDoNotStopAClientForGood: when relays show them no more, or
// nobody has for a while, it goes on.
func TestListsOfTheFutureFromThreePlacesDoNotStopAClientForGood(t *testing.T) {
	for _, taken := range []bool{false, true} {
		inVillage(t, 9, func(t *testing.T, v *village) {
			all := v.chain().grow(60, 0)
			for _, r := range v.relays {
				r.follows(all, 60)
			}
			v.epoch(20)
			w := v.walk(nil)
			defer w.end()
			w.settleIn(t)
			guards, others := v.guarded(w)
			if len(guards) != clockVoices {
				t.Fatalf("%d guards", len(guards))
			}
			for _, g := range guards {
				g.liesAhead(all, 15)
			}
			asked := func() (n int) {
				for _, r := range others {
					asked, _ := r.count()
					n += asked
				}
				return n
			}
			before := asked()
			var wrong *clockError
			if err := w.round(t.Context()); !errors.As(err, &wrong) || wrong.off > -14*v.doc.Params.EpochLen || !wrong.told {
				t.Fatalf("%v", err)
			}
			if asked() != before {
				t.Error("others were asked, though it was known")
			}
			if _, _, err := w.choose(needWeb, nil); err == nil {
				t.Fatal("a new circuit by a clock that three places show to be slow")
			}
			if !taken { // one shows them no more
				guards[1].follows(all, 60)
				v.pass(time.Second)
				if err := w.round(t.Context()); err != nil || w.Status().Clock != "" {
					t.Errorf("%v, clock %q", err, w.Status().Clock)
				}
			} else { // nobody can be asked
				for i := range w.dir.futures { // by this clock the time that they show is far away still
					w.dir.futures[i].epoch += 1 << 20
				}
				v.pass(shownLife - time.Minute)
				if w.Status().State != StateRefused {
					t.Errorf("%s before their time is over", w.Status().State)
				}
				v.pass(time.Minute)
				if w.isBehind(time.Now()) {
					t.Error("still stopped")
				}
			}
		})
	}
}

// TestASlowClockIsProvenWhoeverCanBeAsked: in one round, by circuits or by links where too few
// guards run, and by how much it is off.
// Spec: protocol §7 (BOOT-3, BOOT-5)
func TestASlowClockIsProvenWhoeverCanBeAsked(t *testing.T) {
	for _, c := range []struct {
		name   string
		guards int  // that run
		shut   bool // no circuit leads anywhere
	}{
		{"all guards", 3, false}, {"two guards", 2, false}, {"one guard", 1, false}, {"one guard and no circuit", 1, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			inVillage(t, 9, func(t *testing.T, v *village) {
				v.epoch(1)
				w := v.walk(nil)
				defer w.end()
				w.settleIn(t)
				guards, _ := v.guarded(w)
				all := v.chain().grow(140, 0)
				for _, r := range v.relays {
					r.stop()
					r.follows(all, 140)
					r.start(20 * time.Minute)
				}
				for _, g := range guards[c.guards:] {
					v.net.Kill(g.addr.Addr())
				}
				if c.shut {
					w.askLast = func(context.Context, *snapshot.Relay, int, func(context.Context, stream) error) error { return errLost }
				}
				err := w.round(t.Context())
				w.reportRefusal(err)
				const says = "this clock is 20 min slow. Set the clock."
				if st := w.Status(); st.State != StateRefused || st.Clock != says || st.Bootstrap.Cause != "clock_skew" {
					t.Errorf("%v: %s, clock %q, cause %q", err, st.State, st.Clock, st.Bootstrap.Cause)
				}
				end := w.following(t)
				defer end()
				for range 20 { // and stays so
					v.pass(7 * time.Second)
					if w.Status().State != StateRefused {
						t.Fatalf("%s while the clock is slow", w.Status().State)
					}
				}
			})
		})
	}
}

// What relays have shown of the future is bounded, a place counts once with the last thing that it
// showed, and what too few have shown counts for nothing.
func TestListsOfTheFutureAreCountedByPlace(t *testing.T) {
	inVillage(t, 5, func(t *testing.T, v *village) {
		w := v.walk(nil)
		defer w.end()
		w.countPlaces(w.sources())
		at := func(n int) place {
			return place{net: netip.PrefixFrom(netip.AddrFrom4([4]byte{30, byte(n), 0, 0}), 16)}
		}
		proven := func() uint64 { return w.provenEpoch(time.Now()) }
		for range 5 {
			w.heardAhead(at(1), 900)
		}
		w.heardAhead(at(2), 800)
		if proven() != 0 {
			t.Error("two places were enough")
		}
		w.heardAhead(at(3), 700)
		if got := proven(); got != 700 {
			t.Errorf("of 900, 800 and 700: %d", got)
		}
		w.heardAhead(at(4), 850)
		if got := proven(); got != 800 {
			t.Errorf("of 900, 850, 800 and 700: %d", got)
		}
		w.heardAhead(at(1), 10)
		if got := proven(); got != 700 {
			t.Errorf("of 850, 800, 700 and 10: %d", got)
		}
		w.heardNow(at(2))
		if w.heardNow(at(3)); proven() != 0 {
			t.Error("what is shown no more counts")
		}
		for n := range 20 {
			w.heardAhead(at(n), 5)
		}
		if len(w.dir.futures) != maxReadings {
			t.Errorf("%d are kept", len(w.dir.futures))
		}
	})
}

// TestAListOfTheFutureIsNamedToAClientThatStarts: where too few relays answer to say more.
func TestAListOfTheFutureIsNamedToAClientThatStarts(t *testing.T) {
	inVillage(t, 5, func(t *testing.T, v *village) {
		all := v.chain().grow(30, 0)
		for i, r := range v.relays {
			if r.liesAhead(all, 15); i >= 2 {
				v.net.Kill(r.addr.Addr())
			}
		}
		v.epoch(10)
		w := v.walk(nil)
		defer w.end()
		err := w.obtain(t.Context(), 0)
		if cause, text := w.troubleOf(err); err == nil || cause != "clock_skew" || !strings.Contains(text, "yet to come") || w.Status().Clock != "" {
			t.Errorf("%v: %s: %s; clock %q", err, cause, text, w.Status().Clock)
		}
	})
}
