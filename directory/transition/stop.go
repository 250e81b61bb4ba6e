// SPDX-License-Identifier: BSD-3-Clause

package transition

import (
	"math"
	"math/bits"

	"chive/directory/genesis"
	"chive/directory/record"
	"chive/directory/snapshot"
	"chive/directory/weight"
)

// million is the unit in which a day's stopped weight is counted.
const million = 1_000_000

// stops decides who may be taken out of use: stopped, dropped while running, put on
// probation. Together they may hold stop_epoch of the parent's guard weight in one
// snapshot and stop_day in one day, or be one relay if that has more. Relays
// without guard weight are free. Spec: directory §2, §5 (validity), §10, protocol §7
// (TRN-6).
type stops struct {
	weights []uint64 // guard weights of the parent; nil: no caps
	total   uint64
	epoch   uint64 // what may be spent
	today   uint64 // same
	first   bool   // nothing was spent on this day before
	spent   uint64
}

// newStops returns the caps of a child. stopped is what its day has spent before.
func newStops(p genesis.Params, parent *snapshot.Snapshot, stopped uint32) *stops {
	if p.StopEpoch == 0 && p.StopDay == 0 {
		return &stops{}
	}
	s := &stops{weights: weight.Guards(parent.Table(), p, parent.Day(), false), first: stopped == 0}
	for _, v := range s.weights {
		s.total += v
	}
	s.epoch, s.today = s.total, s.total
	if p.StopEpoch > 0 {
		s.epoch = mulDiv(s.total, uint64(p.StopEpoch), 1000)
	}
	if p.StopDay > 0 {
		most := uint64(p.StopDay) * (million / 1000)
		s.today = mulDiv(s.total, most-min(most, uint64(stopped)), million)
	}
	return s
}

// cost returns what it costs to take a relay out of use, by the parent's index.
func (s *stops) cost(i int) uint64 {
	if s.weights == nil {
		return 0
	}
	return s.weights[i]
}

// pass reports whether one more relay may go, and counts it.
func (s *stops) pass(cost uint64) bool {
	if cost > 0 && ((s.spent > 0 && s.spent+cost > s.epoch) || ((s.spent > 0 || !s.first) && s.spent+cost > s.today)) {
		return false
	}
	s.spent += cost
	return true
}

// millionths returns what was spent, rounded up.
func (s *stops) millionths() uint32 {
	if s.spent == 0 {
		return 0
	}
	hi, lo := bits.Mul64(s.spent, million)
	q, r := bits.Div64(hi, lo, s.total)
	if r > 0 {
		q++
	}
	return uint32(q)
}

// stopCaps returns the caps of the child.
func (w *work) stopCaps() *stops {
	if w.stops == nil {
		w.stops = newStops(w.p, w.parent.snap, w.counters.stopped)
	}
	return w.stops
}

// choose returns who may be taken out of use, by index of the parent.
func (w *work) choose(indices []int) map[int]bool {
	if len(indices) == 0 {
		return nil
	}
	return w.pass(w.stopCaps(), indices)
}

// pass passes the relays at these indices of the parent in the order of their cut keys
// and returns who may, by index.
func (w *work) pass(caps *stops, indices []int) map[int]bool {
	rid := func(i int) record.RID { return w.leaves[i].RID }
	var sum uint64
	for _, i := range indices {
		sum += caps.cost(i)
	}
	if sum > 0 && caps.spent+sum > min(caps.epoch, caps.today) {
		sortByCut(w.beacon, indices, rid)
	}
	out := make(map[int]bool, len(indices))
	for _, i := range indices {
		out[i] = caps.pass(caps.cost(i))
	}
	return out
}

// mulDiv returns a * b / c, rounded down. c is positive and the result fits.
func mulDiv(a, b, c uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	q, _ := bits.Div64(hi, lo, c)
	return q
}

// add32 adds and stays at the top.
func add32(a, b uint32) uint32 { return a + min(b, math.MaxUint32-a) }
