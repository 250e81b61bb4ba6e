// SPDX-License-Identifier: BSD-3-Clause

package vote

import (
	"errors"
	"slices"

	"chive/directory/committee"
	"chive/directory/record"
)

// act does what the time and what was received call for.
func (m *Member) act() {
	current := m.Document.EpochAt(m.now)
	if next := current + 1; m.observed < next && !m.now.Before(m.cutOff(next)) {
		m.observed = next
		if m.seatIn(m.head.Owner(next), m.head) >= 0 {
			m.emit(Observe{Epoch: next})
		}
	}
	m.pursue()
	for _, r := range m.rounds {
		m.certify(r)
	}
	for _, r := range m.rounds {
		if r.epoch == current && m.reason(r) == Takes {
			m.vote(r)
			m.propose(r)
			m.sign(r)
		}
	}
	// One's own vote, proposal and signature can be what was missing.
	for _, r := range m.rounds {
		m.certify(r)
	}
	m.eraseKeys()
}

// promise is something that is said once it is durable that nothing else ever will.
type promise struct {
	token  uint64
	kind   Kind
	epoch  uint64
	parent [32]byte // newest snapshot then
	say    func(r *round)
}

// promised makes a promise durable, or fulfils one that is already. Nothing happens
// if it would break one.
func (m *Member) promised(r *round, kind Kind, digest [32]byte, say func(r *round)) {
	may, done := m.memory.allows(kind, r.epoch, digest)
	switch {
	case !may:
	case done:
		say(r)
	default:
		m.memory[kind] = Mark{Epoch: r.epoch, Digest: digest}
		m.tokens++
		m.pending = append(m.pending, promise{token: m.tokens, kind: kind, epoch: r.epoch, parent: m.head.Digest(), say: say})
		m.emit(Store{Token: m.tokens, Memory: m.memory.Encode(m.nid, m.RID)})
	}
}

// stored fulfils a promise that has become durable, if it still makes sense. What
// could not be made durable is never said: in this epoch the member abstains.
func (m *Member) stored(ev Stored) {
	i := slices.IndexFunc(m.pending, func(p promise) bool { return p.token == ev.Token })
	if i < 0 {
		return
	}
	p := m.pending[i]
	m.pending = slices.Delete(m.pending, i, i+1)
	r := m.round(p.epoch)
	if !ev.OK {
		m.counts.Abandons++
		return
	}
	if r == nil || m.reason(r) != Takes || p.parent != m.head.Digest() || m.Document.EpochAt(m.now) != p.epoch || !m.now.Before(m.signEnd(p.epoch)) {
		return
	}
	p.say(r)
}

// vote sends the member's vote in the first sixth of the delay of proposals, or as
// soon as it can before proposals are made. Spec: directory §6 (2), protocol §12
// (EPOCH-3).
func (m *Member) vote(r *round) {
	if r.voted || m.now.Before(m.start(r.epoch).Add(r.delay)) || !m.now.Before(m.voteEnd(r.epoch)) {
		return
	}
	r.voted = true
	ops := m.Rules.Propose(m.head, r.epoch, m.view(r.epoch))
	v, err := NewVote(m.nid, r.key, r.epoch, m.head.Digest(), r.seat, ops)
	if err != nil {
		return // more ops than a vote holds
	}
	m.promised(r, KindVote, v.digest, func(r *round) {
		if r.votes[v.Seat] == nil {
			r.votes[v.Seat] = v
		}
		m.emit(Send{Class: record.ClassVote, Digest: v.digest, Data: v.Encode()})
	})
}

// propose sends a proposal after the hold-off, once the votes of a quorum are there,
// unless one of lower output is known that is not found wrong, or it would come too
// late. Spec: directory §6 (3), protocol §12 (EPOCH-5).
func (m *Member) propose(r *round) {
	if r.proposed || m.now.Before(r.holdOff) || !m.now.Before(m.deadline(r.epoch)) {
		return
	}
	for _, p := range r.proposals {
		if p.Header.Parent != m.head.Digest() || p.late || slices.Compare(p.output[:], r.output[:]) >= 0 {
			continue
		}
		if m.recompute(r, p); !p.bad {
			return
		}
	}
	k := len(r.roster.Seats)
	voters := NewSeats(k)
	var names [][32]byte
	in := Input{Epoch: r.epoch, Seat: r.seat, Proof: r.proof, Output: r.output}
	for seat, v := range r.votes {
		if v != nil && v.Parent == m.head.Digest() {
			voters.Add(seat)
			names = append(names, v.digest)
			in.Ballots = append(in.Ballots, Ballot{Seat: seat, Ops: v.Ops})
		}
	}
	if len(names) < committee.Quorum(k) {
		return
	}
	in.VotesDigest = VotesDigest(voters, names)
	child, err := m.Rules.Next(m.head, &in)
	var missing *MissingError
	if errors.As(err, &missing) {
		m.emit(FetchDescriptors{Wants: missing.Wants})
		return
	}
	r.proposed = true
	if err != nil {
		return
	}
	p, err := NewProposal(m.nid, r.key, child.Header(), voters, names)
	if err != nil {
		return
	}
	m.promised(r, KindProposal, p.digest, func(r *round) {
		if !m.now.Before(m.deadline(r.epoch)) || r.firsts[p.Seat()] != nil || !m.rank(r, p, false) {
			return
		}
		r.firsts[p.Seat()] = p
		if made := r.find(p.header); made != nil {
			made.child = child
		}
		m.emit(Send{Class: record.ClassProposal, Digest: p.digest, Data: p.Encode()})
	})
}

