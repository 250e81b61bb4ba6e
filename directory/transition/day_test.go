// SPDX-License-Identifier: BSD-3-Clause

package transition

import (
	"testing"

	"chive/directory/genesis"
	"chive/directory/snapshot"
)

// short has days of 6 epochs and no stop-running caps.
func short(p *genesis.Params) { off(p); p.Day = 6 }

// Spec: TRN-4.
func TestAgeCountsDaysOfService(t *testing.T) {
	n := newNet(t, document(t, 8, rules(short)))
	// Day 0 has the epochs 0 to 5. Relay 1 runs in three of its six snapshots, relay
	// 2 in two.
	n.step(Op{Code: Down, Index: n.at(2)})
	n.step(Op{Code: Down, Index: n.at(2)}, Op{Code: Down, Index: n.at(1)})
	n.step(Op{Code: Down, Index: n.at(1)})
	for n.next < 6 {
		n.step()
	}
	if n.aux(1).DayRunning != 3 || n.aux(2).DayRunning != 2 || n.now.DaySnapshots() != 6 {
		t.Fatalf("ran in %d and %d of %d", n.aux(1).DayRunning, n.aux(2).DayRunning, n.now.DaySnapshots())
	}
	n.step()
	if n.leaf(0).BirthDay != 0 || n.leaf(1).BirthDay != 0 || n.leaf(2).BirthDay != 1 {
		t.Errorf("born on %d, %d, %d", n.leaf(0).BirthDay, n.leaf(1).BirthDay, n.leaf(2).BirthDay)
	}
	if n.aux(0).DayRunning != 1 || n.aux(1).DayRunning != 0 || n.now.DaySnapshots() != 1 {
		t.Error("the new day begins with old counts")
	}
	// Ten days without a snapshot: nobody ages, and who ran on the last one day does.
	day := n.now.snap.Day()
	n.skip(60)
	n.step()
	if passed := n.now.snap.Day() - day; passed != 10 || n.leaf(0).BirthDay != 9 || n.leaf(2).BirthDay != 1+10 {
		t.Errorf("after %d days born on %d and %d", passed, n.leaf(0).BirthDay, n.leaf(2).BirthDay)
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
	both := func() []Op {
		return []Op{{Code: Down, Index: n.at(20)}, {Code: Down, Index: n.at(1)}}
	}
	n.step(both()...)
	n.step(both()...) // stopped on day 0, on which it ran
	for n.now.snap.Day() < 90+7 {
		n.step()
	}
	if !n.has(20) || n.aux(20).Idle != 6 {
		t.Fatalf("after six whole days: idle %d", n.aux(20).Idle)
	}
	for n.now.snap.Day() < 90+8 {
		n.step()
	}
	d, found := n.now.Dormant(rid(n.doc, 20))
	if n.has(20) || !found || d.Since != 98 || d.Birth != 90+8 {
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
}
