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
	return costOf(ctx, t, 15*time.Minute, 20*time.Minute, genesis.Public().EpochLen)
}

// wholeRelays is costRelays for seven minutes of a large network of full machines: they
// start together five minutes before, repair with their neighbours, and agree on the
// snapshot of the epoch that begins two minutes later. Spec: directory §13 (N).
func wholeRelays(ctx context.Context, t task) (*outcome, error) {
	epoch := genesis.Public().EpochLen
	return costOf(ctx, t, epoch-7*time.Minute, epoch-2*time.Minute, 7*time.Minute)
}

// costOf starts an honest network of full machines, at a time as since counts, and counts
// from another on, for so long.
func costOf(ctx context.Context, t task, start, from, span time.Duration) (*outcome, error) {
	heap := heapKiB()
	w, err := newWorld(setting{seed: t.seed, relays: t.relays, params: genesis.Public(), warm: true, brief: true, replay: t.replay}, t.progress)
	if err != nil {
		return nil, err
	}
	began := processorTime()
	w.skipTo(start)
	w.check.calm = func() bool { return true }
	w.check.begin()
	w.startAll()
	if err := w.until(ctx, from); err != nil {
		return w.ended(&outcome{}), err
	}
	w.spread.on = true
	before, asked := w.gossipBytes(), w.verify.asked
	starting, counted := processorTime()-began, w.events
	began = processorTime()
	if err := w.until(ctx, from+span); err != nil {
		return w.ended(&outcome{}), err
	}
	spent := processorTime() - began
	after := w.gossipBytes()
	var total, highest float64
	for i := range after {
		total += after[i] - before[i]
		highest = max(highest, after[i]-before[i])
	}
	hours, relays := span.Hours(), float64(len(w.nodes))
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
	bytes := []figure{
		atMost("bytes per relay and hour, both directions, mean", "MB/h", total/relays/1e6/hours, 1.0),
		show("the busiest relay", "MB/h", highest/1e6/hours),
	}
	if span < w.doc.Params.EpochLen { // most of it is the epoch's start
		bytes = []figure{
			show("bytes per relay, both directions, mean", "MB", total/relays/1e6),
			show("the busiest relay", "MB", highest/1e6),
		}
	}
	out := &outcome{figures: append(bytes,
		atMost("votes: payloads received per relay and record", "copies", votes, 1.05),
		atMost("descriptors: payloads received per relay and record", "copies", bulk, 1.05),
		atMost("votes and descriptors that did not reach everybody", "", float64(lost+lostBulk), 0),
		show("first final after the epoch's start", "s", final.first.Seconds()),
		atMost("final at 99 % of the relays after the epoch's start", "s", final.most.Seconds(), 120),
		show("processor time of the start, per machine", "s", starting.Seconds()/relays),
		show("processor time of a machine and its share of the simulation", "s/h", machine),
		show("signatures and proofs that a machine verifies", "1/h", signatures+proofs),
		show("the same with real cryptography", "s/h", crypto),
		atMost("both, of a core", "%", 100*(machine+crypto)/3600, 1),
		show("memory per machine, shared states and records included", "KiB", (heapKiB()-heap)/relays),
		show("events", "1/h", float64(w.events-counted)/hours),
	)}
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