// sign signs a proposal that is built on the newest final snapshot and says what follows
// from its votes: once. Parts that are missing are asked for as soon as no other proposal
// can come in time. Spec: directory §6 (4), protocol §12 (EPOCH-6).
func (m *Member) sign(r *round) {
	if r.promised || m.now.Before(m.deadline(r.epoch)) || !m.now.Before(m.signEnd(r.epoch)) {
		return
	}
	p := m.chosen(r)
	if p == nil || p.child == nil || m.now.Before(m.signFrom(r.epoch)) {
		return
	}
	r.promised = true
	header := p.header
	if m.made = append(m.made, p.child); len(m.made) > maxMade {
		m.made = m.made[1:]
	}
	m.promised(r, KindSignature, header, func(r *round) {
		s := must(NewSignature(m.nid, r.key, r.epoch, header, r.seat)) // a seat that was found
		if r.signed[s.Seat] == nil {
			r.signed[s.Seat] = s
		}
		if p := r.find(header); p != nil {
			p.signatures[s.Seat] = s
		}
		m.emit(Send{Class: record.ClassSignature, Digest: s.digest, Data: s.Encode()})
	})
}

// chosen returns the proposal that is to be signed, whose parts may be missing; nil: none is.
// It is one that most have signed, late or not: no other can be final then unless seats sign twice, and who
// was away when it came may be what it lacks. Else it is the one of lowest output that came
// in time. A proposal that was recomputed and is wrong is passed over.
func (m *Member) chosen(r *round) *proposed {
	may := func(p *proposed) bool {
		if p.Header.Parent != m.head.Digest() {
			return false
		}
		m.recompute(r, p)
		return !p.bad
	}
	most := committee.Matching(len(r.roster.Seats))
	for _, p := range r.proposals {
		if p.signed() >= most && may(p) {
			return p
		}
	}
	for _, p := range r.proposals {
		if !p.late && may(p) {
			return p
		}
	}
	return nil
}

// signed is how many have signed the proposal.
func (p *proposed) signed() (count int) {
	for _, s := range p.signatures {
		if s != nil {
			count++
		}
	}
	return count
}

// recompute makes the child that a proposal's votes give and compares. It asks for
// what is missing, again after a while.
func (m *Member) recompute(r *round, p *proposed) {
	if p.bad || p.child != nil {
		return
	}
	parent := m.parent(r.epoch, p.Header.Parent)
	if parent == nil {
		return
	}
	in := Input{Epoch: r.epoch, Seat: p.Seat(), Proof: p.Header.VRFProof, Output: p.output, VotesDigest: p.Header.VotesDigest}
	var missing [][32]byte
	for i, seat := range p.Voters.Members() {
		v := r.vote(seat, p.Votes[i])
		switch {
		case v == nil:
			missing = append(missing, p.Votes[i])
		case v.Parent != p.Header.Parent || v.Seat != seat:
			p.bad = true
			return
		default:
			in.Ballots = append(in.Ballots, Ballot{Seat: seat, Ops: v.Ops})
		}
	}
	again := p.asked.IsZero() || !m.now.Before(p.asked.Add(m.p.GetTimeout))
	if len(missing) > 0 {
		if again {
			p.asked = m.now
			m.emit(Fetch{Class: record.ClassVote, Digests: missing})
		}
		return
	}
	child, err := m.Rules.Next(parent, &in)
	var lacks *MissingError
	switch {
	case errors.As(err, &lacks):
		if again {
			p.asked = m.now
			m.emit(FetchDescriptors{Wants: lacks.Wants})
		}
	case err != nil || child.Digest() != p.header:
		p.bad = true
	default:
		p.child = child
	}
}

// certify makes a certificate of the signatures of a quorum, whoever the member is.
// Spec: directory §6 (5), protocol §12 (EPOCH-7).
func (m *Member) certify(r *round) {
	k := len(r.roster.Seats)
	for _, p := range r.proposals {
		if p.certified {
			continue
		}
		signers := NewSeats(k)
		var signatures [][record.SignatureSize]byte
		for seat, s := range p.signatures {
			if s != nil {
				signers.Add(seat)
				signatures = append(signatures, s.Bytes())
			}
		}
		if len(signatures) < committee.Quorum(k) {
			continue
		}
		p.certified = true
		c, err := NewCertificate(p.Header, signers, signatures)
		if err != nil {
			continue
		}
		if m.admit(c) {
			m.emit(Send{Class: record.ClassCertificate, Digest: c.Digest(), Data: c.Encode()})
			m.pursue()
		}
		return // the newest snapshot may be another now, and the rounds with it
	}
}

// eraseKeys destroys the keys of terms that no list in force has any more.
// Spec: directory §3, protocol §12 (EPOCH-10).
func (m *Member) eraseKeys() {
	lists := m.head.Rosters()
	oldest, any := uint64(0), false
	for _, i := range []int{0, 2} {
		if l := lists[i]; l != nil && (!any || l.List.Term < oldest) {
			oldest, any = l.List.Term, true
		}
	}
	if !any {
		return
	}
	var terms []uint64
	for term := range m.Keys {
		if term < oldest {
			terms = append(terms, term)
		}
	}
	slices.Sort(terms)
	for _, term := range terms {
		clear(m.Keys[term])
		delete(m.Keys, term)
		m.emit(Erase{Term: term})
	}
}
