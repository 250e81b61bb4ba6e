// SPDX-License-Identifier: BSD-3-Clause

package directory

import (
	"testing"
	"time"
)

// standsUntil has a network stand still from before it draws A's next list until an epoch.
func (s *sim) standsUntil(epoch int) (before *bundle) {
	p := s.doc.Params
	s.until(time.Duration(p.Term-p.DrawLead-3)*p.EpochLen + 9*time.Second)
	for i := range s.nodes {
		for j := range i {
			s.cut[[2]int{j, i}] = true
		}
	}
	before = s.nodes[0].m.at
	s.until(time.Duration(epoch)*p.EpochLen + 8*time.Second)
	clear(s.cut)
	return before
}

// TestTheFirstStateAfterAStandstillIsCaughtUpWith: it draws a list whose term has begun, and is
// signed by the one before. Its own step does not stand in its way, whoever the epoch belongs to
// and whatever was seen before. Spec: directory §10, protocol §7 (GOS-9).
func TestTheFirstStateAfterAStandstillIsCaughtUpWith(t *testing.T) {
	for end := range 5 {
		s := newSim(t, 4, 3)
		s.startAll()
		p := s.doc.Params
		before := s.standsUntil(p.Term + end)
		n := s.add()
		n.start()
		m := n.m
		all := []*bundle{before}
		for k := 0; k < 60*int(p.EpochLen/time.Second) && len(all) < 5; k++ {
			s.until(s.now.Sub(s.doc.EpochStart(0)) + time.Second)
			b := s.nodes[0].m.at
			if b == all[len(all)-1] {
				continue
			}
			parent := all[len(all)-1]
			all = append(all, b)
			for name, seen := range map[string]*bundle{"nothing": nil, "itself": b, "its parent": parent, "the one before the standstill": before} {
				if m.now, m.seen = s.now, nil; seen != nil {
					m.seen = seen.state.Snapshot()
				}
				if err := m.verified(b); err != nil {
					t.Errorf("resumed %d epochs into the term, epoch %d, with %s seen: %v", end, b.state.Epoch(), name, err)
				}
			}
		}
		if len(all) < 5 {
			t.Fatal("it has not resumed")
		}
	}
}

// TestAListThatIsLeftOutLeadsNobodyAround: a header that was seen commits to A's next list. Who
// sends a state without it, which the list before has signed in the term of the next one, is
// not believed: retired keys lead around nothing. Spec: protocol §7 (GOS-9).
func TestAListThatIsLeftOutLeadsNobodyAround(t *testing.T) {
	at := func(stands bool, epoch int) (*sim, *bundle) {
		s := newSim(t, 4, 3)
		s.startAll()
		p := s.doc.Params
		if stands { // keys of term 0 sign in term 1
			s.standsUntil(p.Term)
		}
		s.until(time.Duration(epoch)*p.EpochLen + 8*time.Second)
		return s, s.nodes[0].m.at
	}
	s, seen := at(false, genesisTerm-2)
	if seen.state.Snapshot().Header().NextA == [32]byte{} {
		t.Fatal("it is not drawn")
	}
	other, forged := at(true, genesisTerm+3)
	if other.doc.NetworkID() != s.doc.NetworkID() {
		t.Fatal("another network")
	}
	n := s.add()
	n.start()
	m := n.m
	m.now, m.seen = other.now, seen.state.Snapshot()
	if m.verified(forged) == nil {
		t.Error("what retired keys have signed is believed")
	}
	with := *forged
	with.steps = append(seen.steps[:len(seen.steps):len(seen.steps)], forged.steps...)
	if m.verified(&with) == nil {
		t.Error("with the list, too")
	}
}

// genesisTerm is where A's second term begins in a testnet, in epochs.
const genesisTerm = 60
