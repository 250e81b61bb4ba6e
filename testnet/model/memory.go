// SPDX-License-Identifier: BSD-3-Clause

package model

import (
	"context"
	"encoding/binary"
	"iter"
	"runtime"
	"time"

	"chive/directory"
	"chive/directory/committee"
	"chive/directory/genesis"
	"chive/directory/record"
	"chive/directory/snapshot"
	"chive/directory/transition"
	"chive/directory/vote"
)

// memoryRelay starts one machine, alone and without a catalog, from what a relay of a
// large network has stored: every descriptor and the two newest states. Spec: directory
// §14 (G2, RSS).
func memoryRelay(_ context.Context, t task) (*outcome, error) {
	p := genesis.Public()
	all := people(t.seed, t.relays)
	doc, err := document(all, p)
	if err != nil {
		return nil, err
	}
	t.progress("the founders are there")
	nid := doc.NetworkID()
	now := doc.EpochStart(2).Add(20 * time.Minute)
	saved := map[directory.Bucket]*base{}
	for b := range directory.Bucket(directory.BucketCount) {
		saved[b] = &base{values: map[string][]byte{}}
	}
	bytes := 0
	for _, who := range all {
		published := now.Add(-time.Duration(stream(t.seed, who.n, "warm").Uint64() % uint64(p.Republish-p.RepublishJitter))).Truncate(time.Second)
		data := who.descriptor(nid, uint64(published.Unix()), published, published.Add(p.DescriptorLife), []uint64{0, 1, 2})
		identity := public(who.identity)
		rid := record.NewRID(nid, identity[:])
		saved[directory.BucketDesc].values[string(append([]byte{record.ClassDescriptor}, rid[:]...))] = data
		bytes += len(data)
	}
	states, size := storedStates(doc, all)
	saved[directory.BucketAux] = states
	for _, b := range saved {
		b.sort()
	}
	identity := public(all[0].identity)
	t.progress("its store is written")
	before := heapKiB()
	m, err := directory.New(directory.Config{
		Document: doc, RID: record.NewRID(nid, identity[:]), VRF: all[0].vrf, Rand: bytesOf{stream(t.seed, 0, "machine")}, Verifier: vote.Plain{},
		Saved: func(b directory.Bucket) iter.Seq2[[]byte, []byte] {
			s := store{base: saved[b]}
			if b == directory.BucketDesc {
				return s.saved(b)
			}
			return func(yield func(k, v []byte) bool) {
				for _, k := range saved[b].keys {
					if !yield([]byte(k), saved[b].values[k]) {
						return
					}
				}
			}
		},
	})
	must(err)
	began := processorTime()
	m.Step(now, directory.Tick{}, nil)
	took := processorTime() - began
	live := heapKiB() - before
	served := float64(3*size) / 1024 // the encodings of the states that it gives to others
	runtime.KeepAlive(saved)
	runtime.KeepAlive(doc)
	head := m.Head().State
	out := &outcome{notes: []string{"one full machine that shares nothing; votes of two epochs, less than 1 MiB, are not in it"}}
	out.figures = []figure{
		show("relays in its table", "", float64(head.Snapshot().Table().Len())),
		show("epoch of its newest state", "", float64(head.Epoch())),
		show("descriptors as bytes", "MiB", float64(bytes)/(1<<20)),
		show("a state with its certificate as bytes", "MiB", float64(size)/(1<<20)),
		show("processor time to start, signatures checked", "s", took.Seconds()),
		show("live heap of the machine", "MiB", live/1024),
		atMost("with three encoded states that others fetch", "MiB", (live+served)/1024, 64),
	}
	return out, nil
}

// storedStates are the states of epochs 1 and 2, as a machine stores them. Their
// certificates are not verified when they are read again, and are not signed.
func storedStates(doc *genesis.Document, all []*person) (out *base, size int) {
	out = &base{values: map[string][]byte{}}
	byRID := map[record.RID]*person{}
	nid := doc.NetworkID()
	for _, p := range all {
		identity := public(p.identity)
		byRID[record.NewRID(nid, identity[:])] = p
	}
	parent := transition.Genesis(doc)
	var chain []*snapshot.Header
	for epoch := uint64(1); epoch <= 2; epoch++ {
		l := parent.Owner(doc.Params, epoch)
		k := len(l.Seats)
		voters, in := vote.NewSeats(k), transition.Input{Epoch: epoch, Seat: 0}
		var names [][32]byte
		for seat := range l.Seats {
			v, err := vote.NewVote(nid, byRID[l.Seats[seat].RID].committeeKey(l.Term), epoch, parent.Digest(), seat, nil)
			must(err)
			voters.Add(seat)
			names = append(names, v.Digest())
			in.Votes = append(in.Votes, transition.Vote{Seat: seat})
		}
		first := byRID[l.Seats[0].RID]
		in.Proof = first.vrf.Prove(vote.ProposeInput(nid, epoch, parent.Snapshot().Header().Beacon))
		output, err := vote.Plain{}.Proof(first.vrfKey, vote.ProposeInput(nid, epoch, parent.Snapshot().Header().Beacon), in.Proof)
		must(err)
		in.Output, in.VotesDigest = output, vote.VotesDigest(voters, names)
		child, err := transition.Next(doc, parent, in)
		must(err)
		signers := vote.NewSeats(k)
		for seat := range committee.Quorum(k) {
			signers.Add(seat)
		}
		c, err := vote.NewCertificate(child.Snapshot().Header(), signers, make([][record.SignatureSize]byte, committee.Quorum(k)))
		must(err)
		chain = append([]*snapshot.Header{parent.Snapshot().Header()}, chain...)
		data := stored(c, chain, child)
		out.values[string([]byte{'S', byte(child.Snapshot().Header().HistorySize % 2)})] = data
		size = len(data)
		parent = child
	}
	return out, size
}

// stored is a state with its certificate and ancestors (directory's bundle).
func stored(c *vote.Certificate, chain []*snapshot.Header, s *transition.State) []byte {
	piece := func(out, data []byte) []byte {
		return append(binary.BigEndian.AppendUint32(out, uint32(len(data))), data...)
	}
	out := piece(nil, c.Encode())
	out = binary.BigEndian.AppendUint32(out, uint32(len(chain)))
	for _, h := range chain {
		out = piece(out, h.Encode())
	}
	return append(binary.BigEndian.AppendUint32(out, 0), s.Encode()...)
}
