// SPDX-License-Identifier: BSD-3-Clause

package gossip

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"chive/directory/record"
)

func seeded(n byte) *chance { return &chance{rand.NewChaCha8([32]byte{n})} }

// Spec: GOS-3.
func TestAssignedNeighboursCanBeCheckedByBothEnds(t *testing.T) {
	for _, count := range []int{1, 2, 5, 16, 17, 18, 19, 60} {
		list := listOf(count)
		in := 0
		for _, a := range list {
			out := Assigned(beacon(1), a.RID, list)
			want := AssignedCount
			if count <= EverybodyUpTo {
				want = count - 1
			}
			if len(out) != want || !slices.IsSortedFunc(out, record.RID.Compare) || slices.Contains(out, a.RID) {
				t.Fatalf("%d relays: %d neighbours", count, len(out))
			}
			for _, b := range list {
				if may := MayCall(beacon(1), a.RID, b.RID, list); may != slices.Contains(out, b.RID) {
					t.Fatalf("%d relays: the ends disagree", count)
				} else if may {
					in++
				}
			}
		}
		if in != count*min(max(count-1, 0), map[bool]int{true: EverybodyUpTo, false: AssignedCount}[count <= EverybodyUpTo]) {
			t.Errorf("%d relays: %d edges", count, in)
		}
	}
	list := listOf(60)
	if slices.Equal(Assigned(beacon(1), ridOf(1), list), Assigned(beacon(2), ridOf(1), list)) {
		t.Error("another day, the same neighbours")
	}
	first := Assigned(beacon(1), ridOf(1), list)[0]
	i := slices.IndexFunc(list, func(r Relay) bool { return r.RID == first })
	list[i].Running = false
	if slices.Contains(Assigned(beacon(1), ridOf(1), list), first) || MayCall(beacon(1), ridOf(1), first, list) || MayCall(beacon(1), first, ridOf(1), list) {
		t.Error("a relay that does not run is a neighbour")
	}
	if MayCall(beacon(1), ridOf(999), ridOf(1), list) {
		t.Error("a stranger may call")
	}
}

// Spec: GOS-2.
func TestPrivateNeighbours(t *testing.T) {
	list, self := listOf(60), ridOf(3)
	assigned := Assigned(beacon(1), self, list)
	c := seeded(1)
	groups := func(rids []record.RID) (out []uint16) {
		for _, rid := range rids {
			r, ok := find(list, rid)
			if !ok {
				t.Fatal("from nowhere")
			}
			out = append(out, r.Group)
		}
		return out
	}
	me, _ := find(list, self)
	seen := map[record.RID]bool{}
	for range 50 {
		private := choosePrivate(c, self, list, nil, assigned)
		g := groups(private)
		if len(private) != PrivateCount || g[0] == g[1] || slices.Contains(g, me.Group) ||
			slices.Contains(assigned, private[0]) || slices.Contains(assigned, private[1]) {
			t.Fatalf("groups %v", g)
		}
		seen[private[0]] = true
		if again := choosePrivate(c, self, list, private, private); !slices.Equal(again, private) {
			t.Fatal("kept ones were changed")
		}
		i := slices.IndexFunc(list, func(r Relay) bool { return r.RID == private[0] })
		list[i].Running = false
		if again := choosePrivate(c, self, list, private, assigned); slices.Contains(again, private[0]) || !slices.Contains(again, private[1]) {
			t.Fatal("one that is gone was kept, or the other was not")
		}
		list[i].Running = true
	}
	if len(seen) < 20 {
		t.Errorf("only %d different in 50 draws", len(seen))
	}
	for i := range list {
		list[i].Group = 1
	}
	if got := choosePrivate(c, self, list, nil, nil); len(got) != 0 {
		t.Error("of one's own group")
	}
	if got := choosePrivate(c, self, nil, nil, nil); len(got) != 0 {
		t.Error("out of an empty list")
	}
}

// The waits are exponential: mean and tail, and no floats in them.
func TestWaits(t *testing.T) {
	c := seeded(2)
	const n = 100_000
	var sum time.Duration
	beyond := 0
	for range n {
		w := c.wait(time.Second)
		if w < 0 {
			t.Fatal("negative")
		}
		sum += w
		if w > 2*time.Second {
			beyond++
		}
	}
	if mean := sum / n; mean < 985*time.Millisecond || mean > 1015*time.Millisecond {
		t.Errorf("mean %v", mean)
	}
	if beyond < 13_000 || beyond > 14_100 { // e^-2 = 13.5 %
		t.Errorf("%d beyond two means", beyond)
	}
	for range 1000 {
		if d := c.around(10*time.Minute, 500); d < 5*time.Minute || d > 15*time.Minute {
			t.Fatal(d)
		}
	}
	if c.around(time.Second, 0) != time.Second {
		t.Error("no spread")
	}
}

func BenchmarkAssigned(b *testing.B) {
	list := listOf(10_000)
	for b.Loop() {
		Assigned(beacon(1), list[0].RID, list)
	}
}
