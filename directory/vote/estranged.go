// SPDX-License-Identifier: BSD-3-Clause

package vote

import (
	"time"

	"chive/directory/committee"
	"chive/directory/genesis"
)

// What a member does that meets its own signature on what its memory does not know. It
// never has promised that, as far as it can tell: either the memory is an old copy, and
// nobody knows what else was promised, or another process signs with the same key. In
// either case the member signs nothing more, at once.
//
//   - An item of an epoch in which this process has begun, or of one before, may be from
//     a time that the memory has forgotten. That is a lost memory (MemoryLost).
//   - Later ones are another process's. The member takes no part until a whole quiet
//     period (Quiet) has passed in which nothing was seen of it, counted anew each time.
//
// Two processes that both know of each other are both silent in the committee, so that
// only their descriptors show that they go on: the quiet period is longer than that of a
// republication.
//
// Spec: protocol §12 (EPOCH-11).

// Doubts are why a member abstains although its keys and seat are there. They go on from
// member to member.
type Doubts struct {
	Lost      bool                      // there was a memory, and it cannot be read or is old
	LostTill  map[committee.Name]uint64 // with Lost: it abstains before these epochs; nil: not known yet. Only read
	OtherTill uint64                    // same, since another process has its key; 0: none is known
}

// Quiet is for how many epochs nothing may be seen of another process with the same key
// before a member takes part again: a term, and longer than descriptors go without
// being published anew.
func Quiet(p genesis.Params) uint64 {
	republished := uint64((p.Republish+p.RepublishJitter)/max(p.EpochLen, 1)) + 1
	return max(uint64(p.Term), republished)
}

// Doubts returns why the member abstains.
func (m *Member) Doubts() Doubts {
	return Doubts{Lost: m.lost, LostTill: m.lostTill, OtherTill: m.otherTill}
}

// estrange stops the member. other: it is another process that has the key; else the
// memory is old.
func (m *Member) estrange(other bool) {
	if m.UnsafeUnaware {
		return
	}
	if other {
		m.otherTill = max(m.otherTill, m.quietTill())
	} else {
		if m.lost {
			return
		}
		m.lost = true
		m.forget()
	}
	m.emit(Strange{Other: other})
}

// quietTill is when the quiet period is over if another process was seen now.
func (m *Member) quietTill() uint64 { return m.Document.EpochAt(m.now) + 1 + Quiet(m.p) }

// ownSeen looks at a verified item of the member's own seat: digest is what the memory
// would know it by.
func (m *Member) ownSeen(kind Kind, epoch uint64, digest [32]byte) {
	mark := m.memory[kind]
	if epoch < mark.Epoch || epoch == mark.Epoch && digest == mark.Digest {
		return
	}
	if epoch > mark.Epoch && !m.UnsafeUnaware {
		// Known from now on, so that it is met once: where a network stands still because
		// of this member, its head stays the one that it signed before.
		m.memory[kind] = Mark{Epoch: epoch, Digest: digest}
		m.tokens++
		m.emit(Store{Token: m.tokens, Memory: m.memory.Encode(m.nid, m.RID)})
	}
	m.estrange(epoch > m.Document.EpochAt(m.Since))
}

// certificateSeen looks at whether a verified certificate bears the member's own
// signature.
func (m *Member) certificateSeen(c *Certificate, roster *Roster) {
	// The seat that the relay had then counts, whatever has become of it.
	key := m.Keys[roster.List.Term]
	if m.VRF == nil || len(key) == 0 {
		return
	}
	for i := range roster.Seats {
		s := &roster.Seats[i]
		if s.RID == m.RID && [32]byte(key[len(key)-32:]) == s.Key && c.Signers.Has(i) {
			m.ownSeen(KindSignature, c.Header.Epoch, c.digest)
		}
	}
}

// checkHead looks at the certificate that the member begins with.
func (m *Member) checkHead() {
	if m.cert == nil {
		return
	}
	if roster := m.head.Owner(m.cert.Header.Epoch); roster != nil && roster.Root == ownerRoot(m.cert.Header) {
		m.certificateSeen(m.cert, roster)
	}
}

// since is when this process has begun: c's, or now.
func since(c *Config, now time.Time) time.Time {
	if c.Since.IsZero() {
		return now
	}
	return c.Since
}
