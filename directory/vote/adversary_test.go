// SPDX-License-Identifier: BSD-3-Clause

package vote

import (
	"bytes"
	"time"

	"chive/directory/committee"
	"chive/directory/record"
)

// behaviour is what a traitor does, beside running the machine.
type behaviour int

const (
	silent behaviour = 1 << iota
	twoVotes
	partialVote
	lateProposal
	twoProposals
	illegalProposal
	withholdSignature
	withholdCertificate
	doubleSign
	turncoat // its votes are others' than what it saw
)

// betray makes nodes traitors.
func (s *sim) betray(b behaviour, nodes ...int) {
	for _, id := range nodes {
		if s.nodes[id].bad == 0 {
			s.traitors++
		}
		s.nodes[id].bad |= b
		if m := s.nodes[id].m; m != nil {
			m.UnsafeUnaware = true
		}
	}
}

func even(node int) bool { return node%2 == 0 }
func odd(node int) bool  { return node%2 == 1 }

// send spreads what a node says, bent by its behaviour.
func (s *sim) send(n *simNode, e Send) {
	switch {
	case n.bad == 0:
		s.said(n, e)
	case n.bad&silent != 0, n.bad&withholdSignature != 0 && e.Class == record.ClassSignature,
		n.bad&withholdCertificate != 0 && e.Class == record.ClassCertificate:
		return
	}
	switch {
	case e.Class == record.ClassVote && n.bad&(twoVotes|partialVote|turncoat) != 0:
		s.bendVote(n, e)
	case e.Class == record.ClassProposal && n.bad&(twoProposals|lateProposal|illegalProposal) != 0:
		s.bendProposal(n, e)
	default:
		s.publish(n, e.Class, e.Digest, e.Data)
		s.spread(n, e.Digest, nil)
	}
}

func (s *sim) bendVote(n *simNode, e Send) {
	v, err := DecodeVote(e.Data)
	if err != nil {
		s.t.Fatal(err)
	}
	other, err := NewVote(s.nid, s.key(n, v.Epoch), v.Epoch, v.Parent, v.Seat, []byte{0xee, byte(v.Epoch >> 8), byte(v.Epoch), 1})
	if err != nil {
		s.t.Fatal(err)
	}
	switch {
	case n.bad&turncoat != 0:
		s.publish(n, record.ClassVote, other.Digest(), other.Encode())
		s.spread(n, other.Digest(), nil)
	case n.bad&twoVotes != 0:
		s.publish(n, record.ClassVote, e.Digest, e.Data)
		s.spread(n, e.Digest, even)
		s.publish(n, record.ClassVote, other.Digest(), other.Encode())
		s.spread(n, other.Digest(), odd)
	default:
		s.publish(n, record.ClassVote, e.Digest, e.Data)
		s.spread(n, e.Digest, even)
	}
}

// key is a node's committee key of the list that owns an epoch.
func (s *sim) key(n *simNode, epoch uint64) []byte {
	return committeeKey(s.owner(epoch).List.Term, n.id)
}

func (s *sim) bendProposal(n *simNode, e Send) {
	p, err := DecodeProposal(e.Data)
	if err != nil {
		s.t.Fatal(err)
	}
	if p.Header.Epoch != s.w.doc.EpochAt(s.now.Add(n.skew)) || s.owner(p.Header.Epoch).Seats[p.Seat()].RID != ridOf(s.w.doc, n.id) {
		return
	}
	switch {
	case n.bad&lateProposal != 0:
		// So that it reaches some in time and others not.
		at := s.w.doc.EpochStart(p.Header.Epoch).Add(s.p.Sign - s.p.Sign/6 - 95*time.Millisecond)
		s.after(max(at.Sub(s.now), 0), func() {
			s.publish(n, e.Class, e.Digest, e.Data)
			s.spread(n, e.Digest, nil)
		})
	case n.bad&illegalProposal != 0:
		h := *p.Header
		h.AuxRoot[0] ^= 1
		bad, err := NewProposal(s.nid, s.key(n, h.Epoch), &h, p.Voters, p.Votes)
		if err != nil {
			s.t.Fatal(err)
		}
		s.publish(n, e.Class, bad.Digest(), bad.Encode())
		s.spread(n, bad.Digest(), nil)
	default:
		s.publish(n, e.Class, e.Digest, e.Data)
		s.spread(n, e.Digest, even)
		if q := s.fewerVotes(n, p); q != nil {
			s.publish(n, e.Class, q.Digest(), q.Encode())
			s.spread(n, q.Digest(), odd)
			s.betrayWith(n, q)
		}
		s.betrayWith(n, p)
	}
}

// fewerVotes is a second honest-looking proposal: one vote less, if there are more
// than a quorum, else another order of what there is: none.
func (s *sim) fewerVotes(n *simNode, p *Proposal) *Proposal {
	parent := s.state[p.Header.Parent]
	if parent == nil {
		return nil
	}
	roster := parent.Owner(p.Header.Epoch)
	if len(p.Votes) <= committee.Quorum(len(roster.Seats)) {
		return nil
	}
	out, err := p.Output(s.nid, roster.Seats[p.Seat()].VRF, parent.Header().Beacon, s.v)
	if err != nil {
		s.t.Fatal(err)
	}
	in := Input{Epoch: p.Header.Epoch, Seat: p.Seat(), Proof: p.Header.VRFProof, Output: out}
	voters := NewSeats(len(roster.Seats))
	var names [][32]byte
	for i, seat := range p.Voters.Members()[1:] {
		item := s.items[p.Votes[i+1]]
		if item == nil {
			return nil
		}
		v, err := DecodeVote(item.data)
		if err != nil {
			s.t.Fatal(err)
		}
		voters.Add(seat)
		names = append(names, p.Votes[i+1])
		in.Ballots = append(in.Ballots, Ballot{Seat: seat, Ops: v.Ops})
	}
	in.VotesDigest = VotesDigest(voters, names)
	child, err := s.w.Next(parent, &in)
	if err != nil {
		return nil
	}
	q, err := NewProposal(s.nid, s.key(n, p.Header.Epoch), child.Header(), voters, names)
	if err != nil {
		s.t.Fatal(err)
	}
	return q
}

// betrayWith has every double signer sign a proposal.
func (s *sim) betrayWith(n *simNode, p *Proposal) {
	for _, o := range s.nodes {
		if o.bad&doubleSign != 0 {
			s.doubleSignature(o, p)
		}
	}
}

// misbehaveOn is what traitors do about what they receive: double signers sign every
// proposal.
func (s *sim) misbehaveOn(n *simNode, e Accept) {
	if n.bad&doubleSign == 0 || e.Class != record.ClassProposal {
		return
	}
	p, err := DecodeProposal(s.items[e.Digest].data)
	if err != nil {
		s.t.Fatal(err)
	}
	s.doubleSignature(n, p)
}

func (s *sim) doubleSignature(n *simNode, p *Proposal) {
	if s.quiet != nil && s.quiet(n, record.ClassSignature) {
		return
	}
	epoch := p.Header.Epoch
	for i, seat := range s.owner(epoch).Seats {
		if seat.RID != ridOf(s.w.doc, n.id) || !bytes.Equal(seat.Key[:], s.key(n, epoch)[32:]) {
			continue
		}
		g, err := NewSignature(s.nid, s.key(n, epoch), epoch, p.HeaderDigest(), i)
		if err != nil {
			s.t.Fatal(err)
		}
		s.publish(n, record.ClassSignature, g.Digest(), g.Encode())
		s.spread(n, g.Digest(), nil)
	}
}
