// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	dirsync "chive/directory/sync"
)

// Spec: protocol §7 (BOOT-3, LINK-5)
func TestAWrongClockIsNamed(t *testing.T) {
	for _, c := range []struct {
		name   string
		off    time.Duration // of the relays' clocks
		wrong  int           // relays of five whose clock is so
		old    bool          // the relays do not know TIME
		says   string
		refuse bool
	}{
		{"fast by days", -7 * 24 * time.Hour, 5, false, "is 7 days fast", true},
		{"fast by hours", -3 * time.Hour, 5, false, "is 3 h fast", true},
		{"fast by more than the limit", -2 * time.Minute, 5, false, "is 2 min fast", true},
		{"slow by days", (3*24 - 1) * time.Hour, 5, false, "is 2 days slow", true},
		{"slow by hours", 130 * time.Minute, 5, false, "is 2 h 10 min slow", true},
		{"fast, as certificates tell", -7 * 24 * time.Hour, 5, true, "is at least 5 days fast", true},
		{"slow, as certificates tell", (3*24 - 1) * time.Hour, 5, true, "is at least 2 days slow", true},
		{"one relay's is days off", -7 * 24 * time.Hour, 1, false, "", false},
		{"one relay's is hours off", -3 * time.Hour, 1, false, "", false},
		{"right", 0, 5, false, "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			inVillage(t, 5, func(t *testing.T, v *village) {
				s := v.chain().grow(20, 0).server()
				for i, r := range v.relays {
					r.holds(s)
					r.timeless = c.old
					if i < c.wrong {
						r.stop()
						r.start(c.off)
					}
				}
				v.epoch(20)
				w := v.walk(nil)
				defer w.end()
				err := w.obtain(t.Context(), 0)
				var wrong *clockError
				if errors.As(err, &wrong) != c.refuse {
					t.Fatalf("%v", err)
				}
				if !c.refuse {
					if err != nil || w.held() != 19 {
						t.Errorf("%v, holds epoch %d", err, w.held())
					}
					return
				}
				if cause, text := w.troubleOf(err); cause != "clock_skew" || !strings.Contains(text, c.says) {
					t.Errorf("%s: %s", cause, text)
				}
				if st := w.Status(); !strings.Contains(st.Clock, c.says) {
					t.Errorf("the status says %q", st.Clock)
				}
				// The clock is set: relays agree with it.
				for _, r := range v.relays {
					r.stop()
					r.start(0)
				}
				for range 3 {
					err = w.obtain(t.Context(), 0)
				}
				if err != nil || w.held() != 19 {
					t.Errorf("when the clock is right: %v, holds epoch %d", err, w.held())
				}
			})
		})
	}
}

// Spec: protocol §7 (BOOT-3)
func TestListsOfTheFutureMeanASlowClock(t *testing.T) {
	inVillage(t, 5, func(t *testing.T, v *village) {
		c := v.chain().grow(20, 0)
		for _, r := range v.relays {
			s := c.server()
			r.does(func(now time.Time, body []byte) []byte {
				frames, _ := s.Answer(now.Add(15*v.doc.Params.EpochLen), body)
				return frames
			})
		}
		v.epoch(7)
		w := v.walk(nil)
		defer w.end()
		var wrong *clockError
		if err := w.obtain(t.Context(), 0); !errors.As(err, &wrong) || wrong.off >= 0 {
			t.Errorf("%v, holds epoch %d", err, w.held())
		}
	})
}

