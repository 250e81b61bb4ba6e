// SPDX-License-Identifier: BSD-3-Clause

package draws

import (
	"time"

	"chive/directory/committee"
	"chive/directory/record"
	"chive/directory/snapshot"
	"chive/directory/transition"
	"chive/directory/vote"
)

// Ways are what traitors do, beside running the machine. Spec: directory §13.
type Ways int

// Ways of traitors.
const (
	Silent              Ways = 1 << iota // says nothing
	DoubleVote                           // one half gets another vote
	PartialVote                          // one half gets no vote
	HiddenVote                           // nobody gets a vote, and one's own proposals list it
	Insert                               // votes for a relay that no honest member wants
	DoublePropose                        // one half gets another proposal
	DoubleSign                           // signs whatever it sees
	WithholdSignature                    //
	WithholdCertificate                  //
	WithholdOutput                       // never proposes
)

// direct is how long an item takes that a traitor sends straight to a member.
const direct = 50 * time.Millisecond

// send spreads what a member says, bent by its ways.
func (s *committeeSim) send(n *member, e vote.Send) {
	if n.bad == 0 {
		s.once(n, e)
	}
	switch {
	case n.bad&Silent != 0,
		n.bad&WithholdOutput != 0 && e.Class == record.ClassProposal,
		n.bad&WithholdSignature != 0 && e.Class == record.ClassSignature,
		n.bad&HiddenVote != 0 && e.Class == record.ClassVote,
		n.bad&WithholdCertificate != 0 && e.Class == record.ClassCertificate:
	case n.bad&(DoubleVote|PartialVote|Insert) != 0 && e.Class == record.ClassVote:
		s.bendVote(n, e)
	case n.bad&DoublePropose != 0 && e.Class == record.ClassProposal:
		s.bendProposal(n, e)
	default:
		s.publish(n, e.Class, e.Digest, e.Data)
		s.spread(n, e.Digest, nil)
		if e.Class == record.ClassProposal {
			s.signAll(n, e.Digest)
		}
	}
}

// once checks I1, and the same of votes and proposals.
func (s *committeeSim) once(n *member, e vote.Send) {
	var epoch uint64
	switch e.Class {
	case record.ClassVote:
		if v, err := vote.DecodeVote(e.Data); err == nil {
			epoch = v.Epoch
		}
	case record.ClassSignature:
		if g, err := vote.DecodeSignature(e.Data); err == nil {
			epoch = g.Epoch
		}
	case record.ClassProposal:
		p, err := vote.DecodeProposal(e.Data)
		if err != nil || s.owner(p.Header).Seats[p.Seat()].RID != n.rid {
			return // another's, spread late
		}
		epoch = p.Header.Epoch
	default:
		return
	}
	at := promise{n.id, e.Class, epoch}
	if was, known := s.said[at]; known && was != e.Digest {
		s.broken(n, "I1: it says two things of one class in one epoch")
	}
	s.said[at] = e.Digest
}

// even and odd are whom a traitor shows one thing, and whom another.
func even(n *member) bool { return n.id%2 == 0 }
func odd(n *member) bool  { return n.id%2 == 1 }

func (s *committeeSim) publish(n *member, class byte, digest [32]byte, data []byte) {
	if s.items[digest] == nil {
		s.items[digest] = &item{class: class, data: data, has: map[int]bool{}}
	}
	s.items[digest].has[n.id] = true
}

// spread takes an item to those who do not have it, by gossip to all, or straight to
// those that to names.
func (s *committeeSim) spread(n *member, digest [32]byte, to func(*member) bool) {
	it := s.items[digest]
	if it == nil {
		return
	}
	for _, o := range s.nodes {
		if it.has[o.id] || (to != nil && !to(o)) {
			continue
		}
		it.has[o.id] = true
		d := direct
		if to == nil {
			d = delay(s.rng)
		}
		s.later(o, d, vote.Received{Class: it.class, Data: it.data})
	}
}

// served reports whether somebody gives an item who has it.
func (s *committeeSim) served(asks *member, it *item) bool {
	for _, o := range s.nodes {
		if o != asks && it.has[o.id] && o.bad&(HiddenVote|WithholdCertificate) == 0 {
			return true
		}
	}
	return false
}

