// SPDX-License-Identifier: BSD-3-Clause

package model

import (
	"context"
	"time"

	"chive/directory/genesis"
	"chive/directory/gossip"
	"chive/directory/sybil"
)

// floodOfNewcomers has five times as many newcomers as there are relays ask to be introduced
// at once, from one network of their own. Their work is let off, so that only caps hold
// them. Spec: directory §7, §13 (admission).
func floodOfNewcomers(ctx context.Context, t task) (*outcome, error) {
	p := genesis.Public()
	p.WorkBits, p.StampBits, p.AdmitHold = 0, 0, 0
	w, err := newWorld(setting{seed: t.seed, relays: t.relays, params: p, warm: true, brief: true, reads: true, replay: t.replay}, t.progress)
	if err != nil {
		return nil, err
	}
	w.skipTo(p.EpochLen - 5*time.Minute)
	w.check.calm = func() bool { return true }
	w.check.begin()
	w.startAll()
	for i := range 5 * t.relays {
		n := w.add(newPerson(w.seed, t.relays+i, 5000+i/200, i%200, 999, 5))
		n.lies = lieNewcomer
		w.push(n.n, 30*time.Minute+time.Duration(i)*time.Second, event{node: int32(n.n), do: n.start})
	}
	hours := 30
	if t.short {
		hours = 4
	}
	if err := w.until(ctx, time.Duration(hours)*p.EpochLen+20*time.Minute); err != nil {
		return w.ended(&outcome{}), err
	}
	skipped, _ := w.check.skipped(w.epoch(1), w.epoch(hours))
	s := w.newest()
	newcomers := s.Snapshot().Table().Len() - t.relays
	slots := sybil.Slots(p, t.relays, 0)
	quota := 0
	for _, n := range slots {
		quota += n
	}
	days := hours/p.Day + 1
	var highest, streams float64
	for _, n := range w.nodes[:t.relays] {
		g, _ := n.m.Gossip()
		highest = max(highest, float64(g.BytesIn+g.BytesOut)/1e6/float64(hours))
		streams = max(streams, float64(len(n.links)))
	}
	out := &outcome{figures: []figure{
		show("newcomers that ask", "", float64(5*t.relays)),
		atMost("newcomers in the table", "", float64(newcomers), float64(quota*days)),
		atMost("epochs without a final", "%", 100*float64(skipped)/float64(hours), 0),
		atMost("streams of the busiest relay", "", streams, gossip.MaxPeers),
		show("the busiest relay", "MB/h", highest),
		atMost("relays that are up and not at the newest final", "", float64(w.stragglersOf(t.relays)), 0),
	}}
	return w.ended(out), nil
}

// stragglersOf is stragglers among the first relays.
func (w *world) stragglersOf(count int) (behind int) {
	newest := w.newest().Epoch()
	for _, n := range w.nodes[:count] {
		if n.head.State.Epoch() != newest {
			behind++
		}
	}
	return behind
}
