// SPDX-License-Identifier: BSD-3-Clause

package sybil

import "chive/directory/record"

// stampsPerTry is how many stamps count as one try of the work: about as long.
const stampsPerTry = 1 << 13

// Solver looks for the work of a challenge, a few tries at a time, so that its
// caller can stop, pause or report between them.
type Solver struct {
	challenge Challenge
	nonce     uint64
	stamp     uint64
	worked    bool // nonce is found, the stamp is next
	tries     uint64
}

// NewSolver begins at a nonce. Two solvers of one challenge with other nonces do
// not repeat each other's tries unless they meet.
func NewSolver(c Challenge, nonce uint64) *Solver {
	return &Solver{challenge: c, nonce: nonce}
}

// Step makes at most budget tries, each some milliseconds of a core and 8 MiB, and
// returns the work once it is found. Afterwards it returns the same again.
func (s *Solver) Step(budget int) (*record.Work, bool) {
	for range budget {
		s.tries++
		if !s.worked {
			if s.challenge.workBits > 0 && s.challenge.bits(s.nonce) < s.challenge.workBits {
				s.nonce++
				continue
			}
			s.worked = true
		}
		for range stampsPerTry {
			if s.challenge.stampBits == 0 || s.challenge.stamped(s.nonce, s.stamp) {
				return &record.Work{Epoch: s.challenge.epoch, Nonce: s.nonce, Stamp: s.stamp}, true
			}
			s.stamp++
		}
	}
	return nil, false
}

// Tries returns how many tries were made. On average work_bits of 12 takes 4,096.
func (s *Solver) Tries() uint64 { return s.tries }
