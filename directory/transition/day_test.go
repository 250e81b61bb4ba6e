// SPDX-License-Identifier: BSD-3-Clause

package transition

import (
	"slices"
	"testing"

	"chive/directory/genesis"
	"chive/directory/snapshot"
)

// short has days of 6 epochs and no stop-running caps.
func short(p *genesis.Params) { off(p); p.Day = 6 }

// Spec: TRN-4.
func TestAgeCountsDaysOfService(t *testing.T) {
	n := newNet(t, document(t, 8, rules(short)))
	// Day 0 has the epochs 0 to 5. Which of them each relay is not reached in:
	away := map[int][]uint64{
		1: {1, 3, 5}, // half of the day, and never twice in a row
		2: {1, 3},
		3: {4, 5},          // stopped by the second
		4: {1, 2, 3, 4, 5}, // stopped, and gone
	}
	for n.next < 6 {
		var ops []Op
		for _, relay := range []int{1, 2, 3, 4} {
			if slices.Contains(away[relay], n.next) {
				ops = append(ops, Op{Code: Down, Index: n.at(relay)})
			}
		}
		n.step(ops...)
	}
	for relay, want := range map[int]uint16{0: 6, 1: 3, 2: 4, 3: 4, 4: 1} {
		if got := n.aux(relay).DayRunning; got != want || n.now.DaySnapshots() != 6 {
			t.Errorf("relay %d was there in %d of %d, want %d", relay, got, n.now.DaySnapshots(), want)
		}
		if got := running(n.leaf(relay)); got != (relay < 3) {
			t.Errorf("relay %d is called running: %v", relay, got)
		}
	}
	u := uint16(maxUptime)
	for epoch := range uint64(5) {
		u = tickUptime(u, !slices.Contains(away[1], epoch+1))
	}
	if n.aux(1).Uptime != u || n.aux(0).Uptime != maxUptime {
		t.Errorf("uptime %d of one that is away every other time, want %d", n.aux(1).Uptime, u)
	}
	n.step()
	for relay, want := range map[int]uint16{0: 0, 1: 1, 2: 0, 3: 0, 4: 1} {
		if got := n.leaf(relay).BirthDay; got != want {
			t.Errorf("relay %d is born on %d, want %d", relay, got, want)
		}
	}
	if n.aux(0).DayRunning != 1 || n.aux(1).DayRunning != 1 || n.aux(4).DayRunning != 0 || n.now.DaySnapshots() != 1 {
		t.Error("the new day begins with old counts")
	}
	// Ten days without a snapshot: nobody ages, and who ran on the last one day does.
	day := n.now.snap.Day()
	n.skip(60)
	n.step()
	if passed := n.now.snap.Day() - day; passed != 10 || n.leaf(0).BirthDay != 9 || n.leaf(4).BirthDay != 1+10 {
		t.Errorf("after %d days born on %d and %d", passed, n.leaf(0).BirthDay, n.leaf(4).BirthDay)
	}
}

// Spec: TRN-4.
func TestBucketsRiseAStepADay(t *testing.T) {
	n := newNet(t, document(t, 8, rules(short)))
	n.step(n.add(descriptor(29, 1), LaneOpen)) // declares 30,000 kbit/s
	want := uint8(36)
	for day := range 25 {
		if got := n.leaf(29).Bucket; got != want {
			t.Fatalf("day %d: bucket %d, want %d", day, got, want)
		}
		for today := n.now.snap.Day(); n.now.snap.Day() == today; {
			n.step()
		}
		want = min(want+1, 57)
	}
	// A rest: bucket 0 at once, back at the newcomers' bucket the day after.
	d := descriptor(29, 2)
	d.DeclaredRate = 0
	n.step(n.update(29, d))
	if n.leaf(29).Bucket != 0 {
		t.Error("a resting relay has bandwidth")
	}
	n.step(n.update(29, descriptor(29, 3)))
	if n.leaf(29).Bucket != 0 {
		t.Error("it rose within the day")
	}
	n.skip(6)
	n.step()
	if n.leaf(29).Bucket != 36 {
		t.Errorf("bucket %d", n.leaf(29).Bucket)
	}
}

func TestBucketsWithoutLimits(t *testing.T) {
	n := newNet(t, document(t, 8, genesis.Testnet()))
	d := descriptor(29, 1)
	d.DeclaredRate = 1 << 30
	n.step(n.add(d, LaneOpen))
	if got := n.leaf(29).Bucket; got != snapshot.BucketOf(1<<30) {
		t.Errorf("bucket %d", got)
	}
	d = descriptor(29, 2)
	d.DeclaredRate = 1 << 31
	n.step(n.update(29, d))
	if got := n.leaf(29).Bucket; got != snapshot.BucketOf(1<<31) {
		t.Errorf("bucket %d", got)
	}
}

// Spec: TRN-4.
func TestSevenDaysWithoutRunningMakeDormant(t *testing.T) {
	n := newNet(t, document(t, 8, rules(short)))
	n.step(n.add(descriptor(20, 1), LaneOpen))
	for n.now.snap.Day() < 90+1 { // it serves for a day
		n.step()
	}
	both := func() []Op {
		return []Op{{Code: Down, Index: n.at(20)}, {Code: Down, Index: n.at(1)}}
	}
	n.step(both()...)
	n.step(both()...) // stopped on day 1, on which it ran
	for n.now.snap.Day() < 90+8 {
		n.step()
	}
	if !n.has(20) || n.aux(20).Idle != 6 {
		t.Fatalf("after six whole days: idle %d", n.aux(20).Idle)
	}
	for n.now.snap.Day() < 90+9 {
		n.step()
	}
	d, found := n.now.Dormant(rid(n.doc, 20))
	if n.has(20) || !found || d.Since != 99 || d.Birth != 90+8 {
		t.Errorf("after seven: %+v %v", d, found)
	}
	if _, found := n.now.Dormant(rid(n.doc, 1)); found || n.has(1) {
		t.Error("a founder that left is remembered")
	}
}

func TestUptimeFallsAndRises(t *testing.T) {
	if uptimeThreshold(genesis.Public()) != 61773 || uptimeThreshold(genesis.Testnet()) != 0 {
		t.Error("other thresholds")
	}
	u := uint16(maxUptime)
	if u = tickUptime(u, true); u != maxUptime {
		t.Errorf("at the top: %d", u)
	}
	gone := 0
	for ; u >= 61773; gone++ {
		u = tickUptime(u, false)
	}
	if gone != 27 {
		t.Errorf("below the threshold after %d snapshots", gone)
	}
	for range 100000 {
		u = tickUptime(u, false)
	}
	if u > 511 {
		t.Errorf("at the bottom: %d", u)
	}
	for range 10000 {
		if u = tickUptime(u, true); u > maxUptime {
			t.Fatal("above the top")
		}
	}
	if u != maxUptime {
		t.Errorf("back at %d", u)
	}
	// e^-1 is left after 512 snapshots, and no count is too long.
	if u := uptimeAfter(maxUptime, 512); u < 23800 || u > 24100 {
		t.Errorf("%d left after 512 snapshots", u)
	}
	if a, b := uptimeAfter(maxUptime, 1<<20), uptimeAfter(511, 1<<62); a != 511 || b != 511 || uptimeAfter(40000, 0) != 40000 {
		t.Errorf("%d, %d left after very many", a, b)
	}
}
