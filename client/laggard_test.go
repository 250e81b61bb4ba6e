// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"testing"
	"time"
)

// TestOneLaggardHidesNoSlowClock: this clock is slow, two guards serve lists of its future,
// and the third one such that this clock takes for fresh. Spec: protocol §7 (BOOT-2, BOOT-3).
func TestOneLaggardHidesNoSlowClock(t *testing.T) {
	for liar := 1; liar < 3; liar++ { // the first guard is asked first, and believed (BOOT-2)
		inVillage(t, 9, func(t *testing.T, v *village) {
			v.epoch(1)
			w := v.walk(nil)
			defer w.end()
			w.settleIn(t)
			guards, _ := v.guarded(w)
			all := v.chain().grow(140, 0)
			for _, r := range v.relays {
				if r == guards[liar] {
					r.follows(all, 140)
					continue
				}
				r.stop()
				r.follows(all, 140)
				r.start(20 * time.Minute)
			}
			for range 10 {
				_ = w.round(t.Context())
				v.pass(30 * time.Second)
			}
			if st := w.Status(); st.Clock == "" {
				t.Errorf("liar %d: state %s at epoch %d, and nothing is said of the clock", liar, st.State, st.Epoch)
			}
		})
	}
}
