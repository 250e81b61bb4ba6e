// SPDX-License-Identifier: BSD-3-Clause

package vote

import (
	"slices"

	"chive/directory/committee"
	"chive/directory/record"
	"chive/directory/transition"
)

// decoded is the item that was received.
func decoded[T any](ev Received, decode func(data []byte) (*T, error)) (*T, error) {
	if it, ok := ev.Decoded.(*T); ok && it != nil {
		return it, nil
	}
	return decode(ev.Data)
}

// receive takes an item of any class.
func (m *Member) receive(ev Received) {
	switch ev.Class {
	case record.ClassVote:
		v, err := decoded(ev, DecodeVote)
		if err != nil {
			m.refuse(ev.Class, err)
			return
		}
		m.takeVote(v)
	case record.ClassProposal:
		p, err := decoded(ev, DecodeProposal)
		if err != nil {
			m.refuse(ev.Class, err)
			return
		}
		m.takeProposal(p)
	case record.ClassSignature:
		s, err := decoded(ev, DecodeSignature)
		if err != nil {
			m.refuse(ev.Class, err)
			return
		}
		m.takeSignature(s)
	case record.ClassCertificate:
		c, err := decoded(ev, DecodeCertificate)
		if err != nil {
			m.refuse(ev.Class, err)
			return
		}
		m.takeCertificate(c)
	}
}

// holder returns the round and the seat that an item is of, which names its parent if
// it names one; nil: it is of another epoch or of no seat, and not to be taken.
func (m *Member) holder(class byte, epoch uint64, seat int, parent *[32]byte) (*round, *committee.Seat) {
	r := m.round(epoch)
	if r == nil {
		return nil, nil
	}
	if seat >= len(r.roster.Seats) {
		m.refuseOf(r, parent, class, ErrSeat)
		return nil, nil
	}
	return r, &r.roster.Seats[seat]
}

// refuseOf is refuse for what was judged by the list of a round, where nobody honest
// can hold another one.
func (m *Member) refuseOf(r *round, parent *[32]byte, class byte, err error) {
	if m.ownedBy(r, parent) {
		m.refuse(class, err)
		return
	}
	m.counts.Refused++
}

// ownedBy reports whether the list of a round is beyond doubt the one that owns its
// epoch, for an item that names a parent or none. A relay that was away for an epoch or
// two may have missed the draw of a list, which those who were there go by: what does
// not fit the old list is then not their fault. Without a parent that is at hand the
// list has to be one that was installed for the very term of the epoch.
// Spec: protocol §7 (GOS-11).
func (m *Member) ownedBy(r *round, parent *[32]byte) bool {
	if parent != nil {
		if s := m.parent(r.epoch, *parent); s != nil {
			owner := s.Owner(r.epoch)
			return owner != nil && owner.Root == r.roster.Root
		}
	}
	if c := r.roster.List.Committee; r.roster.List.Term != transition.TermAt(m.p, c, r.epoch) {
		return false
	}
	lists := r.base.Rosters()
	return slices.ContainsFunc([]*Roster{lists[0], lists[2]}, func(l *Roster) bool { return l != nil && l.Root == r.roster.Root })
}

// accuse spreads evidence against a seat, once for each class of records.
func (m *Member) accuse(r *round, class byte, seat int, a, b []byte) {
	r.accused[class].Add(seat)
	m.counts.Accused++
	m.emit(Accuse{Evidence: accuse(class, r.roster.Seats[seat].Key, a, b)})
}

func (m *Member) takeVote(v *Vote) {
	r, seat := m.holder(record.ClassVote, v.Epoch, v.Seat, &v.Parent)
	if r == nil || r.vote(v.Seat, v.digest) != nil {
		return
	}
	first, wanted := r.votes[v.Seat], r.wanted(v.digest)
	if first != nil && !wanted && r.accused[record.ClassVote].Has(v.Seat) {
		return
	}
	if v.Parent == r.base.Digest() && len(v.Ops) > transition.MaxOpsSize(int(r.base.Header().LeafCount)) {
		m.refuse(record.ClassVote, ErrVote)
		return
	}
	if !m.Verifier.Signatures([]Check{v.Check(m.nid, seat.Key)}) {
		m.refuseOf(r, &v.Parent, record.ClassVote, record.ErrSignature)
		return
	}
	if v.Seat == r.seat {
		m.ownSeen(KindVote, v.Epoch, v.digest)
	}
	if first == nil {
		r.votes[v.Seat] = v
		m.emit(Accept{Class: record.ClassVote, Digest: v.digest})
		return
	}
	if !r.accused[record.ClassVote].Has(v.Seat) {
		m.accuse(r, record.ClassVote, v.Seat, first.signed.raw, v.signed.raw)
	}
	if wanted {
		r.listed[v.digest] = v
		m.emit(Accept{Class: record.ClassVote, Digest: v.digest})
	}
}

func (m *Member) takeProposal(p *Proposal) {
	r, seat := m.holder(record.ClassProposal, p.Header.Epoch, p.Seat(), &p.Header.Parent)
	if r == nil || p.Header.NetworkID != m.nid || r.base.Ignored(seat) {
		return
	}
	first := r.firsts[p.Seat()]
	if first != nil && (first.digest == p.digest || r.accused[record.ClassProposal].Has(p.Seat())) {
		return
	}
	if !m.Verifier.Signatures([]Check{p.Check(m.nid, seat.Key)}) {
		m.refuseOf(r, &p.Header.Parent, record.ClassProposal, record.ErrSignature)
		return
	}
	if p.Seat() == r.seat {
		m.ownSeen(KindProposal, p.Header.Epoch, p.digest)
	}
	if first != nil {
		m.accuse(r, record.ClassProposal, p.Seat(), first.signed.raw, p.signed.raw)
		return
	}
	if !m.rank(r, p, !m.now.Before(m.deadline(r.epoch))) {
		m.refuse(record.ClassProposal, ErrProposal)
		return
	}
	r.firsts[p.Seat()] = p
	if r.find(p.header) != nil {
		m.emit(Accept{Class: record.ClassProposal, Digest: p.digest})
	}
}

func (m *Member) takeSignature(s *Signature) {
	r, seat := m.holder(record.ClassSignature, s.Epoch, s.Seat, nil)
	if r == nil {
		return
	}
	first, p := r.signed[s.Seat], r.find(s.Header)
	switch {
	case first != nil && first.Header == s.Header, p != nil && p.signatures[s.Seat] != nil:
		return
	case first != nil && p == nil && r.accused[record.ClassSignature].Has(s.Seat):
		return
	}
	if !m.Verifier.Signatures([]Check{s.Check(m.nid, seat.Key)}) {
		var parent *[32]byte
		if p != nil {
			parent = &p.Header.Parent
		}
		m.refuseOf(r, parent, record.ClassSignature, record.ErrSignature)
		return
	}
	if s.Seat == r.seat {
		m.ownSeen(KindSignature, s.Epoch, s.Header)
	}
	if first == nil {
		r.signed[s.Seat] = s
	} else if !r.accused[record.ClassSignature].Has(s.Seat) {
		m.accuse(r, record.ClassSignature, s.Seat, first.signed.raw, s.signed.raw)
	}
	if p != nil {
		p.signatures[s.Seat] = s
	}
	if p != nil || first == nil {
		m.emit(Accept{Class: record.ClassSignature, Digest: s.digest})
	}
}
