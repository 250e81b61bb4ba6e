// SPDX-License-Identifier: BSD-3-Clause

package directory

import (
	"testing"
	"time"

	"chive/directory/genesis"
	"chive/directory/record"
	"chive/directory/transition"
)

// A relay of the predecessor comes back to the successor with its age, in a lane of its
// own, while a newcomer waits for a place. Spec: directory §2, protocol §7 (DIR-16).
func TestAHeirComesBackWithItsAge(t *testing.T) {
	p := limited()
	p.GuardFrom, p.GuardFull, p.CommitteeAge = 30, 90, 60
	s := newSimOf(t, 4, 35, p)
	var founders []*record.Founder
	founders = append(founders, document(t, 4, p).Founders...)
	plan := genesis.Plan{
		Name: "second", Testnet: true, Params: &p, Founders: founders, Time: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		Predecessor: &genesis.Predecessor{NetworkID: [32]byte{1}, Header: [32]byte{2}},
	}
	for n := 4; n < 20; n++ {
		id := public(signingKey("identity", n))
		plan.Heirs = append(plan.Heirs, genesis.Heir{Identity: id[:], Age: 75})
	}
	doc, err := plan.Document()
	if err != nil {
		t.Fatal(err)
	}
	s.nodes = nil
	s.doc, s.now = doc, doc.EpochStart(0).Add(time.Second)
	for range 4 {
		s.add()
	}
	zero := transition.Genesis(doc)
	if got := zero.Slots(doc.Params, 1)[transition.LaneReturning]; got != 3 || len(zero.Dormants()) != 16 {
		t.Errorf("%d may return a day, %d are remembered", got, len(zero.Dormants()))
	}
	s.startAll()
	s.until(25 * time.Second)
	var heirs []*node
	for range 2 {
		n := s.add()
		n.joins()
		heirs = append(heirs, n)
	}
	day := time.Duration(p.Day) * p.EpochLen
	s.until(3 * day)
	for _, n := range heirs {
		r, listed := s.nodes[0].m.table().Relay(n.rid)
		if !listed {
			t.Fatalf("node %d is not on the list", n.n)
		}
		if age := s.nodes[0].m.at.state.Snapshot().Day() - int(r.BirthDay); age < 72 || age > 75 {
			t.Errorf("node %d is %d days old", n.n, age)
		}
		i, _ := s.nodes[0].m.table().Index(n.rid)
		if !s.nodes[0].m.at.state.Eligible(doc.Params, i) {
			t.Error("it may not sit on a committee")
		}
	}
	if n := len(s.nodes[1].m.at.state.Dormants()); n != 14 {
		t.Errorf("%d are remembered still", n)
	}
	for _, n := range s.nodes {
		if n.m.at.state.Digest() != s.nodes[0].m.at.state.Digest() && n.epoch() == s.nodes[0].epoch() {
			t.Error("they differ")
		}
	}
}
