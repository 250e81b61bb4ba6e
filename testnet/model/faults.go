// SPDX-License-Identifier: BSD-3-Clause

package model

import (
	"context"
	"fmt"
	"time"

	"chive/directory"
	"chive/directory/genesis"
	"chive/directory/record"
	"chive/directory/transition"
)

// split cuts the network in two; half of the relays, drawn, lie on either side.
func (w *world) split() {
	r := stream(w.seed, -1, "sides")
	left := len(w.nodes) / 2
	for _, n := range w.nodes {
		n.side = 0
	}
	for left > 0 {
		if n := w.nodes[below(r, len(w.nodes))]; n.side == 0 {
			n.side = 1
			left--
		}
	}
	w.parted = func(a, b *node) bool { return a.side != b.side }
}

func (w *world) heal() { w.parted = nil }

// partitionRelays cuts a network in half for 30 minutes, across the start of an epoch,
// while relays publish on both sides, and waits until it is whole. Spec: directory §14
// (G1), testnet §8 (attack-partition).
func partitionRelays(ctx context.Context, t task) (*outcome, error) {
	w, p, err := cut(ctx, t, 30*time.Minute)
	if err != nil {
		return nil, err
	}
	return &outcome{figures: p.figures("", 20), hash: w.hash()}, nil
}

// longPartitions cuts a small network in half for hours. Spec: directory §13 (network).
func longPartitions(ctx context.Context, t task) (*outcome, error) {
	hours := []int{1, 4, 12}
	if t.short {
		hours = hours[:1]
	}
	out := &outcome{}
	for _, h := range hours {
		w, p, err := cut(ctx, t, time.Duration(h)*time.Hour)
		if err != nil {
			return out, err
		}
		out.figures = append(out.figures, p.figures(fmt.Sprintf("%d h: ", h), 20)...)
		out.hash += w.hash()
	}
	return out, nil
}

// partition is what came of one.
type partition struct {
	missing, inTwo, behind int
	healing                float64 // minutes
}

func (p *partition) figures(name string, limit float64) []figure {
	return []figure{
		show(name+"descriptors that only one side had at the end of the partition", "", float64(p.missing)),
		atMost(name+"everybody has all of them after", "min", p.healing, limit),
		show(name+"finals while it was in two (neither half has a quorum)", "", float64(p.inTwo)),
		atMost(name+"relays without the next epoch's final 5 min after its start", "", float64(p.behind), 0),
	}
}

// cut cuts a network in half from a quarter of an hour before epoch 2 on.
func cut(ctx context.Context, t task, long time.Duration) (*world, *partition, error) {
	w, err := newWorld(setting{seed: t.seed, relays: t.relays, params: genesis.Public(), warm: true, brief: true, replay: t.replay}, t.progress)
	if err != nil {
		return nil, nil, err
	}
	length := w.doc.Params.EpochLen
	from := 2*length - 15*time.Minute
	w.skipTo(from - 5*time.Minute)
	whole := true
	w.check.calm = func() bool { return whole }
	w.check.begin()
	w.startAll()
	if err := w.until(ctx, from); err != nil {
		return nil, nil, err
	}
	w.split()
	whole = false
	w.spread.on = true
	w.renewals(30, min(long, time.Hour)/30)
	healed := from + long
	if err := w.until(ctx, healed); err != nil {
		return nil, nil, err
	}
	p := &partition{inTwo: len(w.check.finals), healing: never}
	for _, r := range w.spread.order {
		if r.class == record.ClassDescriptor && r.all == 0 {
			p.missing++
		}
	}
	w.heal()
	whole = true
	next := w.doc.EpochAt(w.time()) + 1
	start := time.Duration(next)*length - w.past
	if err := w.untilDone(ctx, start-time.Minute, func() bool { return w.events%64 == 0 && w.spread.whole(record.ClassDescriptor) }); err != nil {
		return nil, nil, err
	}
	if w.spread.whole(record.ClassDescriptor) {
		p.healing = (w.since() - healed).Minutes()
	}
	if err := w.until(ctx, start+5*time.Minute); err != nil {
		return nil, nil, err
	}
	for _, n := range w.nodes {
		if n.head.State.Epoch() != next {
			p.behind++
		}
	}
	return w, p, nil
}

