// SPDX-License-Identifier: BSD-3-Clause

package vote

import (
	"bytes"
	"cmp"
	"crypto/ed25519"
	"slices"
	"time"

	"chive/directory/committee"
	"chive/directory/record"
	"chive/directory/vrf"
)

// maxProposals is how many proposals of an epoch are kept, those of lowest output;
// beside them as many that came too late to be signed, and as many whose parent is
// not known yet. Spec: directory §4, protocol §12 (EPOCH-8).
const maxProposals = 3

// round is what is known of one epoch. It holds at most one vote, proposal and loose
// signature of a seat, and what the kept proposals call for.
type round struct {
	epoch  uint64
	base   State // the newest known snapshot before the epoch
	roster *Roster

	votes     []*Vote // by seat: its first
	listed    map[[32]byte]*Vote
	proposals []*proposed
	early     []waiting
	firsts    []*Proposal  // by seat: its first, for evidence
	signed    []*Signature // by seat: its first, for evidence
	accused   map[byte]Seats

	// One's own part.
	seat     int // -1: none
	key      ed25519.PrivateKey
	delay    time.Duration
	proof    [vrf.ProofSize]byte
	output   [vrf.OutputSize]byte
	holdOff  time.Time
	voted    bool
	proposed bool
	promised bool // a signature, or given up
}

// waiting is a proposal whose parent is not known yet.
type waiting struct {
	*Proposal
	late bool
}

// proposed is a proposal that is kept.
type proposed struct {
	*Proposal
	output     [vrf.OutputSize]byte
	late       bool      // came too late to be signed
	asked      time.Time // when what it lacks was asked for last
	child      State     // recomputed and equal
	bad        bool      // recomputed and not equal, or impossible
	signatures []*Signature
	certified  bool
}

// openRounds makes a round for the current epoch, and for the next one just before
// it begins: clocks differ.
func (m *Member) openRounds() {
	newest := m.Document.EpochAt(m.now.Add(m.p.ClockMember))
	for epoch := newest - min(newest, 1); epoch <= newest; epoch++ {
		if epoch == 0 || m.round(epoch) != nil {
			continue
		}
		if len(m.rounds) > 0 && epoch < m.rounds[len(m.rounds)-1].epoch {
			continue
		}
		if base := m.base(epoch); base != nil {
			if r := m.newRound(epoch, base); r != nil {
				m.rounds = append(m.rounds, r)
			}
		}
	}
	for len(m.rounds) > 2 {
		m.rounds = m.rounds[1:]
	}
	m.pending = slices.DeleteFunc(m.pending, func(p promise) bool { return p.epoch+1 < newest })
}

// base returns the newest known snapshot that a child at an epoch can have as its
// parent; nil: none.
func (m *Member) base(epoch uint64) State {
	switch {
	case m.epoch() < epoch:
		return m.head
	case m.below != nil && m.below.Digest() == m.head.Header().Parent && m.below.Header().Epoch < epoch:
		return m.below
	}
	return nil
}

func (m *Member) round(epoch uint64) *round {
	for _, r := range m.rounds {
		if r.epoch == epoch {
			return r
		}
	}
	return nil
}

func (m *Member) newRound(epoch uint64, base State) *round {
	roster := base.Owner(epoch)
	if roster == nil {
		return nil
	}
	k := len(roster.Seats)
	r := &round{
		epoch: epoch, base: base, roster: roster, votes: make([]*Vote, k), listed: map[[32]byte]*Vote{},
		firsts: make([]*Proposal, k), signed: make([]*Signature, k), accused: map[byte]Seats{}, seat: -1,
	}
	for _, class := range []byte{record.ClassVote, record.ClassProposal, record.ClassSignature} {
		r.accused[class] = NewSeats(k)
	}
	r.delay = m.voteDelay()
	m.sit(r)
	return r
}

// sit finds one's own seat, and the output that decides when to propose.
func (m *Member) sit(r *round) {
	if r.seat = m.seatIn(r.roster, r.base); r.seat < 0 {
		return
	}
	r.key = m.Keys[r.roster.List.Term]
	r.proof = m.VRF.Prove(ProposeInput(m.nid, r.epoch, r.base.Header().Beacon))
	r.output = must(vrf.ProofToHash(r.proof)) // one's own
	r.holdOff = m.holdOff(r.epoch, len(r.roster.Seats), r.output)
}

