// SPDX-License-Identifier: BSD-3-Clause

package sybil

import (
	"maps"
	"slices"

	"chive/directory/record"
)

// Receipt is what the store knows of a candidate whose work was checked and that others
// cannot tell again.
type Receipt struct {
	Epoch uint64 // of the first record of its rid
	Bits  int    // of its work
}

// Changes returns the candidates that were taken, checked or dropped since the last call,
// by rising rid.
func (s *Pending) Changes() []record.RID {
	if len(s.touched) == 0 {
		return nil
	}
	out := slices.SortedFunc(maps.Keys(s.touched), record.RID.Compare)
	clear(s.touched)
	return out
}

// Receipt returns that of a candidate; false: none is held, or its work was not checked.
func (s *Pending) Receipt(rid record.RID) (Receipt, bool) {
	h := s.all[rid]
	if h == nil || !h.checked {
		return Receipt{}, false
	}
	return Receipt{h.received, h.bits}, true
}

// Restore takes back a candidate whose work was checked before a restart, as Put would,
// but with its receipt and whoever introduced it. Those that came first are to be taken
// back first. It reports whether it is held.
func (s *Pending) Restore(c Candidate, r Receipt) bool {
	if s.all[c.RID] != nil || r.Bits < s.params.WorkBits {
		return false
	}
	if _, named := s.named[c.Sponsor]; c.Vouched && named {
		return false
	}
	s.arrived++
	h := &held{Candidate: c, received: r.Epoch, place: s.arrived, bits: r.Bits, checked: true}
	s.insert(h)
	s.evict()
	return s.all[c.RID] == h
}

// insert adds one: beside the checked record of its rid if there is one.
func (s *Pending) insert(h *held) {
	s.touched[h.RID] = struct{}{}
	s.digests[h.Digest] = h
	if s.all[h.RID] == nil {
		s.all[h.RID] = h
	} else {
		s.newer[h.RID] = h
	}
	s.name(h)
}

// name has the sponsor of a record count as used.
func (s *Pending) name(h *held) {
	if h.Vouched && s.params.VoucherGap > 0 {
		s.named[h.Sponsor] = h.RID
	}
}
