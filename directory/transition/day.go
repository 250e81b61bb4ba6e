// SPDX-License-Identifier: BSD-3-Clause

package transition

import (
	"cmp"
	"slices"

	"chive/directory/snapshot"
)

// Days without running after which a relay leaves the table, days for which it is
// remembered then, and how many are remembered. Spec: directory §5 (change of day).
const (
	dormantAfter    = 7
	dormantLife     = 90
	maxDormantCount = 1 << 20
)

// changeDay does what the first snapshot of a new day does, over the counters of
// the day before. A day of service is one of which a relay was there for more than half:
// of two that share what one machine runs, at most one has it. Days that passed without
// any snapshot are nobody's. Spec: directory §5 (change of day), protocol §7 (TRN-4).
func (w *work) changeDay() {
	elapsed := w.day - w.parent.snap.Day()
	if elapsed <= 0 {
		return
	}
	snapshots := int(w.counters.snapshots)
	for i := range w.leaves {
		l, a := &w.leaves[i], &w.aux[i]
		lost := elapsed - 1
		if 2*int(a.DayRunning) <= snapshots {
			lost++
		}
		l.BirthDay = day16(min(int(l.BirthDay)+lost, w.day))
		if a.DayRunning > 0 {
			a.Idle = 0
		} else {
			a.Idle++
		}
		if a.Idle >= dormantAfter {
			w.leave(i, true)
		}
		a.DayRunning = 0
		l.Bucket = w.rise(l.Bucket, a.Target)
	}
	w.dormant = slices.DeleteFunc(w.dormant, func(d Dormant) bool { return w.day-int(d.Since) > dormantLife })
	w.counters = counters{}
}

// rise returns a bucket one step up, or where a newcomer starts, but not above what
// the relay declares. Spec: directory §9, protocol §7 (TRN-4).
func (w *work) rise(bucket, target uint8) uint8 {
	if w.p.BWStep == 0 {
		return target
	}
	return min(target, max(uint8(min(int(bucket)+min(w.p.BWStep, snapshot.MaxBucket), snapshot.MaxBucket)), w.start(target)))
}

// start returns the bucket at which a newcomer starts.
func (w *work) start(target uint8) uint8 {
	if w.p.BWStart == 0 {
		return target
	}
	return min(target, snapshot.BucketOf(uint32(w.p.BWStart)))
}

// leave takes a relay out of the table. What it earned, and a penalty, is kept unless it is
// a founder, which comes back as a newcomer. Who has neither is a newcomer, too: its place
// of the day is free again, so that by coming and going any number could wait to return.
// Spec: directory §2, §5.
func (w *work) leave(i int, keep bool) {
	l, a := &w.leaves[i], &w.aux[i]
	w.gone[i] = true
	w.numbering().release(l)
	if w.addresses != nil {
		w.addresses.Remove(addressesOf(l))
	}
	earned := w.day > int(l.BirthDay) || a.PenaltyEnd > w.in.Epoch || a.ProbationEnd > w.in.Epoch
	if keep && earned && l.Flags&snapshot.FlagFounder == 0 {
		w.dormant = append(w.dormant, Dormant{
			RID: l.RID, Birth: l.BirthDay, Since: day16(w.day), VoucherDay: a.VoucherDay,
			PenaltyEnd: a.PenaltyEnd, ProbationEnd: a.ProbationEnd, Uptime: a.Uptime,
		})
	}
}

// settleDormants puts the dormant relays in order and forgets those that left first
// when there are too many.
func settleDormants(all []Dormant) []Dormant {
	if len(all) > maxDormantCount {
		slices.SortFunc(all, func(a, b Dormant) int { return cmp.Or(cmp.Compare(b.Since, a.Since), a.RID.Compare(b.RID)) })
		all = all[:maxDormantCount]
	}
	slices.SortFunc(all, func(a, b Dormant) int { return a.RID.Compare(b.RID) })
	return all
}
