// SPDX-License-Identifier: BSD-3-Clause

package vote

// Reason says whether a member takes part in an epoch, and why not.
type Reason uint8

// Reasons.
const (
	Takes       Reason = iota // it takes part
	NoSeat                    // it has no seat in the epoch's list, or lacks the key
	MemoryLost                // what it promised in this term cannot be read
	ClockOff                  // its clock is off the neighbours' median
	NoNeighbour               // nobody is there
	Behind                    // its newest snapshot is too old, or it knows of a newer one
	Done                      // the epoch has a final snapshot
	OtherSelf                 // another process has its key, or had a short while ago
)

// reason says whether the member takes part in a round now. Spec: directory §6, §10,
// protocol §12 (EPOCH-11).
func (m *Member) reason(r *round) Reason {
	switch {
	case r.seat < 0:
		return NoSeat
	case r.epoch < m.otherTill:
		return OtherSelf
	case m.lost && r.epoch < m.lostTill[r.roster.List.Committee]:
		return MemoryLost
	case m.epoch() >= r.epoch:
		return Done
	case m.around != nil && (m.around.Clock > m.p.ClockMember || m.around.Clock < -m.p.ClockMember):
		return ClockOff
	case m.around != nil && m.around.Count == 0 && len(r.roster.Seats) > 1:
		return NoNeighbour
	case m.behind() || m.awaits():
		return Behind
	}
	return Takes
}

// stalledAfter is how many epochs without a final snapshot make a network stalled.
// Spec: directory §6 (young).
const stalledAfter = 4

// Status is what an operator is told.
type Status struct {
	Epoch   uint64 // of the newest final snapshot
	Seats   int    // of the list that owns the current epoch; 0: not known
	Seat    bool   // this relay has one of them
	Reason  Reason // for the current epoch
	Stalled bool   // no final snapshot for 4 epochs
	Other   bool   // another process has its key, or had a short while ago: see Doubts
	Old     bool   // what it promised in a term that still runs cannot be read, or is an old copy
	Forked  bool   // another history with certificates was seen since the member was made
}

// Status returns the state of things as of the last step.
func (m *Member) Status() Status {
	current := m.Document.EpochAt(m.now)
	s := Status{
		Epoch: m.epoch(), Reason: NoSeat, Stalled: current > m.epoch()+stalledAfter, Forked: m.counts.Forks > 0,
	}
	s.Other = current < m.otherTill
	for _, till := range m.lostTill {
		s.Old = s.Old || m.lost && current < till
	}
	if r := m.round(current); r != nil {
		s.Seats, s.Seat, s.Reason = len(r.roster.Seats), r.seat >= 0, m.reason(r)
	}
	return s
}
