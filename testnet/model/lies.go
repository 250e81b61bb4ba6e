// SPDX-License-Identifier: BSD-3-Clause

package model

import (
	"context"
	"time"

	"chive/directory/genesis"
	"chive/directory/record"
)

// liars are the ways to lie, one after another, and all mixed.
var liars = []struct {
	name string
	how  []lie
}{
	{"silent", []lie{lieSilent}},
	{"announce", []lie{lieAnnounce}},
	{"late", []lie{lieLate}},
	{"garbage", []lie{lieGarbage}},
	{"poison_riblt", []lie{liePoison}},
	{"mixed", []lie{lieSilent, lieAnnounce, lieLate, lieGarbage, liePoison | lieAnnounce}},
}

// allLies has a third of the relays lie to gossip in each way. Spec: directory §13
// (gossip).
func allLies(ctx context.Context, t task) (*outcome, error) {
	out := &outcome{}
	for i, l := range liars {
		if t.short && i%3 != 1 {
			continue
		}
		w, err := newWorld(setting{seed: t.seed, relays: t.relays, params: genesis.Public(), warm: true, quiet: true, brief: true, replay: t.replay}, t.progress)
		if err != nil {
			return nil, err
		}
		for j, how := range l.how {
			w.lying(how, 330*(j+1)/len(l.how)-330*j/len(l.how))
		}
		hour := w.doc.Params.EpochLen
		// Repairs have an hour in which to be poisoned, then come votes and descriptors.
		w.skipTo(20 * time.Minute)
		w.check.begin()
		w.startAll()
		if err := w.until(ctx, hour-time.Minute); err != nil {
			return w.ended(out), err
		}
		w.spread.on = true
		w.renewals(20, 10*time.Second)
		if err := w.until(ctx, hour+25*time.Minute); err != nil {
			return w.ended(out), err
		}
		votes, votesAll, _, lost := w.spread.times(record.ClassVote)
		bulk, bulkAll, _, lostBulk := w.spread.times(record.ClassDescriptor)
		if lost > 0 {
			votesAll = append(votesAll, never)
		}
		if lostBulk > 0 {
			bulkAll = append(bulkAll, never)
		}
		out.figures = append(out.figures,
			atMost(l.name+": 99 % of the honest have the slowest vote", "s", last(votes, never), 8),
			atMost(l.name+": all honest have the slowest vote", "s", last(votesAll, never), 20),
			atMost(l.name+": 99 % of the honest have the slowest descriptor", "s", last(bulk, never), 15),
			atMost(l.name+": all honest have the slowest descriptor", "s", last(bulkAll, never), 60),
			atMost(l.name+": streams between honest relays that were closed for lying", "", float64(w.check.closed), 0),
		)
		out.hash += w.hash()
	}
	return out, nil
}
