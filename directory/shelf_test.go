// SPDX-License-Identifier: BSD-3-Clause

package directory

import (
	"runtime"
	"testing"
)

// Equal values have one pointer while it is held, and nothing is held for them.
func TestInternedValuesAreOneWhileTheyAreHeld(t *testing.T) {
	var m interned[[40]int]
	kept := m.one([40]int{-1})
	for i := range 4 * leastSweep {
		if m.one([40]int{i})[0] != i {
			t.Fatal("another value")
		}
		if i%leastSweep == 0 {
			runtime.GC()
		}
	}
	if n := len(m.all); n > 2*leastSweep {
		t.Errorf("%d are remembered, of which one is held", n)
	}
	if again := m.one([40]int{-1}); again != kept {
		t.Error("two pointers for one value")
	}
	runtime.KeepAlive(kept)
}
