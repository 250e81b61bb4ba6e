// SPDX-License-Identifier: BSD-3-Clause

package directory

import (
	"testing"
	"time"
)

// A relay follows no hand-over from a state that is older than anybody may start from,
// as clients do not; what its member has verified by itself is fetched. Spec: directory §8.
func TestNoCatchUpFromAStateThatIsTooOld(t *testing.T) {
	s := newSim(t, 4, 1)
	m := s.nodes[0].machine(t)
	m.p.AnchorAge = time.Hour
	m.headsTo = m.at.state.Epoch() + 100
	m.heads[s.nodes[1].rid] = head{epoch: m.headsTo, digest: [32]byte{1}}
	start := m.doc.EpochStart(m.at.state.Epoch())
	for age, old := range map[time.Duration]bool{time.Hour: false, time.Hour + 1: true, 1000 * time.Hour: true} {
		m.now = start.Add(age)
		if _, ok := m.best(); ok == old || m.tooOld() != old {
			t.Errorf("%v: goes on %v", age, ok)
		}
	}
	m.now = start.Add(time.Hour + 1)
	m.catch = &catchUp{head: head{epoch: 100}, busy: true}
	if m.pursue(); m.catch != nil {
		t.Error("goes on with what was begun before")
	}
	m.catch = &catchUp{head: head{epoch: 100}, busy: true, member: true}
	if m.pursue(); m.catch == nil {
		t.Error("does not fetch what the member follows")
	}
	m.p.AnchorAge = 0
	if m.tooOld() {
		t.Error("the age is off")
	}
}

// machine starts a relay and returns its machine.
func (n *node) machine(t *testing.T) *Machine {
	t.Helper()
	n.start()
	n.step(Tick{})
	return n.m
}
