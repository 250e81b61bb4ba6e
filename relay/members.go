// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"slices"

	"chive/directory/record"
	"chive/directory/transition"
)

// MemberStatus is one seat of a committee, as this relay sees it.
type MemberStatus struct {
	RID    record.RID
	Self   bool // it is this relay's own
	Stream bool // a gossip stream with it is open
}

// members says who sits in the committee of an epoch, which of them this relay has a
// stream with, and who has signed the newest final list. A certificate is closed once a
// quorum has signed: whose signature it lacks need not be away.
func (d *replica) members(c *CommitteeStatus, peers []record.RID, epoch uint64) {
	head := d.machine.Head()
	if l := head.State.Owner(d.r.genesis.Params, epoch); l != nil {
		for _, seat := range l.Seats {
			self := seat.RID == d.r.rid
			c.Members = append(c.Members, MemberStatus{seat.RID, self, !self && slices.Contains(peers, seat.RID)})
		}
	}
	if head.Certificate == nil {
		return
	}
	signed, _ := head.State.List(transition.OwnerName(head.Certificate.Header.Epoch)) // which a snapshot commits to
	if signed == nil {
		return
	}
	c.Seats = len(signed.Seats)
	for i, seat := range signed.Seats {
		if head.Certificate.Signers.Has(i) {
			c.Signed++
		} else {
			c.Unsigned = append(c.Unsigned, seat.RID)
		}
	}
}
