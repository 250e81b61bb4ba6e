// SPDX-License-Identifier: BSD-3-Clause

package path

import (
	"testing"

	"chive/directory/snapshot"
)

func TestNewGuardsAreDrawnAmongTheReachableOnly(t *testing.T) {
	p := publicRules()
	s := selector(t, apart(20, guardFlag), p)
	only := s.table.At(7).RID
	g := NewGuards(p, start())
	narrow := s.Entering(func(r *snapshot.Relay) bool { return r.RID == only })
	if _, err := g.Update(start(), seeded(1), narrow); err != nil {
		t.Fatal(err)
	}
	if got := g.Usable(start()); len(got) != 1 || got[0] != only {
		t.Errorf("%d guards", len(got))
	}
	// Those that are kept stay, and the whole table is there again for others.
	if _, err := g.Update(start(), seeded(1), s); err != nil {
		t.Fatal(err)
	}
	if got := g.Usable(start()); len(got) != guardCount || got[0] != only {
		t.Errorf("%d guards", len(got))
	}
	if narrow.View() != s.View() || narrow.weights[Middle].total() != s.weights[Middle].total() {
		t.Error("other places are drawn otherwise")
	}
}
