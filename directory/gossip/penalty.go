// SPDX-License-Identifier: BSD-3-Clause

package gossip

import (
	"cmp"
	"time"

	"chive/directory/record"
)

// Penalties. They are local and never told. Spec: directory §4 (penalties).
const (
	penaltyBroken      = 100 // bad signature, frame or size
	penaltyUndelivered = 5   // announced, asked for, not delivered in time: once for all that fell due together
	penaltyUnasked     = 10
	penaltyRepair      = 10
	penaltyState       = 10 // a state that we cannot verify
	penaltyRefused     = 10 // a JOIN that does not hold
	penaltyInVain      = 1  // one that the owner could do nothing with
	penaltyExcess      = 1  // beyond the bucket
	penaltyNone        = 1  // announced, then denied
	penaltyLimit       = 100
)

// penaltyTime is how long it takes to halve a score, and how long an identity waits
// that reached the limit: an epoch, so an hour in public networks.
func (m *Machine) penaltyTime() time.Duration { return m.cfg.Params.EpochLen }

// maxStandings bounds the identities that are remembered: the one with the lowest
// score, among equals the longest untouched, is forgotten.
const maxStandings = 1024

// standing is what is remembered of an identity beyond its link.
type standing struct {
	score   int
	halved  time.Time // score was halved last
	touched time.Time
	waits   time.Time // no link before
	repair  repairRecord
}

// decay halves the score for each half-life that has passed.
func (s *standing) decay(now time.Time, halfLife time.Duration) {
	for s.score > 0 && now.Sub(s.halved) >= halfLife {
		s.score /= 2
		s.halved = s.halved.Add(halfLife)
	}
	if s.score == 0 {
		s.halved = now
	}
}

// standing returns what is remembered of an identity, making room if need be.
func (m *Machine) standing(now time.Time, rid record.RID) *standing {
	s := m.standings[rid]
	if s == nil {
		if len(m.standings) >= maxStandings {
			m.forgetOne(now)
		}
		s = &standing{halved: now}
		m.standings[rid] = s
	}
	s.decay(now, m.penaltyTime())
	s.touched = now
	return s
}

func (m *Machine) forgetOne(now time.Time) {
	var worst record.RID
	var least *standing
	for rid, s := range m.standings {
		s.decay(now, m.penaltyTime())
		if m.peerOf(rid) != nil {
			continue
		}
		if least == nil || cmp.Or(cmp.Compare(s.score, least.score), s.touched.Compare(least.touched), rid.Compare(worst)) < 0 {
			worst, least = rid, s
		}
	}
	delete(m.standings, worst)
}

// penalise adds to a peer's score and closes it at the limit. It reports whether the
// peer is still there.
func (m *Machine) penalise(p *peer, points int) bool {
	s := m.standing(m.now, p.rid)
	s.score += points
	m.stats.Penalties += uint64(points)
	p.doubt = s.score / penaltyUndelivered
	if s.score < penaltyLimit {
		return true
	}
	s.waits = m.now.Add(m.penaltyTime())
	why := ReasonPenalty
	if points >= penaltyBroken {
		why = ReasonBroken
	}
	m.close(p, why)
	return false
}

// waiting reports whether an identity is to wait before its next link.
func (m *Machine) waiting(rid record.RID) bool {
	s := m.standings[rid]
	return s != nil && m.now.Before(s.waits)
}
