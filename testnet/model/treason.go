// SPDX-License-Identifier: BSD-3-Clause

package model

import (
	"errors"
	"math/rand/v2"
	"time"

	"chive/directory/committee"
	"chive/directory/record"
	"chive/directory/transition"
	"chive/directory/vote"
)

// treason is what a committee member does against the rules, alone or mixed.
// Spec: directory §13, testnet §3 (adversary kinds).
type treason uint16

const (
	treasonNoVote      treason = 1 << iota // its vote goes nowhere
	treasonPartial                         // votes, proposals and signatures go to half of its neighbours
	treasonLate                            // its proposals come just before or after the time to sign
	treasonNoSignature                     // withholds its signature
	treasonNoFinal                         // withholds certificates
	treasonSlot                            // withholds its proposal, and so its output
	treasonVote                            // votes twice
	treasonSign                            // signs every proposal
	treasonTwins                           // proposes twice, both by the rules
	treasonIllegal                         // proposes what does not follow from its votes
	treasonCount       = iota
)

// treasons are their names, in order.
var treasons = [treasonCount]string{
	"no_vote", "partial", "late", "withhold_signature", "withhold_certificate", "withhold_vrf",
	"double_vote", "double_sign", "double_propose", "illegal",
}

// keepsUp decides about a frame that a traitor's machine wants to send, and reports
// whether it goes as it is.
func (b *brain) keepsUp(n *node, link uint32, x *wire, frame, class byte, body []byte) bool {
	w := b.w
	tells := frame == frameInv || frame == frameItem
	switch {
	case class == record.ClassCertificate:
		return n.treats&treasonNoFinal == 0
	case !tells:
		return true
	case n.treats&treasonPartial != 0 && class != record.ClassDescriptor && x.node[1-link%2].n%2 == 0:
		return false
	case n.treats&treasonNoVote != 0 && class == record.ClassVote,
		n.treats&treasonNoSignature != 0 && class == record.ClassSignature,
		n.treats&treasonSlot != 0 && class == record.ClassProposal:
		return false
	case n.treats&treasonLate != 0 && class == record.ClassProposal:
		p := w.doc.Params
		due := w.doc.EpochStart(w.doc.EpochAt(w.time())).Add(p.Sign - p.Sign/6 - w.latency(n, x.node[1-link%2]))
		due = due.Add(time.Duration(n.net.Uint64()%uint64(p.Sign/10)) - p.Sign/20)
		n.later(due.Sub(w.time()), func() {
			if x.up[link%2] {
				n.transmit(link, x, body, 0)
			}
		})
		return false
	}
	return true
}

// seat is where a traitor sits in an epoch, with the state below it; nil: nowhere.
func (b *brain) seat(n *node, epoch uint64) (parent *transition.State, l *transition.List, seat int) {
	if n.head.State == nil || n.head.State.Epoch() >= epoch {
		return nil, nil, -1
	}
	l = n.head.State.Owner(b.w.doc.Params, epoch)
	if l == nil {
		return nil, nil, -1
	}
	for i := range l.Seats {
		if l.Seats[i].RID == n.rid {
			return n.head.State, l, i
		}
	}
	return nil, nil, -1
}

// betrays makes a traitor's second record of one that its machine is sending.
func (b *brain) betrays(n *node, class byte, data []byte) {
	digest, ok := digestOf(class, data)
	if !ok || b.extraMade(n, digest) {
		return
	}
	switch class {
	case record.ClassVote:
		v, err := vote.DecodeVote(data)
		must(err)
		if parent, l, seat := b.seat(n, v.Epoch); seat == v.Seat && n.treats&treasonVote != 0 {
			b.voteAgain(n, v, parent, l)
		}
	case record.ClassProposal:
		p, err := vote.DecodeProposal(data)
		must(err)
		parent, l, seat := b.seat(n, p.Header.Epoch)
		if seat != p.Seat() {
			return
		}
		if n.treats&treasonSign != 0 {
			b.signs(n, data)
		}
		if n.treats&treasonIllegal != 0 {
			h := *p.Header
			h.AuxRoot[0] ^= 1
			q, err := vote.NewProposal(b.w.nid, n.committeeKey(l.Term), &h, p.Voters, p.Votes)
			must(err)
			b.inject(n, class, q.Digest(), q.Encode(), nil)
		}
		if n.treats&treasonTwins != 0 {
			if q := b.twin(n, p, parent, l); q != nil {
				b.inject(n, class, q.Digest(), q.Encode(), nil)
				for _, o := range b.w.nodes {
					if o.up && o.treats&treasonSign != 0 {
						b.signs(o, q.Encode())
					}
				}
			}
		}
	}
}

