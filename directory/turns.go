// SPDX-License-Identifier: BSD-3-Clause

package directory

import (
	"slices"
	"time"

	"chive/directory/record"
	"chive/directory/sybil"
	"chive/directory/transition"
)

// maxTries bounds the candidates of each lane that a member probes for an epoch.
const maxTries = 32

// laneOrder is the order of lanes when there is less time than candidates: those of which
// fewest can be made up come first.
var laneOrder = [...]sybil.Lane{sybil.LaneReturning, sybil.LaneVouched, sybil.LaneOpen}

// turns are the candidates whose turn it may be in the window of an epoch. Each lane is
// gone through in the order of its lottery until as many as it has slots were reached,
// so that nobody who cannot be reached, or whom a rule keeps out, has a turn.
type turns struct {
	has   bool     // a seat, so that it matters
	of    [32]byte // the state that they follow from
	lanes [3][]record.RID
	next  [3]int           // place in the lane
	tries [3]int           // probes in this window
	room  *transition.Room // nil: nobody waits
}

// left reports whether a lane may have one more to be probed.
func (t *turns) left(lane sybil.Lane) bool {
	return t.room != nil && t.next[lane] < len(t.lanes[lane]) && t.tries[lane] < maxTries && t.room.Left(lane) > 0
}

func (t *turns) any() bool {
	return slices.ContainsFunc(laneOrder[:], t.left)
}

// drawn returns the candidates whose turn it may be in an epoch, by lane. In each those
// that were probed in vain in the last day come after the others, the longest ago first:
// who is never there takes the time of a probe now and then, and nobody's turn.
// Spec: protocol §7 (ADM-3).
func (m *Machine) drawn(epoch uint64) [3][]record.RID {
	lanes := m.at.state.Drawn(m.p, epoch, m.at.beacon(sybil.LotteryEpoch(m.p, epoch)), m.pending)
	for _, lane := range lanes {
		slices.SortStableFunc(lane, func(a, b record.RID) int { return m.inVain(a).Compare(m.inVain(b)) })
	}
	return lanes
}

// inVain returns when the last probe of a relay was in vain, if that is not a day ago;
// else zero.
func (m *Machine) inVain(rid record.RID) time.Time {
	at := m.reach.failed[rid]
	if !at.After(m.reach.last[rid]) || m.now.Sub(at) >= m.day() {
		return time.Time{}
	}
	return at
}

// planTurns goes by the newest state: the lottery of an epoch may have come after its
// window has opened. How many were probed stays.
func (m *Machine) planTurns(epoch uint64) {
	t := &m.reach.turns
	t.has, t.of, t.next, t.lanes, t.room = true, m.at.state.Digest(), [3]int{}, m.drawn(epoch), nil
	if len(t.lanes[0])+len(t.lanes[1])+len(t.lanes[2]) == 0 {
		return
	}
	t.room = m.at.state.Room(m.doc, epoch)
	for _, lane := range laneOrder {
		for _, rid := range t.lanes[lane] {
			if m.reach.last[rid].Before(m.reach.opened) {
				continue
			}
			if c, ok := m.wanted(rid); ok {
				t.room.Take(c)
			}
		}
	}
}

// wanted returns a candidate as it is voted on.
func (m *Machine) wanted(rid record.RID) (transition.Candidate, bool) {
	c, d, _ := m.candidate(rid)
	if d == nil {
		return transition.Candidate{}, false
	}
	lane := transition.LaneOpen
	if c.Vouched {
		lane = transition.LaneVouched
	}
	return transition.Candidate{RID: rid, Seen: transition.Seen{Body: c.Body, Descriptor: d}, Lane: lane, Sponsor: c.Sponsor}, true
}

// turnAt is when the next candidate is probed: they are spread over the window.
func (m *Machine) turnAt() time.Time {
	tries := 0
	for _, n := range m.reach.turns.tries {
		tries += n
	}
	most := maxTries * len(laneOrder)
	return m.reach.opened.Add(m.span() * time.Duration(tries+1) / time.Duration(most+1))
}

// nextTurn returns the candidate that is to be probed now.
func (m *Machine) nextTurn() (record.RID, bool) {
	t := &m.reach.turns
	for _, lane := range laneOrder {
		for t.left(lane) {
			rid := t.lanes[lane][t.next[lane]]
			t.next[lane]++
			_, busy := m.reach.active[rid]
			if busy || !m.reach.last[rid].Before(m.reach.opened) || !m.reach.failed[rid].Before(m.reach.opened) {
				continue
			}
			if c, ok := m.wanted(rid); ok && t.room.Fits(c) {
				t.tries[lane]++
				return rid, true
			}
		}
	}
	return record.RID{}, false
}

// turnTaken counts a candidate that was reached.
func (m *Machine) turnTaken(rid record.RID) {
	if t := &m.reach.turns; t.room != nil {
		if c, ok := m.wanted(rid); ok {
			t.room.Take(c)
		}
	}
}

// wantAdmission returns the candidates that were reached since the window of an epoch
// opened, in the order of their turns.
func (m *Machine) wantAdmission(epoch uint64) []transition.Candidate {
	var out []transition.Candidate
	lanes := m.drawn(epoch)
	for _, lane := range laneOrder {
		for _, rid := range lanes[lane] {
			if m.reach.last[rid].Before(m.cutOff(epoch - 1)) {
				continue
			}
			if c, ok := m.wanted(rid); ok {
				out = append(out, c)
			}
		}
	}
	return out
}
