// SPDX-License-Identifier: BSD-3-Clause

package transition

import (
	"chive/directory/genesis"
	"chive/directory/record"
	"chive/directory/snapshot"
	"chive/directory/sybil"
)

// Room is what is left in a child for relays that come: the slots of each lane, and
// what address caps and sponsors allow. Spec: directory §7.3, protocol §7 (TRN-7).
type Room struct {
	doc     *genesis.Document
	parent  *State
	day     int
	slots   [3]int
	counts  *sybil.Addresses
	taken   map[record.RID]bool
	vouched map[int]bool
}

// Room returns that of the child at an epoch.
func (s *State) Room(doc *genesis.Document, epoch uint64) *Room {
	r := &Room{
		doc: doc, parent: s, day: snapshot.Day(doc.Params, epoch), slots: s.Slots(doc.Params, epoch), counts: sybil.NewAddresses(doc.Params),
		taken: map[record.RID]bool{}, vouched: map[int]bool{},
	}
	for i := range s.aux {
		r.counts.Add(s.snap.Table().At(i).Addresses)
	}
	return r
}

// Left returns how many relays a lane still takes.
func (r *Room) Left(lane sybil.Lane) int { return r.slots[lane] }

// Fits reports whether there is room for a candidate.
func (r *Room) Fits(c Candidate) bool {
	_, _, ok := r.op(c)
	return ok
}

// Take takes a candidate that fits, and reports whether it does.
func (r *Room) Take(c Candidate) bool {
	_, ok := r.take(c)
	return ok
}

// op returns what a candidate that fits is voted in by, and its addresses.
func (r *Room) op(c Candidate) (o Op, l snapshot.Leaf, ok bool) {
	table, d := r.parent.snap.Table(), c.Seen.Descriptor
	if _, found := table.Index(c.RID); found || r.taken[c.RID] || d == nil || !reachable(r.doc, d) {
		return o, l, false
	}
	o = Op{Code: Add, RID: c.RID, Body: [16]byte(c.Seen.Body[:16]), Lane: c.Lane}
	if was, dormant := r.parent.Dormant(c.RID); dormant {
		if o.Lane = LaneReturning; r.day-int(was.Since) > dormantLife {
			return o, l, false // forgotten with the next snapshot, and then a newcomer
		}
	} else if c.Lane == LaneVouched {
		i, found := table.Index(c.Sponsor)
		switch {
		case !found || !r.parent.Eligible(r.doc.Params, i) || !mayVouch(r.doc.Params, &r.parent.aux[i], r.day):
			o.Lane = LaneOpen // as Drawn has it
		case r.vouched[i]:
			return o, l, false
		default:
			o.Sponsor = uint32(i)
		}
	} else if c.Lane != LaneOpen {
		return o, l, false
	}
	derive(&l, d)
	return o, l, r.slots[o.Lane] > 0 && r.counts.Fits(addressesOf(&l))
}

func (r *Room) take(c Candidate) (Op, bool) {
	o, l, ok := r.op(c)
	if !ok {
		return o, false
	}
	r.counts.Add(addressesOf(&l))
	if o.Lane == LaneVouched && r.doc.Params.VoucherGap > 0 {
		r.vouched[int(o.Sponsor)] = true
	}
	r.slots[o.Lane]--
	r.taken[c.RID] = true
	return o, true
}
