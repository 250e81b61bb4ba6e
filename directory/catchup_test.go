// SPDX-License-Identifier: BSD-3-Clause

package directory

import (
	"errors"
	"testing"
	"time"

	"chive/directory/snapshot"
	"chive/directory/vote"
)

// TestANewcomerCatchesUpFromWhatItHasSeen: its role, as a client, was led on by as few steps
// as do, and relays' steps need not go on from the lists of those. They do from what the
// header commits to; honest relays are not blamed. Spec: directory §10 (relay joins or wakes).
func TestANewcomerCatchesUpFromWhatItHasSeen(t *testing.T) {
	s := newSim(t, 4, 1)
	s.startAll()
	p := s.doc.Params
	to := func(epoch int) *bundle {
		s.until(time.Duration(epoch)*p.EpochLen + 6*time.Second)
		b := s.nodes[0].m.at
		if b.state.Epoch() != uint64(epoch) {
			t.Fatalf("at epoch %d, not %d", b.state.Epoch(), epoch)
		}
		return b
	}
	first := to(p.Term + 6)
	early := to(p.Term + 7)
	late := to(2*p.Term + 6)
	n := s.add()
	n.start()
	m := n.m
	try := func(b, seen *bundle) error {
		m.now, m.seen = s.now, nil
		if seen != nil {
			m.seen = seen.state.Snapshot()
		}
		return m.verified(b)
	}
	trimmed := func(b *bundle) *bundle { // of a relay whose own steps are few
		out := *b
		out.steps = b.steps[len(b.steps)-1:]
		return &out
	}
	for name, c := range map[string]struct{ b, seen *bundle }{
		"what was seen":                    {early, early},
		"its child":                        {early, first},
		"its child, by no step":            {&bundle{certificate: early.certificate, state: early.state, chain: early.chain}, first},
		"one of a later term":              {late, first},
		"with nothing but itself":          {late, nil},
		"what was seen, with few steps":    {trimmed(late), late},
		"one of a later term, seen before": {late, early},
	} {
		if err := try(c.b, c.seen); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := try(early, late); !errors.Is(err, vote.ErrHandOver) {
		t.Errorf("older than what was seen: %v", err)
	}
	if err := try(trimmed(late), nil); !unproven(err) {
		t.Errorf("with steps that are not enough: %v", err)
	}
	// What is seen commits to its lists alone: others' signatures are worth nothing.
	m.now, m.seen = s.now, first.state.Snapshot()
	h := *m.seen.Header()
	h.ListA, h.ListB = [32]byte{1}, [32]byte{2}
	other, err := snapshot.New(&h, m.seen.Table(), p)
	if err != nil {
		t.Fatal(err)
	}
	if m.seen = other; m.verified(early) == nil {
		t.Error("signed by lists that are not committed to")
	}
	// A list that is not the network's verifies nothing.
	strange := *late
	strange.steps = append([]*vote.Step(nil), late.steps...)
	last := len(strange.steps) - 1
	list := *strange.steps[last].List
	list.Keys = append([][32]byte{{1}}, list.Keys[1:]...)
	strange.steps[last] = &vote.Step{Certificate: strange.steps[last].Certificate, List: &list}
	if try(&strange, first) == nil {
		t.Error("a list that nobody has signed")
	}
}

// TestNothingOlderThanWhatIsSeenIsFetched: a neighbour that stands behind what the role has
// seen as a client is neither asked for its state nor blamed for it.
func TestNothingOlderThanWhatIsSeenIsFetched(t *testing.T) {
	s := newSim(t, 4, 1)
	s.startAll()
	p := s.doc.Params
	s.until(8*p.EpochLen + 6*time.Second)
	older := s.nodes[0].m.at
	s.until(11*p.EpochLen + 6*time.Second)
	n := s.add()
	n.start()
	m := n.m
	m.now = s.now
	rid := s.nodes[1].rid
	m.heads[rid], m.headsTo = head{older.state.Epoch(), older.state.Digest()}, older.state.Epoch()
	if _, ok := m.best(); !ok {
		t.Error("with nothing seen it is not looked for")
	}
	m.seen = s.nodes[0].m.at.state.Snapshot()
	if _, ok := m.best(); ok {
		t.Error("it is looked for")
	}
	m.catch = &catchUp{head: m.heads[rid], member: true}
	if m.pursue(); m.catch != nil {
		t.Error("it is fetched")
	}
	m.heads[rid] = head{m.seen.Epoch(), m.seen.Header().Digest()}
	m.headsTo = m.seen.Epoch()
	if _, ok := m.best(); !ok {
		t.Error("what was seen itself is not looked for")
	}
}

// TestWhoHasSeenALaterListDoesNotVote: a relay that returns to neighbours who know no more than
// itself says nothing by the old list that it holds, once it has seen a later one as a client.
func TestWhoHasSeenALaterListDoesNotVote(t *testing.T) {
	s := newSim(t, 5, 1)
	s.startAll()
	p := s.doc.Params
	s.until(3*p.EpochLen + 6*time.Second)
	n := s.nodes[4]
	n.stop()
	s.until(12*p.EpochLen + 6*time.Second)
	n.start()
	m := n.m
	for rid := range m.heads {
		m.heads[rid] = head{}
	}
	m.now, m.moved = s.now, true
	reason := func() vote.Reason {
		m.around.Count = 3 // who know nothing
		m.ask(m.around)
		return m.Status().Reason
	}
	m.neighbours()
	if got := reason(); got != vote.Takes {
		t.Fatalf("reason %d", got)
	}
	m.take(Seen{Snapshot: s.nodes[0].m.at.state.Snapshot()})
	m.neighbours()
	if got := reason(); got != vote.Behind {
		t.Errorf("reason %d", got)
	}
}
