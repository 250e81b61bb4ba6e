// SPDX-License-Identifier: BSD-3-Clause

package directory

import (
	"testing"
	"time"
)

// A network was in two for hours, and votes of the larger half name a descriptor that
// the smaller one has long replaced, because the table never took the newer one: the
// smaller half still has it, and the first epoch of the whole network is final.
func TestAReplacedDescriptorIsKeptUntilTheTableHasTheNewer(t *testing.T) {
	final := 0
	for seed := uint64(40); seed < 46; seed++ {
		s := newSim(t, 7, seed)
		s.startAll()
		s.until(8 * time.Second)
		s.partition(0, 1, 2)
		s.until(15 * time.Second)
		s.nodes[1].onion = 4
		s.nodes[1].step(Renew{})
		s.until(66500 * time.Millisecond) // the view of epoch 7 is frozen at 68 s
		if len(s.finals) > 1 {            // that of snapshot 0
			t.Fatal("a half has a quorum")
		}
		s.heal()
		s.until(79 * time.Second)
		if len(s.finals[7]) > 0 {
			final++
		}
		for _, n := range s.nodes {
			if d := n.m.descs.newest(s.nodes[1].rid); d.replace != nil && n.epoch() > 0 && n.m.settled(d) {
				t.Error("a descriptor that the table has keeps the one before")
			}
		}
	}
	t.Logf("%d of 6", final)
	if final < 5 {
		t.Errorf("only %d of 6 networks had a final in their first whole epoch", final)
	}
}
