// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"testing"
	"time"
)

// looks feeds a memory with one look after the other.
type looks struct {
	t *testing.T
	m memory
	u memoryUse
}

// see looks n times, each time after so many bytes and so much processor time, and
// wants so many collections.
func (l *looks) see(n int, bytes uint64, spent time.Duration, want int) {
	l.t.Helper()
	got := 0
	for range n {
		l.u.allocated += bytes
		l.u.spent += spent
		if l.m.next(l.u) {
			got++
		}
	}
	if got != want {
		l.t.Fatalf("%d collections, want %d", got, want)
	}
}

func TestGarbageIsCollectedWhenTheProcessBecomesQuiet(t *testing.T) {
	l := looks{t: t, m: memory{percent: mostPercent}}
	l.see(100, 0, 0, 0)                    // never had work
	l.see(3, quietBytes, 0, 0)             // work, but not worth it
	l.see(100, 1, 0, 0)                    //
	l.see(100, quietBytes, 0, 0)           // never while it allocates
	l.see(100, 0, quietTime, 0)            // nor while it computes
	l.see(1, quietBytes-1, quietTime-1, 1) // quiet
	l.see(freeEvery-1, 0, 0, 0)            // not again at once
	l.see(1, 0, 0, 1)                      // once more for the pools
	l.see(1000, 0, 0, 0)                   // then no more
	l.see(1, freeWorth, 0, 0)              // work
	l.see(1, 0, 0, 1)                      //
	l.see(1, freeWorth, 0, 0)              // work within the ten seconds
	l.see(freeEvery-2, 0, 0, 0)            // has to wait
	l.see(2*freeEvery, 0, 0, freeTimes)    //
	l.see(4, quietBytes-1, quietTime-1, 0) // little by little
	l.see(1, quietBytes-1, quietTime-1, 1) // it is worth it too
}

func TestGarbageHasABoundThatDoesNotGrowWithTheHeap(t *testing.T) {
	for _, c := range []struct {
		kept uint64
		want int
	}{
		{0, mostPercent},
		{1 << 20, mostPercent},
		{garbage / 4, mostPercent},
		{garbage / 2, 200},
		{garbage, 100},
		{2 * garbage, minPercent},
		{100 * garbage, minPercent},
	} {
		m := memory{percent: 1}
		m.next(memoryUse{kept: c.kept})
		if m.percent != c.want {
			t.Errorf("%d bytes kept: %d %%, want %d", c.kept, m.percent, c.want)
		}
	}
	m := memory{percent: 100}
	m.next(memoryUse{kept: garbage * 100 / 105})
	if m.percent != 100 {
		t.Errorf("the bound follows every small change")
	}
}

func TestTheRuntimeTellsWhatMemoryDecidesBy(t *testing.T) {
	if u := newMemoryLook().use(); u.allocated == 0 || u.kept == 0 {
		t.Errorf("nothing is known: %+v", u)
	}
}
