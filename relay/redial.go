// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"time"

	"chive/directory/record"
)

// Bounds of a redial.
const (
	maxEarly = 6   // ends that count
	maxFlaky = 256 // relays that are remembered; beyond it all are forgotten
	earlyEnd = 10  // GET timeouts that a stream has to last
)

// redial slows down calls to relays that take a gossip stream and end it at once: those
// that have no place for us, or shut us out. The machine waits longer and longer between
// dials that fail, but begins anew with each stream. So the nth early end in a row makes
// the next n calls fail without a dial. It is the loop's.
type redial struct {
	flaky map[record.RID]*flaky
	least time.Duration // that a stream has to last
}

type flaky struct{ ends, owed int }

// ended notes that a stream that we opened was ended by the other side.
func (r *redial) ended(rid record.RID, lasted time.Duration) {
	if lasted >= r.least {
		delete(r.flaky, rid)
		return
	}
	f := r.flaky[rid]
	if f == nil {
		if len(r.flaky) >= maxFlaky || r.flaky == nil {
			r.flaky = map[record.RID]*flaky{}
		}
		f = &flaky{}
		r.flaky[rid] = f
	}
	f.ends = min(f.ends+1, maxEarly)
	f.owed = f.ends
}

// may reports whether a relay is to be dialled now.
func (r *redial) may(rid record.RID) bool {
	f := r.flaky[rid]
	if f == nil || f.owed == 0 {
		return true
	}
	f.owed--
	return false
}