// killRelays kills relays around what they store, at random, and starts them again.
// Every machine is alone, so that I4 compares what each has computed.
func killRelays(ctx context.Context, t task) (*outcome, error) {
	w, err := newWorld(setting{seed: t.seed, relays: t.relays, params: genesis.Testnet(), alone: true, replay: t.replay}, t.progress)
	if err != nil {
		return nil, err
	}
	p := w.doc.Params
	crashes := 0
	r := stream(w.seed, -1, "crashes")
	for _, n := range w.nodes {
		n.crash = func(e directory.Store, before bool) bool {
			one := 200
			if e.Token != 0 { // a promise
				one = 20
			}
			if below(r, one) > 0 {
				return false
			}
			crashes++
			away := time.Duration(200+below(r, 3000)) * time.Millisecond
			if below(r, 10) == 0 { // long enough to miss what was agreed, a drawn list too
				away += time.Duration(below(r, 3)+1) * p.EpochLen
			}
			w.push(n.n, away, event{node: int32(n.n), do: n.start})
			return true
		}
	}
	w.check.begin()
	w.startAll()
	epochs := uint64(30)
	if t.short {
		epochs = 12
	}
	if err := w.until(ctx, time.Duration(epochs)*p.EpochLen+9*time.Second); err != nil {
		return w.ended(&outcome{}), err
	}
	for _, n := range w.nodes {
		n.crash = nil
	}
	w.check.calm, w.check.calmFor = func() bool { return true }, 0
	if err := w.until(ctx, time.Duration(epochs+4)*p.EpochLen+9*time.Second); err != nil {
		return w.ended(&outcome{}), err
	}
	skipped, longest := w.check.skipped(1, epochs)
	out := &outcome{figures: []figure{
		show("crashes around a store", "", float64(crashes)),
		show("epochs without a final while relays crash", "%", 100*float64(skipped)/float64(epochs)),
		show("in a row", "", float64(longest)),
		atMost("relays that are not at the newest final 4 epochs after the last crash", "", float64(w.stragglers()), 0),
		atMost("streams between honest relays that were closed for lying", "", float64(w.check.closed), 0),
	}}
	return w.ended(out), nil
}

// stragglers is how many relays that are up and honest are not at the newest final.
func (w *world) stragglers() (count int) {
	var newest uint64
	for _, n := range w.nodes {
		if n.up && !n.hostile() && n.head.State != nil {
			newest = max(newest, n.head.State.Epoch())
		}
	}
	for _, n := range w.nodes {
		if n.up && !n.hostile() && n.head.State.Epoch() != newest {
			count++
		}
	}
	return count
}

// churnRelays lets relays leave without a word and return hours later, at 5 % an hour;
// every eight hours a third of the members is out for five minutes around the start of
// an epoch, and some clocks are hours off. Spec: directory §13 (network), testnet §4.
func churnRelays(ctx context.Context, t task) (*outcome, error) {
	w, err := newWorld(setting{seed: t.seed, relays: t.relays, params: genesis.Public(), warm: true, replay: t.replay}, t.progress)
	if err != nil {
		return nil, err
	}
	p := w.doc.Params
	r := stream(w.seed, -1, "churn")
	skewed := len(w.nodes) / 20
	for i := range skewed {
		w.nodes[i].skew = time.Duration(below(r, 14400)-7200) * time.Second
	}
	w.skipTo(p.EpochLen - 10*time.Minute)
	w.check.begin()
	w.startAll()
	hours := 24
	if t.short {
		hours = 4
	}
	const perHour = 50 // thousandths of the relays that leave
	left := 0
	var leave func()
	leave = func() {
		for _, n := range w.nodes[skewed:] {
			if n.up && below(r, 6000) < perHour { // asked six times an hour
				left++
				n.stop()
				away := 10*time.Minute + time.Duration(r.Uint64()%uint64(2*time.Hour))
				w.push(n.n, away, event{node: int32(n.n), do: n.start})
			}
		}
		w.after(10*time.Minute, leave)
	}
	w.after(30*time.Minute, leave)
	outage := func() {
		for i, n := range w.nodes[skewed:] {
			if n.up && i%3 == 0 {
				n.stop()
				w.push(n.n, 5*time.Minute, event{node: int32(n.n), do: n.start})
			}
		}
	}
	for h := 8; h <= hours; h += 8 {
		w.at(time.Duration(h)*p.EpochLen-time.Minute, outage)
	}
	end := time.Duration(hours) * p.EpochLen
	if err := w.until(ctx, end+20*time.Minute); err != nil {
		return w.ended(&outcome{}), err
	}
	skipped, longest := w.check.skipped(w.epoch(1), w.epoch(hours))
	behind := 0
	newest := w.newest()
	for _, n := range w.nodes[skewed:] {
		if n.up && n.head.State.Epoch()+1 < newest.Epoch() {
			behind++
		}
	}
	wrong := w.misjudged(newest)
	out := &outcome{figures: []figure{
		show("departures without a word", "", float64(left)),
		atMost("epochs without a final", "%", 100*float64(skipped)/float64(hours), 15),
		atMost("in a row", "", float64(longest), 1),
		atMost("relays that are up and more than an epoch behind", "", float64(behind), 0),
		show("relays that the newest table has in the wrong state (up or not)", "%", 100*float64(wrong)/float64(len(w.nodes))),
	}}
	return w.ended(out), nil
}

// newest is the newest state of any honest relay.
func (w *world) newest() *transition.State {
	var out *transition.State
	for _, n := range w.nodes {
		if n.head.State != nil && (out == nil || n.head.State.Epoch() > out.Epoch()) {
			out = n.head.State
		}
	}
	return out
}

// misjudged is how many relays a table calls running that are not up, or the reverse.
func (w *world) misjudged(s *transition.State) (count int) {
	table := s.Snapshot().Table()
	for _, n := range w.nodes {
		r, listed := table.Relay(n.rid)
		if n.up != (listed && r.Flags&1<<8 != 0) {
			count++
		}
	}
	return count
}
