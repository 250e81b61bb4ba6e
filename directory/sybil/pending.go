// SPDX-License-Identifier: BSD-3-Clause

package sybil

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"time"

	"chive/directory/genesis"
	"chive/directory/record"
)

// Bounds of the store of candidates. Spec: directory §3 (class C), §7.
const (
	// MinPending is its bound in a small network; in a larger one it is
	// PendingPerRelay for each relay of the table.
	MinPending      = 5000
	PendingPerRelay = 2
	// waitingPart of it is for candidates whose work nobody has checked here yet:
	// what cost nothing cannot drive out what did.
	waitingPart = 8
	// CheckGap is the shortest time between two checks of work.
	CheckGap = time.Second / 2
)

// Candidate is one who waits. What it carries was verified but for the work.
type Candidate struct {
	RID       record.RID
	Digest    [32]byte // of the item
	Seq       uint64   // of the descriptor
	Body      [32]byte // body digest of the descriptor
	Vouched   bool
	Sponsor   record.RID // when vouched
	Entry     record.RID // the relay that introduced it
	Work      record.Work
	Expires   time.Time // of the descriptor
	Data      []byte    // the item; kept, not copied, never changed
	Challenge Challenge // what Work solves
}

// held is a candidate with what the store knows of it.
type held struct {
	Candidate
	received uint64    // epoch of the first record of this rid
	changed  time.Time // when this record came
	place    uint64    // of arrival
	bits     int       // of work
	checked  bool
}

// Outcome says what Put did.
type Outcome uint8

// Outcomes of Put.
const (
	Taken   Outcome = iota // it waits, for its work to be checked or for its turn
	Known                  // it was there, or a newer one is
	Refused                // no room, too soon, or too many from that entry relay
)

// Pending is the store of candidates. Nothing in it reaches clients or counts
// toward a cap. It is bounded by max(MinPending, PendingPerRelay x relays): when the
// part for unchecked candidates is full newer ones are refused; when the rest is
// full the least work goes, among equals the newest. Who has a voucher goes last, in
// either part, and is checked before others every second time: without that a flood
// of work closes the lane that vouchers keep open. Where a sponsor has few vouchers
// one candidate of each is held, so that there are no more of them than sponsors.
//
// A record whose work nobody has checked stands beside the checked one of its rid, and
// takes its place only once it was checked: anybody can make a copy of a candidate with
// work that is none, or with a voucher that it never asked for.
type Pending struct {
	params  genesis.Params
	bound   int
	all     map[record.RID]*held
	newer   map[record.RID]*held      // unchecked, of rids whose record in all is checked
	digests map[[32]byte]*held        // of both
	waiting []*held                   // unchecked, by arrival
	touched map[record.RID]struct{}   // see Changes
	named   map[record.RID]record.RID // candidate by the sponsor that it has a voucher of
	turn    bool                      // the next check is of the oldest, voucher or not
	arrived uint64
	checkAt time.Time // when the next check may be

	entries    map[record.RID]int // introductions in the hour that began at entriesAt
	entriesAt  time.Time
	maxEntries int
}

// NewPending returns an empty store for a table of n relays.
func NewPending(p genesis.Params, n int) *Pending {
	s := &Pending{
		params: p, all: make(map[record.RID]*held), newer: make(map[record.RID]*held), digests: make(map[[32]byte]*held),
		touched: make(map[record.RID]struct{}), named: make(map[record.RID]record.RID), entries: make(map[record.RID]int), maxEntries: JoinsPerHour,
	}
	if p.AdmitRate == 0 && p.AdmitFloor == 0 {
		s.maxEntries = Unlimited
	}
	s.Resize(n)
	return s
}

// Resize fits the bound to a table of n relays, and evicts what is too much.
func (s *Pending) Resize(n int) {
	s.bound = max(MinPending, PendingPerRelay*n)
	s.shorten(len(s.waiting) - s.maxWaiting())
	s.evict()
}

// shorten drops so many unchecked candidates, the newest of those without a voucher
// first.
func (s *Pending) shorten(excess int) {
	if excess <= 0 {
		return
	}
	going := make(map[*held]bool, excess)
	for _, vouched := range []bool{false, true} {
		for _, h := range slices.Backward(s.waiting) {
			if h.Vouched == vouched && len(going) < excess {
				going[h] = true
			}
		}
	}
	s.waiting = slices.DeleteFunc(s.waiting, func(h *held) bool { return going[h] })
	for h := range going {
		s.forget(h)
	}
}

func (s *Pending) maxWaiting() int { return s.bound / waitingPart }
func (s *Pending) maxChecked() int { return s.bound - s.maxWaiting() }

// newest returns where the newest unchecked candidate without a voucher waits, the
// newest of all if each has one; -1: none waits.
func (s *Pending) newest() int {
	for i := len(s.waiting) - 1; i >= 0; i-- {
		if !s.waiting[i].Vouched {
			return i
		}
	}
	return len(s.waiting) - 1
}

