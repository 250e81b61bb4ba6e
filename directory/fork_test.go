// SPDX-License-Identifier: BSD-3-Clause

package directory

import (
	"testing"
	"time"
)

// forkedPair returns two relays with one key whose histories part at epoch 3.
func forkedPair(t *testing.T) (ours, theirs *node) {
	for i, n := range []**node{&ours, &theirs} {
		s := newSim(t, 1, 51)
		s.startAll()
		s.until(15 * time.Second)
		s.nodes[0].onion = 10 * i
		s.nodes[0].step(Renew{})
		s.until(time.Duration(65+30*i) * time.Second)
		*n = s.nodes[0]
	}
	return ours, theirs
}

// TestAForkIsKeptOverRestarts of a history that is met by catching up, as of one that the
// member traces; for 90 days. Spec: directory §6 (choice).
func TestAForkIsKeptOverRestarts(t *testing.T) {
	n, other := forkedPair(t)
	s := n.s
	if n.m.Status().Forked || n.m.Fork() != nil || n.m.at.state.Epoch() != 6 || other.m.at.state.Epoch() != 9 {
		t.Fatalf("before: %+v", n.m.Status())
	}
	ours, theirs := n.m.at.certificate, other.m.at.certificate
	n.m.now = s.now
	n.m.jump(other.m.at)
	out := n.m.out
	n.m.out = nil
	for _, e := range out {
		n.carry(e)
	}
	check := func(when string, want bool) {
		t.Helper()
		f := n.m.Fork()
		if n.m.Status().Forked != want || (f != nil) != want {
			t.Fatalf("%s: %+v, %v", when, n.m.Status(), f)
		}
		if want && (f.Ours.Digest() != ours.Digest() || f.Theirs.Digest() != theirs.Digest()) {
			t.Errorf("%s: other certificates", when)
		}
	}
	check("met", true)
	if n.matters()[ReportForked] != 1 || n.epoch() != 6 {
		t.Errorf("reports %v, at %d", n.matters(), n.epoch())
	}
	n.m.forked(theirs, ours) // another one is told of, the first stays
	n.m.out = nil
	s.until(85 * time.Second)
	check("ours goes on", true)
	n.stop()
	n.start()
	check("started again", true)
	s.until(125 * time.Second)
	check("and goes on", true)
	if n.epoch() < 11 {
		t.Errorf("at %d", n.epoch())
	}
	for cut := range n.m.fork.encode() {
		if loadFork(n.m.fork.encode()[:cut]) != nil {
			t.Errorf("%d bytes of it are read", cut)
		}
	}
	end := 9 + uint64(forkDays*s.doc.Params.Day)
	n.m.now = s.doc.EpochStart(end)
	n.m.expireFork()
	check("after 90 days", true)
	n.m.now = s.doc.EpochStart(end + 1)
	n.m.expireFork()
	check("later", false)
	for _, e := range n.m.out {
		n.carry(e)
	}
	n.m.out = nil
	n.stop()
	n.start()
	check("started after that", false)
}
