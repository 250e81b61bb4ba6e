// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"errors"
	"strings"
	"testing"
	"time"
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

func TestDurationsAreRead(t *testing.T) {
	for d, want := range map[time.Duration]string{
		130 * time.Minute: "2 h 10 min", 3 * time.Hour: "3 h", 50 * time.Hour: "2 days", 90 * time.Second: "1 min", 12 * time.Second: "12 s",
	} {
		if got := roughly(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}
