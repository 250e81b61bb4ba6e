// SPDX-License-Identifier: BSD-3-Clause

package sync

import (
	"testing"

	"chive/directory/vote"
)

// A relay that was listed goes on as a client from its own newest state, and takes what
// came after it. Spec: directory §10 (relay wakes).
func TestSeedGoesOnFromAnOwnState(t *testing.T) {
	l := grown(t, 3)
	own := l.finals[len(l.finals)-2]
	f := SeedFollower(l.doc, vote.Plain{}, own)
	if f.Snapshot() != own.State.Snapshot() || f.Certificate() != own.Certificate {
		t.Fatal("another snapshot than its own")
	}
	for range 4 {
		l.grow(l.renew(2))
	}
	if r, err := l.fetch(f, of(l.server(), l.clock())); r != Newer || err != nil {
		t.Errorf("%v, %v", r, err)
	}
	saved, err := LoadFollower(l.doc, vote.Plain{}, f.Encode())
	if err != nil || saved.Snapshot().Epoch() != f.Snapshot().Epoch() {
		t.Errorf("saved: %v", err)
	}
	// A certificate of something else seeds nothing.
	mixed := Final{State: own.State, Certificate: l.finals[len(l.finals)-1].Certificate}
	if g := SeedFollower(l.doc, vote.Plain{}, mixed); g.Snapshot().Epoch() != 0 || g.Certificate() != nil {
		t.Error("a state with another's certificate was taken")
	}
}