// extraMade reports whether a record was betrayed already, and notes that it is.
func (b *brain) extraMade(n *node, digest [32]byte) bool {
	if b.extra[n] == nil {
		b.extra[n] = map[[32]byte]extra{}
	}
	_, made := b.extra[n][digest]
	b.extra[n][digest] = extra{}
	return made
}

// voteAgain votes for something else: the relay with the lowest index is down.
func (b *brain) voteAgain(n *node, v *vote.Vote, parent *transition.State, l *transition.List) {
	ops := transition.AppendOps(nil, []transition.Op{{Code: transition.Down, Index: 0}})
	if string(ops) == string(v.Ops) {
		ops = nil
	}
	second, err := vote.NewVote(b.w.nid, n.committeeKey(l.Term), v.Epoch, parent.Digest(), v.Seat, ops)
	must(err)
	b.inject(n, record.ClassVote, second.Digest(), second.Encode(), nil)
}

// signs signs a proposal, whatever was signed before.
func (b *brain) signs(n *node, data []byte) {
	p, err := vote.DecodeProposal(data)
	if err != nil {
		return
	}
	_, l, seat := b.seat(n, p.Header.Epoch)
	if seat < 0 {
		return
	}
	g, err := vote.NewSignature(b.w.nid, n.committeeKey(l.Term), p.Header.Epoch, p.HeaderDigest(), seat)
	must(err)
	if !b.extraMade(n, g.Digest()) {
		b.inject(n, record.ClassSignature, g.Digest(), g.Encode(), nil)
	}
}

// twin is a proposal of the same seat that leaves out a vote, and what follows from it;
// nil: there are too few votes, or a descriptor is not at hand.
func (b *brain) twin(n *node, p *vote.Proposal, parent *transition.State, l *transition.List) *vote.Proposal {
	w := b.w
	members := p.Voters.Members()
	if len(members) <= committee.Quorum(len(l.Seats)) {
		return nil
	}
	leave := below(n.net, len(members))
	voters := vote.NewSeats(len(l.Seats))
	var names [][32]byte
	in := vote.Input{Epoch: p.Header.Epoch, Seat: p.Seat(), Proof: p.Header.VRFProof}
	for i, seat := range members {
		v := w.check.votes[p.Votes[i]]
		if i == leave {
			continue
		}
		if v == nil {
			return nil
		}
		voters.Add(seat)
		names = append(names, p.Votes[i])
		in.Ballots = append(in.Ballots, vote.Ballot{Seat: seat, Ops: v.Ops})
	}
	out, err := p.Output(w.nid, l.Seats[p.Seat()].VRF, parent.Snapshot().Header().Beacon, w.verify)
	if err != nil {
		return nil
	}
	in.Output, in.VotesDigest = out, vote.VotesDigest(voters, names)
	rules := &vote.Transition{Document: w.doc, Descriptor: b.descriptor}
	child, err := rules.Next(rules.State(parent), &in)
	var missing *vote.MissingError
	if errors.As(err, &missing) || err != nil {
		return nil
	}
	q, err := vote.NewProposal(w.nid, n.committeeKey(l.Term), child.Header(), voters, names)
	must(err)
	return q
}

func (b *brain) descriptor(rid record.RID, body [16]byte) *record.Descriptor {
	for _, d := range b.bodys[rid] {
		if d.body == body {
			return d.d
		}
	}
	return nil
}

// mixed draws treasons: each traitor has one to three.
func mixed(r *rand.PCG) treason {
	var out treason
	for range 1 + below(r, 3) {
		out |= 1 << below(r, treasonCount)
	}
	return out
}
