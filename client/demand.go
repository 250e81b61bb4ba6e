// SPDX-License-Identifier: BSD-3-Clause

package client

import "time"

// demand tells how many unused circuits to keep: one, and as many more as were
// needed within a short time of late. Under Client.mu.
type demand struct {
	asked time.Time           // last request
	fresh [maxSpare]time.Time // when unused circuits were needed last, a ring
	next  int                 // the oldest of them
}

const (
	maxSpare    = 8               // unused circuits kept for one kind of need
	burst       = 2 * time.Second // those needed within it count together
	burstMemory = time.Minute     // and for so long afterwards
)

// need notes that a request needed a circuit nobody had used.
func (d *demand) need(now time.Time) {
	d.fresh[d.next] = now
	d.next = (d.next + 1) % len(d.fresh)
}

// target returns how many unused circuits to keep.
func (d *demand) target(now time.Time) int {
	most := 0
	for i, last := range d.fresh {
		if last.IsZero() || now.Sub(last) >= burstMemory {
			continue
		}
		n := 0
		for j := range d.fresh { // backwards from i, until the gap is too long
			t := d.fresh[(i-j+len(d.fresh))%len(d.fresh)]
			if t.IsZero() || t.After(last) || last.Sub(t) >= burst {
				break
			}
			n++
		}
		most = max(most, n)
	}
	return min(1+most, maxSpare)
}
