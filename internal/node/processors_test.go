// SPDX-License-Identifier: BSD-3-Clause

package node

import "testing"

func TestProcessorsFollowTheLoad(t *testing.T) {
	p := processors{most: 6, now: 1}
	see := func(used float64, looks, want int) {
		t.Helper()
		for range looks {
			p.next(used)
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