// TestAClockFromBeforeTheNetworkIsNamed: by how much relays say, or at least how long before
// the network's beginning it is, where none of them answers.
// Spec: protocol §7 (BOOT-3)
func TestAClockFromBeforeTheNetworkIsNamed(t *testing.T) {
	for _, c := range []struct {
		name string
		off  time.Duration // of the relays' clocks
		kind string        // of relays
		says string
	}{
		{"minutes", 40 * time.Minute, "", "this clock is 40 min slow. Set the clock."},
		{"an hour", time.Hour, "", "this clock is 1 h slow. Set the clock."},
		{"more than certificates last", (3*24 - 1) * time.Hour, "", "this clock is 2 days slow. Set the clock."},
		{"relays hold snapshot 0 alone", 40 * time.Minute, "young", "this clock is 40 min slow. Set the clock."},
		{"nobody answers", 40 * time.Minute, "dead", "this clock is at least 19 min slow. Set the clock."},
		{"relays do not know TIME", 40 * time.Minute, "timeless", "this clock is at least 39 min slow. Set the clock."},
	} {
		t.Run(c.name, func(t *testing.T) {
			inVillageTo(t, c.off-20*time.Minute, 5, func(t *testing.T, v *village) {
				s := v.chain().grow(121, 0).server()
				for _, r := range v.relays {
					r.stop()
					switch r.start(c.off); c.kind {
					case "young":
					case "dead":
						v.net.Kill(r.addr.Addr())
					default:
						r.timeless = c.kind == "timeless"
						r.holds(s)
					}
				}
				w := v.walk(nil)
				defer w.end()
				if w.fresh(time.Now()) {
					t.Error("a list is fresh by a clock from before the network")
				}
				err := w.obtain(t.Context(), 0)
				if cause, text := w.troubleOf(err); err == nil || cause != "clock_skew" || text != c.says {
					t.Fatalf("%v: %s: %s", err, cause, text)
				}
				if st := w.Status(); st.Clock != c.says || strings.Contains(st.Freshness, "fresh.") || st.Stalled {
					t.Errorf("clock %q, freshness %q, stalled %v", st.Clock, st.Freshness, st.Stalled)
				}
				if c.kind != "" {
					return
				}
				v.pass(c.off) // the clock is set
				for _, r := range v.relays {
					r.stop()
					r.start(0)
				}
				for range 3 {
					err = w.obtain(t.Context(), 0)
				}
				if err != nil || w.held() < 118 || w.Status().Clock != "" {
					t.Errorf("when the clock is right: %v, holds epoch %d, clock %q", err, w.held(), w.Status().Clock)
				}
			})
		})
	}
}

// TestAClockThatAQuorumProvesSlowStopsAClientThatIsReady: snapshot 0 looked fresh by it, or
// a list that was saved; no new circuits are made until it is set.
// Spec: protocol §7 (BOOT-3)
func TestAClockThatAQuorumProvesSlowStopsAClientThatIsReady(t *testing.T) {
	inVillage(t, 5, func(t *testing.T, v *village) {
		v.epoch(1)
		w := v.walk(nil)
		defer w.end()
		if !w.fresh(time.Now()) {
			t.Fatal("snapshot 0 is not fresh in epoch 1")
		}
		w.settleIn(t)
		s := v.chain().grow(121, 0).server()
		for _, r := range v.relays {
			r.holds(s)
			r.stop()
			r.start(20 * time.Minute)
		}
		w.open = append(w.open, &circ{}) // which says nothing against what is certain
		err := w.round(t.Context())
		w.reportRefusal(err)
		st := w.Status()
		w.open = nil
		if st.State != StateRefused || st.Clock != "this clock is 20 min slow. Set the clock." || st.Text != st.Clock || st.Bootstrap.Cause != "clock_skew" {
			t.Errorf("%v: %s, clock %q, text %q, cause %q", err, st.State, st.Clock, st.Text, st.Bootstrap.Cause)
		}
		var f *Failure
		if _, _, err := w.choose(needWeb, nil); !errors.As(err, &f) || f.Reason() != "network_down" || !strings.Contains(f.Error(), "this clock is 20 min slow (clock_skew)") {
			t.Errorf("a new circuit: %v", err)
		}
		v.pass(20 * time.Minute) // the clock is set
		if st := w.Status(); st.Clock != "" || st.State == StateRefused && v.doc.EpochAt(time.Now()) < uint64(v.doc.Params.Refuse) {
			t.Errorf("when the clock is right: %s, clock %q", st.State, st.Clock)
		}
	})
}

// TestWhatRelaysSayOfTheClockDoesNotHideAStandstill: they say that it is fast, which no quorum has
// signed, be it true or not. Whether a network is stalled follows from this clock and from what
// lists there are; a clock that was fast and is set has none stalled.
func TestWhatRelaysSayOfTheClockDoesNotHideAStandstill(t *testing.T) {
	for _, lie := range []bool{true, false} {
		inVillage(t, 5, func(t *testing.T, v *village) {
			const off = 5 * time.Minute
			all := v.chain().grow(20, 0)
			for _, r := range v.relays {
				r.follows(all, 20)
			}
			v.epoch(20)
			w := v.walk(nil)
			defer w.end()
			w.settleIn(t)
			v.epoch(50)
			for _, r := range v.relays {
				r.stop()
				r.start(-off)
				if lie { // its clock is right, and nobody makes lists
					holds := r.answers
					r.does(func(now time.Time, body []byte) []byte {
						if !bytes.Equal(body, []byte{0x81, byte(dirsync.CodeTime)}) {
							now = now.Add(off)
						}
						return holds(now, body)
					})
				}
			}
			err := w.round(t.Context())
			st := w.Status()
			if !st.Stalled || st.State != StateStale || !strings.Contains(st.Clock, "is 5 min fast") {
				t.Errorf("lie %v: %v: stalled %v, %s, clock %q", lie, err, st.Stalled, st.State, st.Clock)
			}
			if !slices.ContainsFunc(st.Notes, func(n string) bool { return strings.Contains(n, "If it is right, this network is stalled") }) {
				t.Errorf("lie %v: %q", lie, st.Notes)
			}
		})
	}
	inVillage(t, 5, func(t *testing.T, v *village) {
		for _, r := range v.relays {
			r.holds(v.chain().grow(20, 0).server())
		}
		v.epoch(20)
		w := v.walk(nil)
		defer w.end()
		w.settleIn(t)
		w.dir.stalled = true // as a round by a fast clock leaves it
		if w.Status().Stalled {
			t.Error("stalled with a list that is fresh")
		}
	})
}