// Len returns how many records are held, and how many of them wait for a check.
func (s *Pending) Len() (all, waiting int) { return len(s.digests), len(s.waiting) }

// checked returns how many were checked.
func (s *Pending) checked() int { return len(s.digests) - len(s.waiting) }

// Put takes a candidate whose signatures, salt and stamp hold, received at now in an
// epoch. A rid is there once. A higher seq, no sooner than republish_gap after the
// last, replaces it, and so does a voucher at the same seq, but one that was checked only
// once this one was, too; the time it has waited stays. Of each entry relay JoinsPerHour are taken in an hour, of each sponsor with
// few vouchers one at a time.
// Spec: protocol §7 (ADM-6).
func (s *Pending) Put(c Candidate, epoch uint64, now time.Time) Outcome {
	old, last := s.all[c.RID], s.all[c.RID]
	if next := s.newer[c.RID]; next != nil {
		last = next
	}
	if old != nil {
		better := c.Seq > last.Seq || (c.Seq == last.Seq && c.Vouched && !last.Vouched)
		switch {
		case !better:
			return Known
		case now.Sub(old.changed) < s.params.RepublishGap:
			return Refused
		}
	}
	if other, named := s.named[c.Sponsor]; c.Vouched && named && other != c.RID {
		return Refused
	}
	checked := s.params.WorkBits == 0 || (old != nil && old.checked && old.Work == c.Work)
	full := !checked && len(s.waiting) >= s.maxWaiting() && (last == nil || last.checked)
	if full && (!c.Vouched || s.waiting[s.newest()].Vouched) {
		return Refused
	}
	if !s.introduced(c.Entry, now) {
		return Refused
	}
	if full {
		s.drop(s.waiting[s.newest()])
	}
	s.arrived++
	h := &held{Candidate: c, received: epoch, changed: now, place: s.arrived, checked: checked}
	if old != nil {
		h.received, h.place = old.received, old.place
	}
	if next := s.newer[c.RID]; next != nil {
		s.drop(next)
	}
	if old != nil && (checked || !old.checked) {
		s.replace(old, h)
		h.bits = old.bits
	} else {
		s.insert(h)
	}
	if !checked {
		h.bits = 0
		s.waiting = append(s.waiting, h)
		return Taken
	}
	s.evict()
	if s.all[c.RID] != h {
		return Refused
	}
	return Taken
}

// introduced counts one candidate of an entry relay.
func (s *Pending) introduced(entry record.RID, now time.Time) bool {
	if now.Sub(s.entriesAt) >= time.Hour {
		s.entriesAt = now
		clear(s.entries)
	}
	if s.entries[entry] >= s.maxEntries {
		return false
	}
	s.entries[entry]++
	return true
}

// NextCheck returns the candidate whose work is to be checked now, at most one each
// CheckGap; Checked has to follow. It returns false while none waits or it is too
// soon, and then when to ask again (zero: after the next Put).
// Spec: directory §7 (work at <= 2 per second).
func (s *Pending) NextCheck(now time.Time) (c Candidate, again time.Time, ok bool) {
	if len(s.waiting) == 0 {
		return Candidate{}, time.Time{}, false
	}
	if now.Before(s.checkAt) {
		return Candidate{}, s.checkAt, false
	}
	s.checkAt = now.Add(CheckGap)
	next := 0
	if !s.turn {
		next = max(0, slices.IndexFunc(s.waiting, func(h *held) bool { return h.Vouched }))
	}
	s.turn = !s.turn
	h := s.waiting[next]
	s.waiting = append(slices.Delete(s.waiting, next, next+1), h) // to the end, so that one lost answer stops nobody
	return h.Candidate, s.checkAt, true
}

// Checked tells how many bits of work a candidate has brought. Too few, and it is
// dropped; otherwise it takes its place, from which it may drive another out. It
// reports whether the candidate is held: then it is to be spread.
func (s *Pending) Checked(digest [32]byte, bits int) bool {
	h := s.digests[digest]
	if h == nil || h.checked {
		return h != nil
	}
	if bits < s.params.WorkBits {
		s.drop(h)
		return false
	}
	s.unqueue(h)
	h.bits, h.checked = bits, true
	if old := s.all[h.RID]; old != h {
		delete(s.newer, h.RID)
		s.replace(old, h)
	}
	s.touched[h.RID] = struct{}{}
	s.evict()
	return s.all[h.RID] == h
}

// replace puts a record in the place of another of its rid, which it has waited for.
func (s *Pending) replace(old, h *held) {
	h.received, h.place = old.received, old.place
	s.drop(old)
	s.insert(h)
}

