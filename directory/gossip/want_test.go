// SPDX-License-Identifier: BSD-3-Clause

package gossip

import (
	"testing"

	"chive/directory/genesis"
	"chive/directory/record"
)

// What is wanted by name is asked of one peer after another; who denies it or is late
// pays nothing, since it had announced nothing.
func TestWantAsksOnePeerAfterAnotherAndBlamesNobody(t *testing.T) {
	l := newLab(t, 10, genesis.Testnet())
	a, b, c := l.up(ridOf(1), true), l.up(ridOf(2), true), l.up(ridOf(3), true)
	d, data := l.data(record.ClassVote, 7)
	l.step(Want{Class: record.ClassVote, Digests: []Digest{d, d}})
	order := []*far{a, b, c}
	next := func() *far {
		t.Helper()
		for _, f := range order {
			if ids := f.ids(typeGet); len(ids) == 1 && ids[0] == f.name(d) {
				return f
			}
		}
		t.Fatal("nobody is asked")
		return nil
	}
	first := next()
	first.says(&IDs{Type: typeNone, Class: record.ClassVote, IDs: []ShortID{first.name(d)}})
	second := next()
	l.pass(genesis.Testnet().GetTimeoutUrgent)
	third := next()
	if first == second || second == third || first == third {
		t.Error("one is asked twice")
	}
	third.says(&Item{Class: record.ClassVote, Data: data})
	if !l.store.Has(record.ClassVote, d) || len(l.m.wants) != 0 {
		t.Error("it was not taken")
	}
	second.says(&Item{Class: record.ClassVote, Data: data}) // late
	for _, f := range order {
		if n := l.score(f.rid); n != 0 {
			t.Errorf("%d points against somebody", n)
		}
	}
}

// TestWhoIsOvertakenIsNotBlamed: what is asked of one comes from another first, late or pushed, and
// the answer after it. Spec: GOS-6, GOS-11.
func TestWhoIsOvertakenIsNotBlamed(t *testing.T) {
	for _, pushed := range []bool{false, true} {
		class := byte(record.ClassVote)
		if pushed {
			class = record.ClassEvidence
		}
		l := newLab(t, 10, genesis.Testnet())
		a, b := l.up(ridOf(1), true), l.up(ridOf(2), true)
		d, data := l.data(class, 7)
		l.step(Want{Class: class, Digests: []Digest{d}})
		first, second := a, b
		if len(b.ids(typeGet)) > 0 {
			first, second = b, a
		}
		if pushed {
			second.says(&Item{Class: class, Data: data, Pushed: true})
		} else {
			l.pass(genesis.Testnet().GetTimeoutUrgent)
			first, second = second, first // who is asked now, and who is late
			second.says(&Item{Class: class, Data: data})
		}
		first.says(&Item{Class: class, Data: data})
		if n := l.score(first.rid) + l.score(second.rid); n != 0 || len(l.m.wants) != 0 {
			t.Errorf("pushed %v: %d points, %d wants", pushed, n, len(l.m.wants))
		}
		if pushed { // who has it not may say so as late
			e, more := l.data(class, 8)
			l.step(Want{Class: class, Digests: []Digest{e}})
			asked, other := a, b
			if len(b.ids(typeGet)) > 0 {
				asked, other = b, a
			}
			other.says(&Item{Class: class, Data: more, Pushed: true})
			asked.says(&IDs{Type: typeNone, Class: class, IDs: []ShortID{asked.name(e)}})
			if n := l.score(asked.rid); n != 0 {
				t.Errorf("%d points for who has it not", n)
			}
		}
		first.says(&Item{Class: class, Data: data})
		if l.score(first.rid) != penaltyUnasked {
			t.Errorf("pushed %v: twice costs %d", pushed, l.score(first.rid))
		}
	}
}

func TestWantsAreBoundedAndGivenUp(t *testing.T) {
	l := newLab(t, 10, genesis.Testnet())
	a := l.up(ridOf(1), true)
	var all []Digest
	for n := range maxWants + 5 {
		d, _ := l.data(record.ClassVote, 1000+n)
		all = append(all, d)
	}
	l.step(Want{Class: record.ClassVote, Digests: all})
	if len(l.m.wants) != maxWants || len(a.heard()) == 0 {
		t.Errorf("%d wants", len(l.m.wants))
	}
	l.pass(2 * genesis.Testnet().GetTimeoutUrgent)
	if len(l.m.wants) != 0 {
		t.Errorf("%d wants that nobody is left for", len(l.m.wants))
	}
	l.step(Want{Class: record.ClassVote, Digests: all[:1]})
	l.step(LinkDown{a.link})
	if len(l.m.wants) != 0 {
		t.Error("a want of a peer that is gone")
	}
}

func TestRepairNowKeepsTheGap(t *testing.T) {
	l := newLab(t, 10, genesis.Testnet())
	a := l.up(ridOf(1), true)
	l.step(RepairNow{})
	if len(a.heard()) != 1 {
		t.Fatal("no repair is opened")
	}
	l.step(RepairNow{})
	if n := len(a.heard()); n != 0 {
		t.Errorf("%d frames more", n)
	}
}

// One that takes us for a neighbour, by a newer list than ours, asks another.
func TestStateOfAStrangerIsNotHeldAndCostsNothing(t *testing.T) {
	l := newLab(t, 10, genesis.Testnet())
	a := l.up(ridOf(5000), true)
	a.says(&State{Header: digestOf("head"), Part: 3})
	got := a.heard()
	if len(got) != 1 || l.score(a.rid) != 0 {
		t.Fatalf("%d frames, %d points", len(got), l.score(a.rid))
	}
	if p, ok := got[0].(*StatePart); !ok || p.Count != 0 || p.Part != 3 {
		t.Errorf("answered %+v", got[0])
	}
}