func (s *committeeSim) bendVote(n *member, e vote.Send) {
	v, err := vote.DecodeVote(e.Data)
	if err != nil {
		return
	}
	key := s.key(n, v.Parent, v.Epoch)
	ops := transition.AppendOps(nil, []transition.Op{{
		Code: transition.Add, RID: record.NewRID(s.nid, s.evil.Identity), Body: [16]byte(s.body[:16]), Lane: transition.LaneOpen,
	}})
	other, err := vote.NewVote(s.nid, key, v.Epoch, v.Parent, v.Seat, ops)
	if err != nil {
		return
	}
	s.publish(n, e.Class, e.Digest, e.Data)
	s.publish(n, e.Class, other.Digest(), other.Encode())
	switch {
	case n.bad&DoubleVote != 0:
		s.spread(n, e.Digest, even)
		s.spread(n, other.Digest(), odd)
	case n.bad&PartialVote != 0:
		s.spread(n, e.Digest, even)
	default:
		s.spread(n, other.Digest(), nil)
	}
}

// owner is the list that a header's epoch belongs to.
func (s *committeeSim) owner(h *snapshot.Header) *vote.Roster {
	return s.state[h.Parent].Owner(h.Epoch)
}

// bendProposal shows one half a proposal, and the other half one that lists a vote
// less; all who sign everything sign both.
func (s *committeeSim) bendProposal(n *member, e vote.Send) {
	p, err := vote.DecodeProposal(e.Data)
	if err != nil {
		return
	}
	s.publish(n, e.Class, e.Digest, e.Data)
	other := s.fewer(n, p)
	if other == nil {
		s.spread(n, e.Digest, nil)
		s.signAll(n, e.Digest)
		return
	}
	s.publish(n, e.Class, other.Digest(), other.Encode())
	s.spread(n, e.Digest, even)
	s.spread(n, other.Digest(), odd)
	for _, digest := range [][32]byte{e.Digest, other.Digest()} {
		s.signAll(n, digest)
	}
}

// fewer is another proposal of the same seat that members find right; nil: there are
// not votes enough for two.
func (s *committeeSim) fewer(n *member, p *vote.Proposal) *vote.Proposal {
	parent := s.state[p.Header.Parent]
	if parent == nil {
		return nil
	}
	roster := parent.Owner(p.Header.Epoch)
	k := len(roster.Seats)
	if roster.Seats[p.Seat()].RID != n.rid || len(p.Votes) <= committee.Quorum(k) {
		return nil
	}
	out, err := p.Output(s.nid, roster.Seats[p.Seat()].VRF, parent.Header().Beacon, s.check)
	if err != nil {
		return nil
	}
	in := vote.Input{Epoch: p.Header.Epoch, Seat: p.Seat(), Proof: p.Header.VRFProof, Output: out}
	voters := vote.NewSeats(k)
	var names [][32]byte
	for i, seat := range p.Voters.Members() {
		it := s.items[p.Votes[i]]
		if i == 0 || it == nil {
			continue
		}
		v, err := vote.DecodeVote(it.data)
		if err != nil {
			return nil
		}
		voters.Add(seat)
		names = append(names, p.Votes[i])
		in.Ballots = append(in.Ballots, vote.Ballot{Seat: seat, Ops: v.Ops})
	}
	if len(names) < committee.Quorum(k) {
		return nil
	}
	in.VotesDigest = vote.VotesDigest(voters, names)
	child, err := s.rules.Next(parent, &in)
	if err != nil {
		return nil
	}
	q, err := vote.NewProposal(s.nid, s.key(n, p.Header.Parent, p.Header.Epoch), child.Header(), voters, names)
	if err != nil {
		return nil
	}
	s.state[child.Digest()] = child
	return q
}

// key is a member's committee key of the list that owns an epoch.
func (s *committeeSim) key(n *member, parent [32]byte, epoch uint64) []byte {
	state := s.state[parent]
	if state == nil {
		return nil
	}
	return n.keys[state.Owner(epoch).List.Term]
}

// signAll has those who sign everything sign a proposal, when one of them sees it.
func (s *committeeSim) signAll(n *member, digest [32]byte) {
	if n.bad&DoubleSign == 0 || s.items[digest] == nil {
		return
	}
	p, err := vote.DecodeProposal(s.items[digest].data)
	if err != nil {
		return
	}
	parent := s.state[p.Header.Parent]
	if parent == nil {
		return
	}
	for _, o := range s.nodes {
		if o.bad&DoubleSign == 0 {
			continue
		}
		for seat, has := range parent.Owner(p.Header.Epoch).Seats {
			if has.RID != o.rid {
				continue
			}
			g, err := vote.NewSignature(s.nid, s.key(o, p.Header.Parent, p.Header.Epoch), p.Header.Epoch, p.HeaderDigest(), seat)
			if err == nil {
				s.publish(o, record.ClassSignature, g.Digest(), g.Encode())
				s.spread(o, g.Digest(), func(*member) bool { return true })
			}
		}
	}
}
