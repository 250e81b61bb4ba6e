// SPDX-License-Identifier: BSD-3-Clause

package model

import (
	"context"
	"iter"
	"runtime"
	"time"

	"chive/directory"
	"chive/directory/genesis"
	"chive/directory/record"
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
	now := doc.EpochStart(24).Add(20 * time.Minute)
	saved := map[directory.Bucket]*base{}
	for b := range directory.Bucket(directory.BucketCount) {
		saved[b] = &base{values: map[string][]byte{}}
	}
	bytes := 0
	described := map[record.RID]*record.Descriptor{}
	for _, who := range all {
		published := now.Add(-time.Duration(stream(t.seed, who.n, "warm").Uint64() % uint64(p.Republish-p.RepublishJitter))).Truncate(time.Second)
		data := who.descriptor(nid, uint64(published.Unix()), published, published.Add(p.DescriptorLife), []uint64{0, 1, 2})
		identity := public(who.identity)
		rid := record.NewRID(nid, identity[:])
		saved[directory.BucketDesc].values[string(append([]byte{record.ClassDescriptor}, rid[:]...))] = data
		described[rid] = opened(data)
		bytes += len(data)
	}
	past := settle(doc, all, described, 2)
	states, size := past.stored()
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
