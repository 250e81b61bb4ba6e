// SPDX-License-Identifier: BSD-3-Clause

package directory

import (
	"slices"
	"testing"
	"time"

	"chive/directory/genesis"
	"chive/directory/gossip"
	"chive/directory/record"
	"chive/directory/snapshot"
)

// Probes that are due beyond those under way wait until one of them has ended, and none
// is passed over.
func TestProbesBeyondTheBoundWait(t *testing.T) {
	const founders = 80
	s := newSim(t, founders, 1)
	n := s.nodes[0]
	n.start()
	m := n.m
	if len(m.reach.plan) != founders-1 {
		t.Fatalf("%d are to be probed", len(m.reach.plan))
	}
	s.now = m.cutOff(m.reach.epoch).Add(-time.Millisecond)
	m.Step(s.now, Tick{}, nil)
	for ended := 0; len(m.reach.active) > 0; ended++ {
		if under := len(m.reach.active); under != min(64, founders-1-ended) {
			t.Fatalf("%d probes are under way when %d have ended", under, ended)
		}
		next := ^uint64(0)
		for _, a := range m.reach.active {
			next = min(next, a.id)
		}
		m.Step(s.now, ProbeDone{ID: next, OK: true}, nil)
	}
	if reached := m.reached(m.reach.opened); len(reached) != founders {
		t.Errorf("%d of %d were probed", len(reached)-1, founders-1)
	}
}

// A (relay, header) pair that failed is not asked again while it is one of the latest 64.
func TestFailuresBeyondTheBound(t *testing.T) {
	var f failures
	for i := range byte(65) {
		f.add(record.RID{i}, [32]byte{i})
	}
	if len(f) != 64 || slices.Contains(f, failure{record.RID{0}, [32]byte{0}}) || !slices.Contains(f, failure{record.RID{64}, [32]byte{64}}) {
		t.Errorf("%d are remembered, from %v", len(f), f[0].rid)
	}
}

// The three newest states are given to others; an older one is not known any more.
func TestStatesBeyondTheBoundAreNotServed(t *testing.T) {
	s, b := someBundle(t, 30*time.Second)
	m := s.nodes[0].m
	for range 4 {
		m.serve(b, []byte{1}) // others than the state to come
	}
	heads := s.nodes[0].heads
	if len(heads) < 2 || len(m.serving) != 3 {
		t.Fatalf("%d states are served", len(m.serving))
	}
	m.serving = nil
	first := &bundle{state: heads[0].State}
	m.serve(first, []byte{1})
	for i := range 3 {
		if _, count := (states{m}).Part(first.state.Digest(), 0); count != 1 {
			t.Fatalf("not served any more after %d newer ones", i)
		}
		m.serve(b, []byte{1})
	}
	if _, count := (states{m}).Part(first.state.Digest(), 0); count != 0 {
		t.Error("served after 3 newer ones")
	}
}

// A state that is said to have more parts than any can have is not begun with, and
// another relay is asked. Bounds: 4 MiB, 4 KiB for each relay, and the headers of a chain.
func TestAStateBeyondTheBoundIsNotFetched(t *testing.T) {
	const relays = 60
	s := newSim(t, relays, 1)
	n := s.nodes[0]
	n.start()
	m := n.m
	bytes := 4<<20 + relays*4<<10 + maxChain(genesis.Testnet())*snapshot.MaxHeaderSize
	most := uint32(bytes/gossip.MaxStatePartSize + 1)
	for count, busy := range map[uint32]bool{2: true, most: true, most + 1: false, 0: false} {
		m.catch = &catchUp{head: head{9, [32]byte{1}}, rid: s.nodes[1].rid, busy: true, asked: 1}
		c := m.catch
		m.stateReceived(gossip.StateReceived{RID: c.rid, Header: c.digest, Count: count, Data: []byte{1}})
		if c.busy != busy || (c.parts != nil) != busy {
			t.Errorf("of %d parts: busy %v", count, c.busy)
		}
	}
}

// An honest relay that answers twice, since it was asked twice, is not charged; who says
// another number of parts is. Spec: GOS-11.
func TestAPartThatComesTwiceIsNoForgery(t *testing.T) {
	s := newSim(t, 4, 54)
	n := s.nodes[0]
	n.start()
	m := n.m
	for count, busy := range map[uint32]bool{6: true, 5: false} {
		m.failed = nil
		m.catch = &catchUp{head: head{9, [32]byte{1}}, rid: s.nodes[1].rid, busy: true, asked: 6}
		c := m.catch
		m.stateReceived(gossip.StateReceived{RID: c.rid, Header: c.digest, Part: 4, Count: 6, Data: []byte{1}})
		m.stateReceived(gossip.StateReceived{RID: c.rid, Header: c.digest, Part: 4, Count: count, Data: []byte{1}})
		if c.busy != busy || (len(m.failed) == 0) != busy || c.have != 1 {
			t.Errorf("%d parts after 6: busy %v, %d failed, %d parts", count, c.busy, len(m.failed), c.have)
		}
	}
}
