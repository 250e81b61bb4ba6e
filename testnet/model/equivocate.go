// SPDX-License-Identifier: BSD-3-Clause

package model

import (
	"context"
	"fmt"
	"time"

	"chive/directory/committee"
	"chive/directory/genesis"
	"chive/directory/record"
)

// equivocators has growing shares of the members betray, each in one to three of ten
// ways: first each way alone, by as many as may be missing, then all mixed.
// Spec: testnet §8 (attack-equivocate), directory §13.
func equivocators(ctx context.Context, t task) (*outcome, error) {
	epochs := uint64(12)
	shares := []int{100, 200, 300, 400}
	if t.short {
		epochs, shares = 5, []int{200, 400}
	}
	out := &outcome{}
	for i, name := range treasons {
		if t.short && i%3 != 1 {
			continue
		}
		w, err := betrayed(t, (t.relays-committee.Quorum(t.relays))*1000/t.relays, func(int) treason { return 1 << i })
		if err != nil {
			return nil, err
		}
		if 1<<i&(treasonLate|treasonTwins|treasonIllegal|treasonPartial|treasonSlot) == 0 {
			w.check.calm = func() bool { return true } // I9: those stop at most an epoch they lead
		}
		if err := w.until(ctx, time.Duration(epochs)*w.doc.Params.EpochLen+9*time.Second); err != nil {
			return w.ended(out), err
		}
		skipped, _ := w.check.skipped(1, epochs)
		out.figures = append(out.figures, show(name+" by as many as may be missing: epochs without a final", "%", 100*float64(skipped)/float64(epochs)))
		out.hash += w.hash()
	}
	for _, share := range shares {
		r := stream(t.seed, share, "treason")
		w, err := betrayed(t, share, func(int) treason { return mixed(r) })
		if err != nil {
			return nil, err
		}
		w.spread.on = true
		if err := w.until(ctx, time.Duration(epochs)*w.doc.Params.EpochLen+9*time.Second); err != nil {
			return w.ended(out), err
		}
		skipped, longest := w.check.skipped(1, epochs)
		twice := 0
		for _, f := range w.check.finals {
			if len(f.headers) > 1 {
				twice++
			}
		}
		_, all, _, lost := w.spread.times(record.ClassEvidence)
		pieces := len(all) + lost
		// What is second evidence against one member need not reach everybody.
		at := func(name string) string { return fmt.Sprintf("%d %% mixed: %s", share/10, name) }
		out.figures = append(out.figures,
			show(at("epochs without a final"), "%", 100*float64(skipped)/float64(epochs)),
			show(at("in a row"), "", float64(longest)),
			show(at("epochs with two finals"), "", float64(twice)),
			atMost(at("relays added"), "", float64(w.check.added), 0),
			show(at("pieces of evidence"), "", float64(pieces)),
			atMost(at("evidence that reached all honest relays, the slowest"), "s", last(all, 0), 20),
		)
		out.hash += w.hash()
	}
	return out, nil
}

// betrayed is a started network in which so many of a thousand members are traitors.
func betrayed(t task, share int, how func(n int) treason) (*world, error) {
	w, err := newWorld(setting{seed: t.seed, relays: t.relays, params: genesis.Testnet(), alone: true, brief: true, replay: t.replay}, t.progress)
	if err != nil {
		return nil, err
	}
	order := make([]int, len(w.nodes))
	for i := range order {
		order[i] = i
	}
	r := stream(t.seed, share, "traitors")
	for i := range order {
		j := i + below(r, len(order)-i)
		order[i], order[j] = order[j], order[i]
	}
	for _, i := range order[:len(order)*share/1000] {
		w.nodes[i].treats = how(i)
		w.check.traitors++
	}
	w.check.begin()
	w.startAll()
	return w, nil
}
