// SPDX-License-Identifier: BSD-3-Clause

package model

import (
	"context"
	"time"

	"chive/directory/genesis"
	"chive/directory/record"
)

// spreadRelays follows records through a network of full machines in which a third lies:
// new descriptors of honest relays, then the votes of one epoch. Spec: directory §14 (G1).
func spreadRelays(ctx context.Context, t task) (*outcome, error) {
	w, err := newWorld(setting{seed: t.seed, relays: t.relays, params: genesis.Public(), warm: true, quiet: true, brief: true, replay: t.replay}, t.progress)
	if err != nil {
		return nil, err
	}
	w.lying(lieAnnounce, 330)
	hour := w.doc.Params.EpochLen
	w.skipTo(hour - 5*time.Minute)
	w.check.begin()
	w.startAll()
	out := &outcome{}
	if err := w.until(ctx, hour-4*time.Minute); err != nil {
		return w.ended(out), err
	}
	// Descriptors come first: nobody has met a liar yet.
	bulk := 24
	if t.short {
		bulk = 6
	}
	w.spread.on = true
	w.renewals(bulk, time.Second)
	if err := w.until(ctx, hour-time.Minute); err != nil {
		return w.ended(out), err
	}
	most, all, copies, lost := w.spread.times(record.ClassDescriptor)
	out.figures = append(out.figures, spreadFigures("bulk", most, all, copies, lost, 15, 60)...)

	w.spread.forget()
	if err := w.until(ctx, hour+2*time.Minute); err != nil {
		return w.ended(out), err
	}
	most, all, copies, lost = w.spread.times(record.ClassVote)
	out.figures = append(out.figures, spreadFigures("urgent", most, all, copies, lost, 8, 20)...)
	out.figures = append(out.figures, atMost("streams between honest relays that were closed for lying", "", float64(w.check.closed), 0))
	return w.ended(out), nil
}

// lying makes relays liars, so many of a thousand.
func (w *world) lying(how lie, thousandths int) {
	r := stream(w.seed, -1, "liars")
	left := len(w.nodes) * thousandths / 1000
	for left > 0 {
		if n := w.nodes[below(r, len(w.nodes))]; n.lies == 0 {
			n.lies = how
			left--
		}
	}
}

// renewals has as many honest relays publish new descriptors, one after another. None
// does so twice: its first one would be superseded, and reach not everybody.
func (w *world) renewals(count int, gap time.Duration) {
	honest := w.honest()
	for i := range min(count, len(honest)) {
		j := i + below(w.chance, len(honest)-i)
		honest[i], honest[j] = honest[j], honest[i]
		w.after(time.Duration(i)*gap, honest[i].renew)
	}
}

// ended completes an outcome.
func (w *world) ended(out *outcome) *outcome {
	out.hash = w.hash()
	return out
}

// spreadFigures are the times of one kind of record: the median record, and the worst,
// which has to meet the goal.
func spreadFigures(name string, most, all []float64, copies float64, lost int, mostGoal, allGoal float64) []figure {
	if lost > 0 {
		all = append(all, never)
	}
	return []figure{
		show(name+": records", "", float64(len(most)+lost)),
		show(name+": 99 % of the honest have the median record", "s", middle(most)),
		atMost(name+": 99 % of the honest have the slowest record", "s", last(most, never), mostGoal),
		show(name+": all honest have the median record", "s", middle(all)),
		atMost(name+": all honest have the slowest record", "s", last(all, never), allGoal),
		show(name+": payloads received per honest relay and record", "copies", copies),
	}
}