// seatIn returns the seat that has this relay's name and keys: somebody else can have
// published its committee key. -1: none, or one that is ignored.
func (m *Member) seatIn(roster *Roster, base State) int {
	if m.VRF == nil || roster == nil {
		return -1
	}
	key := m.Keys[roster.List.Term]
	if len(key) != ed25519.PrivateKeySize {
		return -1
	}
	return slices.IndexFunc(roster.Seats, func(s committee.Seat) bool {
		return s.RID == m.RID && s.VRF == [32]byte(m.VRF.Public()) && bytes.Equal(key[ed25519.SeedSize:], s.Key[:]) && !base.Ignored(&s)
	})
}

// rebase moves the rounds onto a new newest snapshot. What was collected stays,
// unless other seats own the epoch now.
func (m *Member) rebase() {
	var kept []*round
	for _, r := range m.rounds {
		base := m.base(r.epoch)
		if base == nil {
			continue
		}
		if base.Digest() == r.base.Digest() {
			kept = append(kept, r)
			continue
		}
		roster := base.Owner(r.epoch)
		if roster == nil {
			continue
		}
		if roster.Root != r.roster.Root {
			n := m.newRound(r.epoch, base)
			n.voted, n.proposed, n.promised = r.voted, r.proposed, r.promised
			kept = append(kept, n)
			continue
		}
		r.base, r.roster = base, roster
		m.sit(r)
		early := r.early
		r.early = nil
		kept = append(kept, r)
		for _, p := range early {
			if m.rank(r, p.Proposal, p.late) && r.find(p.header) != nil {
				m.emit(Send{Class: record.ClassProposal, Digest: p.digest, Data: p.Encode()})
			}
		}
	}
	m.rounds = kept
}

// parent returns the state that a child at an epoch names as its parent, if it is
// one that can be built on.
func (m *Member) parent(epoch uint64, digest [32]byte) State {
	for _, s := range []State{m.head, m.below} {
		if s != nil && s.Digest() == digest && s.Header().Epoch < epoch {
			return s
		}
	}
	return nil
}

// rank puts a proposal, whose signature was verified, where its output belongs. It
// reports whether the proof holds.
func (m *Member) rank(r *round, p *Proposal, late bool) bool {
	parent := m.parent(r.epoch, p.Header.Parent)
	if parent == nil {
		if len(r.early) < maxProposals {
			r.early = append(r.early, waiting{p, late})
		}
		return true
	}
	k := len(r.roster.Seats)
	if owner := parent.Owner(r.epoch); owner == nil || owner.Root != r.roster.Root {
		return true // of other seats, and not to be judged here
	}
	if !p.Voters.fits(k) || len(p.Votes) < committee.Quorum(k) {
		return false
	}
	output, err := p.Output(m.nid, r.roster.Seats[p.Seat()].VRF, parent.Header().Beacon, m.Verifier)
	if err != nil {
		return false
	}
	made := &proposed{Proposal: p, output: output, late: late, signatures: make([]*Signature, k)}
	for seat, s := range r.signed {
		if s != nil && s.Header == p.header {
			made.signatures[seat] = s
		}
	}
	r.proposals = append(r.proposals, made)
	slices.SortStableFunc(r.proposals, func(a, b *proposed) int {
		if a.late != b.late {
			if a.late {
				return 1
			}
			return -1
		}
		return cmp.Or(bytes.Compare(a.output[:], b.output[:]), bytes.Compare(a.header[:], b.header[:]))
	})
	counts := map[bool]int{}
	r.proposals = slices.DeleteFunc(r.proposals, func(p *proposed) bool {
		counts[p.late]++
		return counts[p.late] > maxProposals
	})
	for digest := range r.listed {
		if !r.wanted(digest) {
			delete(r.listed, digest)
		}
	}
	return true
}

// find returns the kept proposal of a header.
func (r *round) find(header [32]byte) *proposed {
	for _, p := range r.proposals {
		if p.header == header {
			return p
		}
	}
	return nil
}

// wanted reports whether a kept proposal lists a vote.
func (r *round) wanted(digest [32]byte) bool {
	for _, p := range r.proposals {
		if slices.Contains(p.Votes, digest) {
			return true
		}
	}
	return false
}

// vote returns a vote by name.
func (r *round) vote(seat int, digest [32]byte) *Vote {
	if v := r.votes[seat]; v != nil && v.digest == digest {
		return v
	}
	return r.listed[digest]
}
