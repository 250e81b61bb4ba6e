// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"slices"
	"testing"
	"time"
)

// TestOnlyCircuitsWithoutCellsAreShrunk, each once, after one whole sweep without.
func TestOnlyCircuitsWithoutCellsAreShrunk(t *testing.T) {
	w := warm{some: make(chan struct{}, 1)}
	a, b := new(circ), new(circ)
	see := func(more bool, want ...*circ) {
		t.Helper()
		idle, others := w.sweep()
		if !slices.Equal(idle, want) || others != more {
			t.Fatalf("%d circuits were idle, others %v; want %d, %v", len(idle), others, len(want), more)
		}
	}
	see(false)
	w.touch(a)
	w.touch(a)
	w.touch(b)
	if len(w.some) != 1 || len(w.list) != 2 {
		t.Fatalf("%d tokens, %d in the list", len(w.some), len(w.list))
	}
	see(true)
	w.touch(b)
	see(true, a)
	see(false, b)
	see(false)
	w.touch(a)
	see(true)
	see(false, a)
}

// TestTheSweepLeavesNothingOfIdleCircuitsInTheList soon after they were built.
func TestTheSweepLeavesNothingOfIdleCircuitsInTheList(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		l := w.client()
		for range 3 {
			w.circuit(l, 1)
		}
		held := func() int {
			w.relay.warm.mu.Lock()
			defer w.relay.warm.mu.Unlock()
			return len(w.relay.warm.list)
		}
		if held() != 3 {
			t.Error("fresh circuits are not in the list")
		}
		w.open(3, 2*sweepEvery+time.Millisecond)
		if held() != 0 {
			t.Error("idle circuits are in the list")
		}
	})
}
