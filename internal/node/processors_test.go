// SPDX-License-Identifier: BSD-3-Clause

package node

import "testing"

func TestProcessorsFollowTheLoad(t *testing.T) {
	p := processors{most: 6, now: 1}
	see := func(used float64, looks, want int) {
		t.Helper()
		for range looks {
			p.next(used, 0)
		}
		if p.now != want {
			t.Fatalf("%d processors after %d looks at a load of %.2f, want %d", p.now, looks, used, want)
		}
	}
	see(0, 1000, 1)
	see(0.74, 1000, 1)
	see(0.75, 1, 2)
	see(1.6, 1, 4)
	see(3.9, 1, 6)
	see(6, 1000, 6) // never above what there is
	see(2.2, 1000, 6)
	see(2, processorsStay-1, 6)
	see(2.2, 1, 6) // one look with a use for all of them begins again
	see(2, processorsStay-1, 6)
	see(2, 1, 3)
	see(0, processorsStay, 2)
	see(0, processorsStay, 1)
	see(0, 1000, 1)
}

// A busy machine gives a process less than it wants. More processors do not make the
// machine faster, but they are this process's share of it.
func TestProcessorsFollowWhatOthersTake(t *testing.T) {
	p := processors{most: 4, now: 1}
	for range 1000 {
		p.next(0.2, 0.74)
	}
	if p.now != 1 {
		t.Fatalf("%d processors for a load that leaves some of one", p.now)
	}
	for range processorsWait - 1 {
		p.next(0.2, 0.8)
	}
	if p.now != 1 {
		t.Fatalf("%d processors too early", p.now)
	}
	if p.next(0.2, 0.8); p.now != 2 {
		t.Fatalf("%d processors after %d looks that left nothing of one", p.now, processorsWait)
	}
	for range 1000 {
		p.next(0.3, 0.5)
	}
	if p.now != 2 {
		t.Fatalf("%d processors: waiting is not idling", p.now)
	}
	for range processorsStay {
		p.next(0.3, 0.3)
	}
	if p.now != 1 {
		t.Fatalf("%d processors while idle", p.now)
	}
}
