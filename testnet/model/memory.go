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
	h, err := houseOf(t, genesis.Public(), 2)
	if err != nil {
		return nil, err
	}
	doc, all, nid, saved, bytes, size := h.doc, h.all, h.doc.NetworkID(), h.saved, h.bytes, h.size
	now := doc.EpochStart(24).Add(20 * time.Minute)
	t.progress("its store is written")
	identity := public(all[0].identity)
	before := heapKiB()
	m, err := directory.New(directory.Config{
		Document: doc, RID: record.NewRID(nid, identity[:]), VRF: all[0].vrf, Rand: bytesOf{stream(t.seed, 0, "machine")}, Verifier: vote.Plain{},
		Saved: h.read,
	})
	must(err)
	began := processorTime()
	m.Step(now, directory.Tick{}, nil)
	took := processorTime() - began
	live := max(0, heapKiB()-before)
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

// house is what a relay of a large network has stored, with the network that it is of.
type house struct {
	doc   *genesis.Document
	all   []*person
	past  *past
	saved map[directory.Bucket]*base
	bytes int // of descriptors
	size  int // of a state
}

// houseOf makes such a store: every descriptor and the two newest states.
func houseOf(t task, p genesis.Params, least int) (*house, error) {
	h := &house{all: people(t.seed, t.relays), saved: map[directory.Bucket]*base{}}
	var err error
	if h.doc, err = document(h.all, p, began); err != nil {
		return nil, err
	}
	t.progress("the founders are there")
	nid := h.doc.NetworkID()
	now := h.doc.EpochStart(24).Add(20 * time.Minute)
	for b := range directory.Bucket(directory.BucketCount) {
		h.saved[b] = &base{values: map[string][]byte{}}
	}
	described := map[record.RID]*record.Descriptor{}
	for _, who := range h.all {
		published := now.Add(-time.Duration(stream(t.seed, who.n, "warm").Uint64() % uint64(p.Republish-p.RepublishJitter))).Truncate(time.Second)
		data := who.descriptor(nid, uint64(published.Unix()), published, published.Add(p.DescriptorLife), []uint64{0, 1, 2})
		identity := public(who.identity)
		rid := record.NewRID(nid, identity[:])
		h.saved[directory.BucketDesc].values[string(append([]byte{record.ClassDescriptor}, rid[:]...))] = data
		described[rid] = opened(data)
		h.bytes += len(data)
	}
	h.past = settle(h.doc, h.all, described, least, nil)
	states, size := h.past.stored()
	h.saved[directory.BucketAux], h.size = states, size
	for _, b := range h.saved {
		b.sort()
	}
	return h, nil
}

// read gives what is stored to a machine.
func (h *house) read(b directory.Bucket) iter.Seq2[[]byte, []byte] {
	s := store{base: h.saved[b]}
	if b == directory.BucketDesc {
		return s.saved(b)
	}
	return func(yield func(k, v []byte) bool) {
		for _, k := range h.saved[b].keys {
			if !yield([]byte(k), h.saved[b].values[k]) {
				return
			}
		}
	}
}
