// SPDX-License-Identifier: BSD-3-Clause

package vote

import (
	"testing"
	"time"

	"chive/directory/genesis"
	"chive/directory/record"
)

// Of more certificates than are kept those of the lowest epochs go: the newest ones are
// what leads on. Spec: EPOCH-9.
func TestCertificatesBeyondTheBound(t *testing.T) {
	const epochs, each = 10, 7
	b := newBench(t, 4, nil)
	now := b.at(epochs, 4*time.Second)
	var last *fakeState
	for e := uint64(1); e <= epochs; e++ {
		for mark := range byte(each) {
			last = b.child(b.w.genesis(), e, mark+1)
			b.certificate(now, b.sign(last, 0, 1, 2))
			if len(b.m.links) > 64 {
				t.Fatalf("%d are kept", len(b.m.links))
			}
		}
	}
	if len(b.m.links) != 64 {
		t.Fatalf("%d of %d are kept", len(b.m.links), epochs*each)
	}
	for i, l := range b.m.links {
		if want := uint64(1 + (i+epochs*each-64)/each); l.Header.Epoch != want {
			t.Fatalf("certificate %d is of epoch %d, want %d", i, l.Header.Epoch, want)
		}
	}
}

// What was signed is remembered for the latest four epochs that brought no final
// snapshot, however many do: a certificate that is given late can be followed from it.
// Spec: EPOCH-9.
func TestSignedSnapshotsBeyondTheBound(t *testing.T) {
	const epochs = 6 // that have ended
	s := newSim(t, 4, 0, 1, genesis.Testnet())
	s.quiet = func(_ *simNode, class byte) bool {
		return class == record.ClassSignature || class == record.ClassCertificate
	}
	s.run(epochs + 1)
	for i, n := range s.nodes {
		var got []uint64
		for _, m := range n.m.made {
			got = append(got, m.Header().Epoch)
		}
		if n.m.epoch() != 0 || len(got) != 4 || got[0] != epochs-3 || got[3] != epochs {
			t.Errorf("member %d, at epoch %d, holds what it signed of %v", i, n.m.epoch(), got)
		}
	}
}

// A fork is told once for as long as it is remembered: the oldest is forgotten, and then
// told again. Spec: EPOCH-9.
func TestReportedForksBeyondTheBound(t *testing.T) {
	b := newBench(t, 4, nil)
	g := b.w.genesis()
	one := b.child(g, 1, 1)
	two := b.child(one, 2, 1)
	now := b.at(8, 4*time.Second)
	b.follow(now, one, b.sign(one, 0, 1, 2))
	b.follow(now, two, b.sign(two, 0, 1, 2))
	other := b.child(g, 3, 1)
	forks := make([]*Certificate, 17)
	for i := range forks {
		forks[i] = b.sign(b.child(other, 4, byte(i+1)), 0, 1, 2)
	}
	tell := func(c *Certificate) int {
		b.certificate(now, b.sign(other, 0, 1, 2)) // dropped with each fork on it
		return count[Forked](b.certificate(now, c))
	}
	for i, c := range forks[:16] {
		if tell(c) != 1 {
			t.Fatalf("fork %d is not told", i)
		}
	}
	for i, c := range forks[:16] {
		if tell(c) != 0 {
			t.Fatalf("fork %d of 16 is told twice", i)
		}
	}
	if tell(forks[16]) != 1 || len(b.m.forked) != 16 {
		t.Fatalf("one more: %d are remembered", len(b.m.forked))
	}
	if tell(forks[1]) != 0 || tell(forks[0]) != 1 {
		t.Error("another than the oldest was forgotten")
	}
}
