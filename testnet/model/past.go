// SPDX-License-Identifier: BSD-3-Clause

package model

import (
	"encoding/binary"
	"time"

	"chive/directory"
	"chive/directory/committee"
	"chive/directory/genesis"
	"chive/directory/record"
	"chive/directory/snapshot"
	"chive/directory/transition"
	"chive/directory/vote"
)

// past is what was before a run: a network's first epochs, in which every member voted
// for the same. A genesis document does not hold founders' descriptors, and a vote takes
// only so many of them; until the table has them all, votes are much larger than those
// of an hour. It was computed by the transition, with signatures left out: they are not
// looked at again.
type past struct {
	states []*transition.State // from snapshot 0 on
	certs  []*vote.Certificate // of each but the first
}

// settle lets epochs pass until everybody's descriptor is in the table, at least some.
// Who has none is known from the genesis document alone. signs says who signs
// certificates; nil: nobody does, and they are of use to those alone who do not look.
func settle(doc *genesis.Document, all []*person, described map[record.RID]*record.Descriptor, least int, signs func(*person) bool) *past {
	byRID := map[record.RID]*person{}
	nid := doc.NetworkID()
	seen := &transition.Observations{Descriptors: map[record.RID]transition.Seen{}, Reached: map[record.RID]bool{}, Gone: map[record.RID]uint8{}}
	for _, p := range all {
		identity := public(p.identity)
		rid := record.NewRID(nid, identity[:])
		byRID[rid] = p
		seen.Reached[rid] = true
		if described[rid] == nil {
			continue
		}
		body, err := transition.Body(described[rid])
		must(err)
		seen.Descriptors[rid] = transition.Seen{Body: body, Descriptor: described[rid]}
	}
	behind := func(rid record.RID, body [16]byte) *record.Descriptor {
		if s := seen.Descriptors[rid]; [16]byte(s.Body[:16]) == body {
			return s.Descriptor
		}
		return nil
	}
	parent := transition.Genesis(doc)
	out := &past{states: []*transition.State{parent}}
	for epoch := uint64(1); ; epoch++ {
		ops := transition.Propose(doc, parent, epoch, seen)
		if len(ops) == 0 && int(epoch) > least {
			return out
		}
		ops = transition.Truncate(parent.Snapshot(), ops, vote.MaxVoteOps)
		l := parent.Owner(doc.Params, epoch)
		k := len(l.Seats)
		voters, in := vote.NewSeats(k), transition.Input{Epoch: epoch, Descriptor: behind}
		var names [][32]byte
		for seat := range l.Seats {
			v, err := vote.NewVote(nid, byRID[l.Seats[seat].RID].committeeKey(l.Term), epoch, parent.Digest(), seat, transition.AppendOps(nil, ops))
			must(err)
			voters.Add(seat)
			names = append(names, v.Digest())
			in.Votes = append(in.Votes, transition.Vote{Seat: seat, Ops: ops})
		}
		first := byRID[l.Seats[0].RID]
		alpha := vote.ProposeInput(nid, epoch, parent.Snapshot().Header().Beacon)
		in.Proof = first.vrf.Prove(alpha)
		output, err := vote.Plain{}.Proof(first.vrfKey, alpha, in.Proof)
		must(err)
		in.Output, in.VotesDigest = output, vote.VotesDigest(voters, names)
		child, err := transition.Next(doc, parent, in)
		must(err)
		signers := vote.NewSeats(k)
		var signatures [][record.SignatureSize]byte
		for seat := 0; seat < k && len(signatures) < committee.Quorum(k); seat++ {
			var signature [record.SignatureSize]byte
			if signs != nil {
				who := byRID[l.Seats[seat].RID]
				if !signs(who) {
					continue
				}
				g, err := vote.NewSignature(nid, who.committeeKey(l.Term), epoch, child.Digest(), seat)
				must(err)
				signature = g.Bytes()
			}
			signers.Add(seat)
			signatures = append(signatures, signature)
		}
		c, err := vote.NewCertificate(child.Snapshot().Header(), signers, signatures)
		must(err)
		out.states, out.certs = append(out.states, child), append(out.certs, c)
		parent = child
	}
}

// epoch is that of the newest state.
func (p *past) epoch() int { return len(p.states) - 1 }

// stored are the two newest states as a machine has stored them, and the bytes of one.
func (p *past) stored() (out *base, size int) {
	out = &base{values: map[string][]byte{}}
	for e := max(1, p.epoch()-1); e <= p.epoch(); e++ {
		var chain []*snapshot.Header
		for i := e - 1; i >= 0; i-- {
			chain = append(chain, p.states[i].Snapshot().Header())
		}
		s := p.states[e]
		piece := func(out, data []byte) []byte {
			return append(binary.BigEndian.AppendUint32(out, uint32(len(data))), data...)
		}
		data := piece(nil, p.certs[e-1].Encode())
		data = binary.BigEndian.AppendUint32(data, uint32(len(chain)))
		for _, h := range chain {
			data = piece(data, h.Encode())
		}
		data = append(binary.BigEndian.AppendUint32(data, 0), s.Encode()...) // no hand-over yet
		out.values[string([]byte{'S', byte(s.Snapshot().Header().HistorySize % 2)})] = data
		size = len(data)
	}
	out.sort()
	return out, size
}

// memory is what a relay has stored of its promises: whoever has signed the newest
// certificate and does not know of it takes no part.
func (p *past) memory(nid [32]byte, rid record.RID) directory.Store {
	newest := p.states[p.epoch()]
	m := vote.Memory{vote.KindSignature: {Epoch: newest.Epoch(), Digest: newest.Digest()}}
	return directory.Store{Bucket: directory.BucketSelf, Key: []byte("memory"), Value: m.Encode(nid, rid)}
}

// opened reads a descriptor of our own making.
func opened(data []byte) *record.Descriptor {
	s, err := record.DecodeSigned(data, record.MaxDescriptorSize)
	must(err)
	d, err := record.DecodeDescriptor(s.Payload)
	must(err)
	return d
}

// warmUp gives every relay what it has in a network that has run for long: the
// descriptors of all, made at times spread over the period of republication, and the
// newest states.
func (w *world) warmUp(signs func(*person) bool) {
	p := w.doc.Params
	w.base = &base{values: map[string][]byte{}}
	described := map[record.RID]*record.Descriptor{}
	r := stream(w.seed, -1, "warm")
	var all []*person
	oldest := p.Republish - p.RepublishJitter
	if w.quiet {
		oldest = oldest * 3 / 4
	}
	for _, n := range w.nodes {
		if all = append(all, n.person); n.away != nil {
			continue // it says what it is
		}
		age := time.Duration(r.Uint64() % uint64(oldest))
		published := w.time().Add(-age).Truncate(time.Second)
		data := n.descriptor(w.nid, uint64(published.Unix()), published, published.Add(p.DescriptorLife), []uint64{0, 1, 2})
		w.base.values[string(append([]byte{record.ClassDescriptor}, n.rid[:]...))] = data
		described[n.rid] = opened(data)
	}
	w.base.sort()
	past := settle(w.doc, all, described, 1, signs)
	states, _ := past.stored()
	w.before = past
	for _, n := range w.nodes {
		if n.away != nil {
			continue
		}
		n.store.base = w.base
		for _, k := range states.keys {
			n.store.put(directoryStore(k, states.values[k]))
		}
		n.store.put(past.memory(w.nid, n.rid))
	}
	w.past = time.Duration(past.epoch()) * p.EpochLen
	for _, s := range past.states {
		w.check.states[s.Digest()] = s
	}
	w.skipTo(0)
}
