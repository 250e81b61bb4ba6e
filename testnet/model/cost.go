// SPDX-License-Identifier: BSD-3-Clause

package model

import (
	"context"
	"crypto/ed25519"
	"time"

	"chive/directory/genesis"
	"chive/directory/record"
	"chive/directory/vote"
	"chive/directory/vrf"
)

// costRelays lets hours pass in an honest network of full machines, and counts bytes,
// copies and processor time. Spec: directory §14 (G2).
func costRelays(ctx context.Context, t task) (*outcome, error) {
	heap := heapKiB()
	w, err := newWorld(setting{seed: t.seed, relays: t.relays, params: genesis.Public(), warm: true, brief: true, replay: t.replay}, t.progress)
	if err != nil {
		return nil, err
	}
	p := w.doc.Params
	w.skipTo(15 * time.Minute)
	w.check.calm = func() bool { return true }
	w.check.begin()
	w.startAll()
	if err := w.until(ctx, 20*time.Minute); err != nil {
		return w.ended(&outcome{}), err
	}
	w.spread.on = true
	before, asked := w.gossipBytes(), w.verify.asked
	began, events := processorTime(), w.events
	hour := p.EpochLen
	if err := w.until(ctx, p.EpochLen+20*time.Minute); err != nil {
		return w.ended(&outcome{}), err
	}
	spent := processorTime() - began
	after := w.gossipBytes()
	var total, highest float64
	for i := range after {
		total += after[i] - before[i]
		highest = max(highest, after[i]-before[i])
	}
	hours, relays := hour.Hours(), float64(len(w.nodes))
	_, _, votes, lost := w.spread.times(record.ClassVote)
	_, _, bulk, lostBulk := w.spread.times(record.ClassDescriptor)
	signature, proof := cryptoTimes()
	signatures := float64(w.verify.asked[0]-asked[0]) / relays / hours
	proofs := float64(w.verify.asked[1]-asked[1]) / relays / hours
	crypto := signatures*signature.Seconds() + proofs*proof.Seconds()
	machine := spent.Seconds() / relays / hours
	final := w.check.finals[w.epoch(1)]
	if final == nil {
		final = &final2
	}
	out := &outcome{figures: []figure{
		atMost("bytes per relay and hour, both directions, mean", "MB/h", total/relays/1e6/hours, 1.0),
		show("the busiest relay", "MB/h", highest/1e6/hours),
		atMost("votes: payloads received per relay and record", "copies", votes, 1.05),
		atMost("descriptors: payloads received per relay and record", "copies", bulk, 1.05),
		atMost("votes and descriptors that did not reach everybody", "", float64(lost+lostBulk), 0),
		show("first final after the epoch's start", "s", final.first.Seconds()),
		atMost("final at 99 % of the relays after the epoch's start", "s", final.most.Seconds(), 120),
		show("processor time of a machine and its share of the simulation", "s/h", machine),
		show("signatures and proofs that a machine verifies", "1/h", signatures+proofs),
		show("the same with real cryptography", "s/h", crypto),
		atMost("both, of a core", "%", 100*(machine+crypto)/3600, 1),
		show("memory per machine, shared states and records included", "KiB", (heapKiB()-heap)/relays),
		show("events", "1/h", float64(w.events-events)/hours),
	}}
	return w.ended(out), nil
}

var final2 = final{most: never * time.Second}

func (w *world) gossipBytes() []float64 {
	var out []float64
	for _, n := range w.nodes {
		s, _ := n.m.Gossip()
		out = append(out, float64(s.BytesIn+s.BytesOut))
	}
	return out
}

// cryptoTimes measures what one signature and one proof cost to verify here.
func cryptoTimes() (signature, proof time.Duration) {
	const times = 200
	k := key(1, 1, "crypto")
	message := make([]byte, 200)
	c := vote.Check{Key: public(k), Message: message, Signature: [64]byte(ed25519.Sign(k, message))}
	began := processorTime()
	for range times {
		_ = vote.Plain{}.Signatures([]vote.Check{c})
	}
	signature = (processorTime() - began) / times
	s := seedOf(1, 1, "vrf")
	secret := vrf.NewSecretKey(&s)
	said := secret.Prove(message)
	began = processorTime()
	for range times {
		_, _ = vote.Plain{}.Proof(secret.Public(), message, said)
	}
	return signature, (processorTime() - began) / times
}