// evict drops those without a voucher first, of them the least work, among equals the
// newest, until the bound holds. One goes in a time linear in the store, many in that of
// sorting it.
func (s *Pending) evict() {
	switch excess := s.checked() - s.maxChecked(); {
	case excess <= 0:
	case excess == 1:
		var least *held
		for _, h := range s.all {
			if h.checked && (least == nil || h.before(least)) {
				least = h
			}
		}
		s.drop(least)
	default:
		checked := make([]*held, 0, s.checked())
		for _, h := range s.all {
			if h.checked {
				checked = append(checked, h)
			}
		}
		slices.SortFunc(checked, (*held).compare)
		for _, h := range checked[:excess] {
			s.drop(h)
		}
	}
}

// before reports whether h is to go rather than another.
func (h *held) before(o *held) bool { return h.compare(o) < 0 }

// compare puts who is to go sooner first. No two candidates came at one place.
func (h *held) compare(o *held) int {
	switch {
	case h.Vouched && !o.Vouched:
		return 1
	case !h.Vouched && o.Vouched:
		return -1
	}
	return cmp.Or(cmp.Compare(h.bits, o.bits), cmp.Compare(o.place, h.place))
}

func (s *Pending) unqueue(h *held) {
	if i := slices.Index(s.waiting, h); i >= 0 {
		s.waiting = slices.Delete(s.waiting, i, i+1)
	}
}

func (s *Pending) drop(h *held) {
	if !h.checked {
		s.unqueue(h)
	}
	s.forget(h)
}

// forget drops one that does not wait, or not any more. What stands beside it takes its
// place.
func (s *Pending) forget(h *held) {
	s.touched[h.RID] = struct{}{}
	delete(s.digests, h.Digest)
	if s.named[h.Sponsor] == h.RID {
		delete(s.named, h.Sponsor)
	}
	if s.newer[h.RID] == h {
		delete(s.newer, h.RID)
	} else {
		delete(s.all, h.RID)
	}
	if next := s.newer[h.RID]; next != nil {
		s.all[h.RID] = next
		delete(s.newer, h.RID)
	}
	if left := s.all[h.RID]; left != nil {
		s.name(left)
	}
}

// Sponsored returns the candidate that is held with a voucher of a sponsor, where one of
// each sponsor is.
func (s *Pending) Sponsored(sponsor record.RID) (record.RID, bool) {
	rid, ok := s.named[sponsor]
	return rid, ok
}

// Remove forgets a relay: it was admitted, or revoked.
func (s *Pending) Remove(rid record.RID) {
	for _, h := range []*held{s.newer[rid], s.all[rid]} {
		if h != nil {
			s.drop(h)
		}
	}
}

// Expire forgets candidates whose descriptor or salt is over.
// Spec: protocol §7 (ADM-2).
func (s *Pending) Expire(epoch uint64, now time.Time) {
	for _, h := range s.digests {
		stale := Needed(s.params) && h.Work.Epoch <= epoch && CheckSalt(s.params, h.Work.Epoch, epoch) != nil
		if stale || !now.Before(h.Expires) {
			s.drop(h)
		}
	}
}

// Get returns a candidate's record, the checked one if there is one, and reports whether its
// work was checked.
func (s *Pending) Get(rid record.RID) (c Candidate, checked, ok bool) {
	h := s.all[rid]
	if h == nil {
		return Candidate{}, false, false
	}
	return h.Candidate, h.checked, true
}

// Last returns a candidate's newest record, whose work may not have been checked.
func (s *Pending) Last(rid record.RID) (c Candidate, ok bool) {
	h := s.newer[rid]
	if h == nil {
		h = s.all[rid]
	}
	if h == nil {
		return Candidate{}, false
	}
	return h.Candidate, true
}

// ByDigest returns the record that an item digest names, and reports whether its work was
// checked. Another of the same rid may stand beside it.
func (s *Pending) ByDigest(digest [32]byte) (c Candidate, checked, ok bool) {
	h := s.digests[digest]
	if h == nil {
		return Candidate{}, false, false
	}
	return h.Candidate, h.checked, true
}

// All goes through the items of all candidates, checked or not, in no order.
func (s *Pending) All() iter.Seq[[32]byte] { return maps.Keys(s.digests) }

// Digests returns the items of checked candidates, by rising rid: what others may
// have.
func (s *Pending) Digests() [][32]byte {
	var out [][32]byte
	for _, rid := range slices.SortedFunc(maps.Keys(s.all), record.RID.Compare) {
		if h := s.all[rid]; h.checked {
			out = append(out, h.Digest)
		}
	}
	return out
}

// Draw returns the candidates of a lane in the order of a beacon's lottery: checked,
// and received before the epoch that HeldBefore tells. The vouched lane is for those
// with a voucher, the open lane for those without.
// Spec: protocol §7 (ADM-3).
func (s *Pending) Draw(beacon [32]byte, before uint64, lane Lane) []record.RID {
	var out []record.RID
	for rid, h := range s.all {
		if h.checked && h.received < before && h.Vouched == (lane == LaneVouched) {
			out = append(out, rid)
		}
	}
	Order(beacon, out)
	return out
}