// TestAClockThatIsSetIsRightAtOnce: what relays said of it before counts no more, and circuits are
// built again, with the list held where that will do, else as soon as a newer one is there.
// Spec: protocol §7 (BOOT-3)
func TestAClockThatIsSetIsRightAtOnce(t *testing.T) {
	for _, c := range []struct {
		slow time.Duration
		old  bool // the list held is too old when the clock is right
	}{{5 * time.Minute, false}, {20 * time.Minute, true}} {
		inVillage(t, 9, func(t *testing.T, v *village) {
			v.epoch(1)
			w := v.walk(nil)
			defer w.end()
			w.settleIn(t)
			all := v.chain().grow(140, 0)
			for _, r := range v.relays {
				r.stop()
				r.follows(all, 140)
				r.start(c.slow)
			}
			err := w.round(t.Context())
			w.reportRefusal(err)
			if st := w.Status(); st.State != StateRefused || !strings.Contains(st.Clock, "min slow") {
				t.Fatalf("%v: %s, clock %q", err, st.State, st.Clock)
			}
			if _, _, err := w.choose(needWeb, nil); err == nil {
				t.Fatal("a new circuit by a clock that is slow for certain")
			}

			// The clock is set: it passes, and time does not.
			v.pass(c.slow)
			for i := range w.dir.readings {
				w.dir.readings[i].heard = w.dir.readings[i].heard.Add(c.slow)
			}
			for _, r := range v.relays {
				r.stop()
				r.start(0)
			}
			st := w.Status()
			if st.Clock != "" || strings.Contains(st.Freshness, "clock") {
				t.Errorf("%v slow, set: clock %q, freshness %q", c.slow, st.Clock, st.Freshness)
			}
			if _, _, err := w.choose(needWeb, nil); (err != nil) != c.old || err != nil && !strings.Contains(err.Error(), "directory_stale") {
				t.Errorf("%v slow, set: a new circuit: %v", c.slow, err)
			}
			err = w.round(t.Context())
			w.reportRefusal(err)
			if st := w.Status(); err != nil || st.State != StateReady || st.Clock != "" || st.Bootstrap.Cause != "" || w.held() < 25 {
				t.Errorf("%v slow, set: %v: %s, clock %q, cause %q, holds epoch %d", c.slow, err, st.State, st.Clock, st.Bootstrap.Cause, w.held())
			}
			if _, _, err := w.choose(needWeb, nil); err != nil {
				t.Errorf("%v slow, set, with a new list: %v", c.slow, err)
			}
		})
	}
}

// A reading ends with its time, or with a step of the clock either way; a clock that is adjusted
// little by little ends none.
func TestReadingsEndWhenTheClockIsSet(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		passed, step time.Duration
		holds        bool
	}{
		{time.Minute, 0, true},
		{readingLife - time.Second, 0, true},
		{readingLife, 0, false},
		{time.Minute, clockStep - time.Second, true},
		{time.Minute, time.Second - clockStep, true},
		{time.Minute, clockStep, false},
		{time.Minute, -clockStep, false},
		{time.Minute, -3 * time.Hour, false},
	} {
		r := reading{heard: now.Add(-c.passed), wall: now.Round(0).Add(-c.passed - c.step)}
		if r.holds(now) != c.holds {
			t.Errorf("after %v, and a step by %v: holds %v", c.passed, c.step, !c.holds)
		}
	}
}

func TestDurationsAreRead(t *testing.T) {
	for d, want := range map[time.Duration]string{
		130 * time.Minute: "2 h 10 min", 3 * time.Hour: "3 h", 50 * time.Hour: "2 days", 90 * time.Second: "1 min", 12 * time.Second: "12 s",
	} {
		if got := roughly(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}
