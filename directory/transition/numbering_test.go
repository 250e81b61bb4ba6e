// SPDX-License-Identifier: BSD-3-Clause

package transition

import (
	"testing"

	"chive/directory/record"
	"chive/directory/snapshot"
)

// exit returns a descriptor of a relay with an exit policy.
func exit(n, version, which int) *record.Descriptor {
	d := descriptor(n, version)
	d.Roles |= record.RoleExit
	d.Policy = policy(which)
	return d
}

// Spec: TRN-2.
func TestIndicesStayAndTheLowestFreeOneIsTaken(t *testing.T) {
	n := newNet(t, document(t, 8, rules(off))) // policies 0 (relays 0, 6) and 1 (relay 3)
	policies := func() [][]record.PortRange { return n.now.snap.Table().Dictionaries().Policies }
	if len(policies()) != 2 || n.leaf(0).Policy != 1 || n.leaf(6).Policy != 1 || n.leaf(3).Policy != 2 {
		t.Fatalf("%v", policies())
	}
	n.step(n.update(1, exit(1, 1, 5)), n.update(2, exit(2, 1, 1)))
	if n.leaf(1).Policy != 3 || n.leaf(2).Policy != 2 {
		t.Errorf("new policy %d, known policy %d", n.leaf(1).Policy, n.leaf(2).Policy)
	}
	n.step(n.update(0, descriptor(0, 1)))
	n.step(n.update(6, descriptor(6, 1))) // nobody has policy 1 now
	if len(policies()) != 3 || policies()[0] != nil || n.leaf(1).Policy != 3 {
		t.Errorf("a policy without relays: %v", policies())
	}
	n.step(n.update(7, exit(7, 1, 6)))
	if n.leaf(7).Policy != 1 || len(policies()) != 3 {
		t.Errorf("the free index was not taken: %d", n.leaf(7).Policy)
	}
	// The only holder of an index changes its policy: the index stays its own.
	n.step(n.update(1, exit(1, 2, 9)))
	if n.leaf(1).Policy != 3 {
		t.Errorf("index %d", n.leaf(1).Policy)
	}
	n.step(n.update(1, descriptor(1, 3)))
	if len(policies()) != 2 {
		t.Errorf("a free index at the end is there still: %v", policies())
	}
	// In one snapshot: who leaves makes room for who comes.
	n.step(Op{Code: Drop, Index: n.at(7), Reason: DropRevoked}, n.add(exit(20, 1, 11), LaneOpen))
	if n.leaf(20).Policy != 1 {
		t.Errorf("index %d", n.leaf(20).Policy)
	}
}

func TestFullPolicyDictionaryCostsTheExitFlag(t *testing.T) {
	n := newNet(t, document(t, 8, rules(off)))
	s := n.now.snap.Table()
	numbers := newNumbering(s)
	for i := len(numbers.policies.values); i < snapshot.MaxPolicyCount; i++ {
		if _, ok := numbers.policies.take(string(record.EncodePolicy(policy(1000 + i)))); !ok {
			t.Fatalf("index %d is refused", i)
		}
	}
	d := exit(20, 1, 500)
	l := snapshot.Leaf{Flags: snapshot.FlagExit}
	derive(&l, d)
	if !numbers.assign(&l, nil, wantedBy(&l, d)) || l.Policy != 0 || l.Flags&snapshot.FlagExit != 0 {
		t.Errorf("leaf %+v", l)
	}
	known := exit(21, 1, 1)
	derive(&l, known)
	if !numbers.assign(&l, nil, wantedBy(&l, known)) || l.Policy != 2 || l.Flags&snapshot.FlagExit == 0 {
		t.Errorf("a known policy: %+v", l)
	}
}

func TestFullDictionariesOfFamiliesAndGroups(t *testing.T) {
	s := newSlots(2, 0)
	one, _ := s.take("one")
	two, _ := s.take("two")
	if _, ok := s.take("three"); ok || one != 0 || two != 1 {
		t.Fatal("a third of two")
	}
	if got := s.reassign(0, "three"); got != 0 {
		t.Errorf("a family without a place is %d", got)
	}
	// The only holder finds a place: its own.
	if i, ok := s.swap(0, "three"); !ok || i != 0 {
		t.Errorf("swapped to %d, %v", i, ok)
	}
	// One of two holders does not, and keeps the old.
	if _, ok := s.take("two"); !ok {
		t.Fatal("a known value")
	}
	if i, ok := s.swap(1, "four"); ok || i != 1 || s.uses[1] != 2 {
		t.Errorf("swapped to %d, %v; %d uses", i, ok, s.uses[1])
	}
	if got := s.reassign(2, ""); got != 0 || s.uses[1] != 1 {
		t.Errorf("gave up: %d, %d uses", got, s.uses[1])
	}
}

func TestUnchangedDictionariesAreTheParents(t *testing.T) {
	n := newNet(t, document(t, 8, rules(off)))
	before := n.now.snap.Table().Dictionaries()
	n.step(n.update(2, descriptor(2, 1)), Op{Code: Down, Index: n.at(1)})
	if n.now.snap.Table().Dictionaries() != before {
		t.Error("dictionaries were made anew")
	}
}
