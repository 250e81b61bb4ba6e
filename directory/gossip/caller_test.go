// SPDX-License-Identifier: BSD-3-Clause

package gossip

import (
	"slices"
	"testing"
	"time"

	"chive/directory/genesis"
	"chive/directory/record"
)

// All places for guests, and those for strangers, move neither clock nor head.
// Spec: GOS-14.
func TestGuestsHaveNoSayAboutTheClock(t *testing.T) {
	l := newLab(t, 60, genesis.Public())
	may, not := l.callers()
	ahead := hello()
	ahead.Time = uint64(l.now.Add(time.Hour).UnixMilli())
	for _, rid := range append(not[:MaxGuests:MaxGuests], ridOf(1000), ridOf(1001)) {
		l.link(rid, true).says(ahead)
	}
	if off, n := l.m.ClockOffset(); n != 0 || off != 0 || len(l.m.Trusted()) != 0 {
		t.Errorf("guests alone: clock %v of %d", off, n)
	}
	right := hello()
	right.Time = uint64(l.now.Add(time.Second).UnixMilli())
	l.link(may[0], true).says(right)
	l.link(l.m.assigned[0], false).says(right)
	if off, n := l.m.ClockOffset(); n != 2 || off != time.Second {
		t.Errorf("clock %v of %d", off, n)
	}
	want := []record.RID{may[0], l.m.assigned[0]}
	slices.SortFunc(want, record.RID.Compare)
	if !slices.Equal(l.m.Trusted(), want) || len(l.m.Peers()) != MaxGuests+4 {
		t.Error("not those that the draw gave")
	}
	few := newLab(t, EverybodyUpTo, genesis.Public())
	i := slices.IndexFunc(few.view.Relays, func(r Relay) bool { return r.RID == ridOf(3) })
	few.view.Relays[i].Running = false
	few.step(few.view)
	few.link(ridOf(3), true).says(right)
	if off, n := few.m.ClockOffset(); n != 1 || off != time.Second {
		t.Errorf("where all are neighbours: clock %v of %d", off, n)
	}
}

// Spec: GOS-12.
func TestARelayThatCallsAllTheTimeIsRefused(t *testing.T) {
	l := newLab(t, 60, genesis.Public())
	may, _ := l.callers()
	for i := range callsAtOnce + 5 {
		f := l.link(may[0], true)
		why, closed := l.closed[f.link]
		if closed != (i >= callsAtOnce) || closed && why != ReasonFull {
			t.Fatalf("call %d: closed %v", i, closed)
		}
	}
	if _, closed := l.closed[l.link(may[1], true).link]; closed {
		t.Error("another suffers")
	}
	l.pass(time.Minute / callsAtOnce)
	if _, closed := l.closed[l.link(may[0], true).link]; closed {
		t.Error("not let in after its time")
	}
	for i := range maxCallers + 1 {
		l.m.caller(ridOf(5000 + i))
	}
	if len(l.m.callers) > maxCallers {
		t.Error(len(l.m.callers), "are remembered")
	}
}

// The remembered answer is that of the draw, under every list.
func TestRememberedAssignments(t *testing.T) {
	l := newLab(t, 60, genesis.Public())
	check := func() {
		t.Helper()
		for range 2 {
			for _, r := range l.view.Relays {
				for n := range 3 {
					if l.m.mayCall(beacon(n), r.RID) != MayCall(beacon(n), r.RID, ridOf(0), l.view.Relays) {
						t.Fatal("not what was drawn")
					}
				}
			}
		}
	}
	check()
	l.view.Relays = listOf(40)
	l.step(l.view)
	check()
}

// What strangers send as if they were neighbours is bounded. Spec: GOS-10, GOS-11.
func TestStrangersThatTalkLikeNeighboursAreCharged(t *testing.T) {
	for name, x := range map[string]Frame{
		"inv":  &IDs{Type: typeInv, Class: record.ClassDescriptor, IDs: []ShortID{1}},
		"item": &Item{Class: record.ClassDescriptor, Data: []byte{1}},
	} {
		l := newLab(t, 60, genesis.Public())
		f := l.up(ridOf(1000), true)
		for range BurstItems {
			f.says(x)
		}
		if l.score(f.rid) != 0 {
			t.Errorf("%s: charged within the burst", name)
		}
		for range penaltyLimit {
			f.says(x)
		}
		if why, closed := l.closed[f.link]; !closed || why != ReasonPenalty {
			t.Errorf("%s: goes on for ever", name)
		}
	}
}

// To look for what is not there costs by how much is looked through. Spec: GOS-7.
func TestAskingForWhatIsNotThereIsCharged(t *testing.T) {
	l := newLab(t, 60, genesis.Public())
	may, _ := l.callers()
	f := l.up(may[0], true)
	const held = 2000
	for n := range held {
		_, b := l.data(record.ClassDescriptor, n)
		l.store.Accept(l.now, f.rid, record.ClassDescriptor, b)
	}
	before := l.m.peerOf(f.rid).budget.tokens
	f.says(&IDs{Type: typeGet, Class: record.ClassDescriptor, IDs: []ShortID{77}})
	cost := (before - l.m.peerOf(f.rid).budget.tokens) / milli
	if cost != int64(askCost+l.store.Count(record.ClassDescriptor)*lookCost) || cost < held {
		t.Errorf("cost %d", cost)
	}
}
