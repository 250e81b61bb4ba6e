// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"fmt"
	"slices"
	"time"

	"chive/directory/committee"
	"chive/directory/record"
	"chive/directory/transition"
	"chive/directory/vote"
)

// MemberStatus is one seat of a committee, as this relay sees it.
type MemberStatus struct {
	RID    record.RID
	Self   bool // it is this relay's own
	Stream bool // a gossip stream with it is open
	// Signer says that it has a seat in the committee whose signatures the newest final list
	// has, which may be the other one, and Signed that one of them is its own. Nothing is known
	// of who is no signer.
	Signer, Signed bool
	// Penalty is when its penalty for two signatures ends, until which it has no say; zero:
	// it has none.
	Penalty time.Time
}

// members says who sits in the committee of an epoch, which of them this relay has a
// stream with, and who has signed the newest final list. A certificate is closed once a
// quorum has signed: whose signature it lacks need not be away.
func (d *replica) members(c *CommitteeStatus, peers []record.RID, epoch uint64) {
	head := d.machine.Head()
	if l := head.State.Owner(d.r.genesis.Params, epoch); l != nil {
		for _, seat := range l.Seats {
			self := seat.RID == d.r.rid
			c.Members = append(c.Members, MemberStatus{RID: seat.RID, Self: self, Stream: !self && slices.Contains(peers, seat.RID), Penalty: d.penalty(seat.RID)})
		}
	}
	if head.Certificate == nil {
		return
	}
	signed, _ := head.State.List(transition.OwnerName(head.Certificate.Header.Epoch)) // which a snapshot commits to
	if signed == nil {
		return
	}
	c.Seats, c.SignedBy, c.Needed = len(signed.Seats), nameOf(head.Certificate.Header.Epoch), committee.Quorum(len(signed.Seats))
	c.Signed = noteSigners(c.Members, signed.Seats, head.Certificate.Signers.Has)
}

// noteSigners notes at the members of a committee which of them have signed as seats of the
// same one or the other, and counts the seats that have.
func noteSigners(members []MemberStatus, seats []committee.Seat, has func(seat int) bool) (signed int) {
	for i, seat := range seats {
		if has(i) {
			signed++
		}
		if at := slices.IndexFunc(members, func(m MemberStatus) bool { return m.RID == seat.RID }); at >= 0 {
			members[at].Signer, members[at].Signed = true, has(i)
		}
	}
	return signed
}

// nameOf is the name of the committee that an epoch belongs to.
func nameOf(epoch uint64) string {
	if transition.OwnerName(epoch) == committee.B {
		return "B"
	}
	return "A"
}

// seatsIn names the committees in which this relay has a seat, as the newest state tells.
func (d *replica) seatsIn() (names []string) {
	s := d.machine.Head().State
	for _, n := range []struct {
		committee committee.Name
		name      string
	}{{committee.A, "A"}, {committee.B, "B"}} {
		now, _ := s.List(n.committee)
		if now != nil && slices.ContainsFunc(now.Seats, func(seat committee.Seat) bool { return seat.RID == d.r.rid }) {
			names = append(names, n.name)
		}
	}
	return names
}

// penalty is until when the newest state shuts a relay out of the committee for what it
// has signed; zero: it does not.
func (d *replica) penalty(rid record.RID) time.Time {
	s := d.machine.Head().State
	if i, listed := s.Snapshot().Table().Index(rid); listed {
		if end := s.Aux(i).PenaltyEnd; end > s.Epoch() {
			return d.r.genesis.EpochStart(end)
		}
	}
	return time.Time{}
}

// Penalties are the relays of the newest final list that are shut out of the committee for
// what they have signed, and until when. Only relays know: it is no part of the list that
// clients hold.
func (r *Relay) Penalties() map[record.RID]time.Time {
	final := r.final.Load()
	if final == nil {
		return nil
	}
	out := map[record.RID]time.Time{}
	s := final.State
	for i := range s.Snapshot().Table().Len() {
		if end := s.Aux(i).PenaltyEnd; end > s.Epoch() {
			out[s.Snapshot().Table().At(i).RID] = r.genesis.EpochStart(end)
		}
	}
	return out
}

// doubtWords says why a member that doubts itself takes no part, and until when; empty:
// it does not, or the reason is another.
func (d *replica) doubtWords(r vote.Reason) string {
	doubts, at := d.machine.Doubts(), d.r.genesis.EpochStart
	switch {
	case r == vote.OtherSelf && doubts.OtherTill > 0:
		return fmt.Sprintf("%s: until %s if no more is seen of it", reasonWords[r], at(doubts.OtherTill).UTC().Format(dateWords))
	case r == vote.MemoryLost && len(doubts.LostTill) > 0:
		var till uint64
		for _, t := range doubts.LostTill {
			till = max(till, t)
		}
		return fmt.Sprintf("%s: %s at the latest", reasonWords[r], at(till).UTC().Format(dateWords))
	}
	return reasonWords[r]
}

// dateWords is how a moment in UTC is written.
const dateWords = "2006-01-02 15:04 UTC"
