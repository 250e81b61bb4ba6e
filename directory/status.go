// SPDX-License-Identifier: BSD-3-Clause

package directory

import (
	"time"

	"chive/directory/gossip"
	"chive/directory/record"
	"chive/directory/snapshot"
	"chive/directory/vote"
)

// Joining is how far a relay has come that is not on the list.
type Joining struct {
	Wanted   bool // Join was told
	Seen     bool // the role has shown a snapshot that is newer than ours
	Offered  bool // there is a descriptor of ours
	Solving  bool // the work is being done
	Asked    int  // relays asked to introduce us, no answer yet
	Accepted int  // relays that do, of three
	// Unreached are relays that have answered that they cannot reach us at the addresses
	// of our descriptor.
	Unreached int
	// Vouched says that it asks with a voucher; Voucher is why relays took that for
	// nothing, so that it is left out, for a day or, once it is over, for good: 0, or one
	// of the codes of JOINED about it.
	Vouched bool
	Voucher gossip.JoinCode
}

// Joining returns how far joining has come.
func (m *Machine) Joining() Joining {
	j := &m.joining
	return Joining{
		Wanted: j.wanted && !m.listed(), Seen: m.seen != nil, Offered: m.descs.newest(m.cfg.RID) != nil,
		Solving: j.solving, Asked: len(j.active), Accepted: j.taken,
		Unreached: len(j.unreached), Vouched: j.withVoucher(), Voucher: j.refused,
	}
}

// Doubts returns why the relay takes no seat although it has one, to be remembered.
func (m *Machine) Doubts() vote.Doubts { return m.member.Doubts() }

// Parent returns the parent of the newest final state, as its View was, if it is held and
// is not snapshot 0.
func (m *Machine) Parent() (View, bool) {
	if m.below == nil || m.below.certificate == nil {
		return View{}, false
	}
	return viewOf(m.below), true
}

// Wipe destroys the committee keys. It ends the machine: nothing may be done with it
// afterwards.
func (m *Machine) Wipe() {
	for _, key := range m.cfg.Keys {
		clear(key)
	}
	m.member.Wipe()
}

// Newest returns the newest snapshot that is known: our own, or a newer one that the
// role has shown (Seen).
func (m *Machine) Newest() *snapshot.Snapshot { return m.newest() }

// Clock returns by how much the neighbours' clocks are ahead of ours, in the median,
// and how many neighbours there are.
func (m *Machine) Clock() (ahead time.Duration, neighbours int) { return m.gossip.ClockOffset() }

// Own returns our own newest descriptor, nil if there is none. It is only read.
func (m *Machine) Own() *record.Descriptor {
	if d := m.descs.newest(m.cfg.RID); d != nil {
		return d.Descriptor
	}
	return nil
}

// Nicknames are what relays of the table call themselves in the descriptors that are held,
// without those that say nothing. They are theirs to choose: several may say the same, and
// the bytes are whatever a stranger has put there. The map belongs to the caller.
func (m *Machine) Nicknames() map[record.RID]string {
	out := map[record.RID]string{}
	for d := range m.descs.relays.all() {
		if d.Nickname != "" {
			out[d.rid] = d.Nickname
		}
	}
	return out
}
