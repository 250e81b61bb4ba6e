// SPDX-License-Identifier: BSD-3-Clause

package directory

import (
	"errors"
	"testing"
	"time"

	"chive/directory/committee"
	"chive/directory/transition"
	"chive/directory/vote"
)

// TestANewcomerCatchesUpFromWhatItBelieves: its role, as a client, was led on by as few steps
// as do, and has a list of B that the relays' steps do not go on from. Its own state sees all
// of them; honest relays are not blamed. Spec: directory §10 (relay joins or wakes).
func TestANewcomerCatchesUpFromWhatItBelieves(t *testing.T) {
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
	early := to(p.Term + 6)
	first := &vote.Anchor{Epoch: early.state.Epoch(), Lists: []*committee.List{transition.Genesis(s.doc).Lists()[2].ForClients(), early.state.Lists()[0].ForClients()}}
	late := to(2*p.Term + 6)
	n := s.add()
	n.start()
	m := n.m
	try := func(b *bundle, believed *vote.Anchor) error {
		m.now, m.believed = s.now, believed
		return m.verified(b)
	}
	for name, c := range map[string]struct {
		b        *bundle
		believed *vote.Anchor
	}{
		"a term that it knows":    {early, first},
		"one of a later term":     {late, first},
		"with nothing but itself": {late, nil},
	} {
		if err := try(c.b, c.believed); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Who may not start from the document is led on by later lists alone.
	m.p.AnchorAge = time.Duration(p.Term) * p.EpochLen
	if err := try(early, first); err != nil {
		t.Errorf("from later lists: %v", err)
	}
	if try(late, first) == nil {
		t.Error("from a state that is too old")
	}
	// What its own lists lead to must go by what it believes.
	another := *first.Lists[1]
	another.Keys = append([][32]byte{{1}}, another.Keys[1:]...)
	m.p.AnchorAge = p.AnchorAge
	if err := try(late, &vote.Anchor{Epoch: first.Epoch, Lists: []*committee.List{first.Lists[0], &another}}); !errors.Is(err, vote.ErrHandOver) {
		t.Errorf("around a list that is believed: %v", err)
	}
	// A list that is not the network's verifies nothing.
	m.p.AnchorAge = p.AnchorAge
	strange := *late
	strange.steps = append([]*vote.Step(nil), late.steps...)
	last := len(strange.steps) - 1
	other := *strange.steps[last].List
	other.Keys = append([][32]byte{{1}}, other.Keys[1:]...)
	strange.steps[last] = &vote.Step{Certificate: strange.steps[last].Certificate, List: &other}
	if try(&strange, first) == nil {
		t.Error("a list that nobody has signed")
	}
}
