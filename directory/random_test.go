// SPDX-License-Identifier: BSD-3-Clause

package directory

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// Relays stop and start, fall silent, change keys, and join; the network parts and
// heals; all at random. Afterwards every founder is at the newest snapshot, with the
// same bytes. The simulation itself looks for I1, I3 and I4 all the time.
func TestAnythingGoesAndAllMeetAgain(t *testing.T) {
	for seed, founders := range []int{4, 7, 10} {
		t.Run(fmt.Sprint(founders), func(t *testing.T) {
			s := newSim(t, founders, 100+uint64(seed))
			r := rand.New(rand.NewPCG(uint64(seed), 3))
			s.startAll()
			for at := 20; at < 120; at += 3 + r.IntN(15) {
				s.until(time.Duration(at) * time.Second)
				disturb(s, founders, r)
			}
			for _, n := range s.nodes {
				n.silent = false
				if !n.up {
					n.start()
				}
			}
			s.heal()
			s.until(185 * time.Second)
			for _, n := range s.nodes[:founders] {
				if n.epoch() < 17 || !sameBytes(n.m.Head(), s.nodes[0].m.Head()) {
					t.Errorf("node %d is at %d, first one at %d", n.n, n.epoch(), s.nodes[0].epoch())
				}
			}
		})
	}
}

func disturb(s *sim, founders int, r *rand.Rand) {
	n := s.nodes[r.IntN(len(s.nodes))]
	switch r.IntN(5) {
	case 0:
		if n.up {
			n.stop()
			s.after(time.Duration(r.IntN(40000))*time.Millisecond, func() {
				if !n.up {
					n.start()
				}
			})
		}
	case 1:
		var group []int
		for i := range founders {
			if r.IntN(2) == 0 {
				group = append(group, i)
			}
		}
		s.partition(group...)
		s.after(time.Duration(r.IntN(30000))*time.Millisecond, s.heal)
	case 2:
		if n.onion++; n.up {
			n.step(Renew{})
		}
	case 3:
		n.silent = !n.silent
	case 4:
		if len(s.nodes) < founders+2 {
			s.add().joins()
		}
	}
}

// A machine that asked to be woken for nothing would spin.
func TestNothingToDoMeansFewWakes(t *testing.T) {
	s := newSim(t, 1, 1)
	s.startAll()
	s.until(105 * time.Second)
	before := s.nodes[0].ticks
	s.until(205 * time.Second)
	if n := s.nodes[0].ticks - before; n > 10*20 {
		t.Errorf("%d wakes in 10 epochs", n)
	}
}
