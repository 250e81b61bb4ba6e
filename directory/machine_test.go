// SPDX-License-Identifier: BSD-3-Clause

package directory

import (
	"fmt"
	"testing"
	"time"
)

func TestEveryEpochIsFinalOnEveryNodeWithTheSameBytes(t *testing.T) {
	for _, founders := range []int{1, 4, 7, 10} {
		t.Run(fmt.Sprint(founders), func(t *testing.T) {
			s := newSim(t, founders, 1)
			s.startAll()
			s.until(125 * time.Second)
			if out := s.skipped(1, 12); len(out) > 0 {
				t.Errorf("skipped %v", out)
			}
			for _, n := range s.nodes {
				if n.epoch() != 12 {
					t.Errorf("node %d is at %d", n.n, n.epoch())
				}
				if len(n.heads) != 13 {
					t.Errorf("node %d had %d views", n.n, len(n.heads))
				}
				if !sameBytes(n.m.Head(), s.nodes[0].m.Head()) {
					t.Error("different bytes (I4)")
				}
				if len(n.reports) > 0 {
					t.Errorf("reports: %v", n.reports)
				}
			}
		})
	}
}
