// SPDX-License-Identifier: BSD-3-Clause

package transition

import (
	"errors"
	"testing"
	"time"

	"chive/directory/genesis"
	"chive/directory/snapshot"
)

// successor is a network of 8 founders with heirs, which are relays from 20 on.
func successor(t *testing.T, heirs int) *genesis.Document {
	t.Helper()
	p := rules(func(p *genesis.Params) { off(p); p.Day = 6 })
	plan := genesis.Plan{
		Name: "second", Testnet: true, Params: &p, Time: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		Predecessor: &genesis.Predecessor{NetworkID: [32]byte{1}, Header: [32]byte{2}},
	}
	for n := range 8 {
		plan.Founders = append(plan.Founders, founder(n))
	}
	for n := range heirs {
		id := public("identity", 20+n)
		plan.Heirs = append(plan.Heirs, genesis.Heir{Identity: id[:], Age: 80})
	}
	doc, err := plan.Document()
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// The lane by which a predecessor's relays come back in masses is as narrow as any
// network's once the successor is 30 days old, for those who vote, those who apply, and
// those who check what was signed. Spec: protocol §7 (DIR-16, ADM-4).
func TestTheLaneOfHeirsEnds(t *testing.T) {
	n := newNet(t, successor(t, 40))
	wanted := func(from, to int) (ops []Op) {
		for relay := from; relay < to; relay++ {
			ops = append(ops, n.add(descriptor(relay, 1), LaneReturning))
		}
		return ops
	}
	count := func(from, to int) (in int) {
		for relay := from; relay < to; relay++ {
			if n.has(relay) {
				in++
			}
		}
		return in
	}
	n.skip(28 * n.doc.Params.Day)
	n.step()
	if n.step(wanted(20, 40)...); count(20, 40) != 6 { // a seventh of 40
		t.Fatalf("day %d: %d returned", n.now.snap.Day(), count(20, 40))
	}
	for relay := 20; relay < 40; relay++ { // 28 days were not enough for all to return: nobody lost uptime by that
		if n.has(relay) && n.aux(relay).Uptime != maxUptime {
			t.Errorf("relay %d returned with an uptime of %d", relay, n.aux(relay).Uptime)
		}
	}
	wide := n.now
	n.skip(n.doc.Params.Day) // day 29
	if got := n.now.Slots(n.doc.Params, n.next); got[LaneReturning] != 6 {
		t.Errorf("on day 29 %d may return", got[LaneReturning])
	}
	n.next = uint64(30 * n.doc.Params.Day)
	if got := n.now.Slots(n.doc.Params, n.next-1); got[LaneReturning] != 6 {
		t.Errorf("in the last epoch of day 29 %d may return", got[LaneReturning])
	}
	seen := &Observations{}
	for relay := 40; relay < 60; relay++ {
		s := n.seen(descriptor(relay, 1))
		seen.Candidates = append(seen.Candidates, Candidate{RID: rid(n.doc, relay), Lane: LaneOpen, Seen: s})
	}
	if got := len(admissions(n.doc, n.now, n.next-1, seen)); got != 6 {
		t.Errorf("on day 29 a member votes for %d", got)
	}
	if got := len(admissions(n.doc, n.now, n.next, seen)); got != 1 {
		t.Errorf("on day 30 a member votes for %d", got)
	}
	if n.step(wanted(40, 60)...); count(40, 60) != 1 {
		t.Errorf("on day 30 %d returned", count(40, 60))
	}
	late := n.now
	n.skip(10*n.doc.Params.Day - 1)
	n.step(wanted(40, 60)...)
	for relay := 40; relay < 60; relay++ { // on day 40: ten days count
		if _, before := late.snap.Table().Index(rid(n.doc, relay)); n.has(relay) && !before {
			if got, want := n.aux(relay).Uptime, tickUptime(uptimeAfter(maxUptime, 10*n.doc.Params.Day), true); got != want {
				t.Errorf("an heir of day %d has an uptime of %d, want %d", n.now.snap.Day()-n.doc.Params.GuardFull, got, want)
			}
		}
	}
	if count(40, 60) != 2 {
		t.Errorf("on day 40 %d had returned", count(40, 60))
	}
	// What a malicious committee signs: across the end the wide lane counts for the day
	// that began before it, and not after it.
	for _, v := range []struct {
		from, to uint64
		returned int
		want     error
	}{
		{29*6 - 1, 29 * 6, 6, nil}, {29*6 - 1, 29 * 6, 7, ErrReturns},
		{30*6 - 1, 30 * 6, 1, nil}, {30*6 - 1, 30 * 6, 2, ErrReturns},
		{29*6 + 2, 30*6 + 4, 7, nil}, {29*6 + 2, 30*6 + 4, 8, ErrReturns}, // 6 in the first day of epochs, 1 in the second
	} {
		old := *wide.snap.Header()
		old.Epoch = v.from
		s, err := snapshot.New(&old, wide.snap.Table(), n.doc.Params)
		if err != nil {
			t.Fatal(err)
		}
		c := checker{p: n.doc.Params, old: s, epochs: v.to - v.from}
		if err := c.admissions(v.returned, v.returned); !errors.Is(err, v.want) {
			t.Errorf("%d return from epoch %d to %d: %v", v.returned, v.from, v.to, err)
		}
	}
}
