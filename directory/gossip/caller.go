// SPDX-License-Identifier: BSD-3-Clause

package gossip

import (
	"time"

	"chive/directory/record"
)

// Bounds of relays that call. Spec: protocol §7 (GOS-12).
const (
	maxCallers   = 4096 // relays of the list whose calls are remembered; one more, and all are forgotten
	callsAtOnce  = 10   // streams of one relay
	callsPeriod  = time.Minute
	answersOfOne = 2 // days: this one and the one before
)

// caller is a relay of the list that has called.
type caller struct {
	calls   bucket
	answers [answersOfOne]answer // under the present list
}

// answer is whether a beacon has assigned us to a caller, which costs a hash for each
// relay of the list to find out.
type answer struct {
	known, may bool
	beacon     [32]byte
}

// caller returns what is remembered of a relay of the list.
func (m *Machine) caller(rid record.RID) *caller {
	c := m.callers[rid]
	if c == nil {
		if len(m.callers) >= maxCallers {
			clear(m.callers)
		}
		c = &caller{calls: newBucket(callsAtOnce, m.now)}
		m.callers[rid] = c
	}
	return c
}

// tooOften takes note of a call, and reports whether a relay of the list calls more
// often than anybody needs to: each stream that comes up costs us much.
func (m *Machine) tooOften(rid record.RID) bool {
	if _, known := find(m.view.Relays, rid); !known {
		return false // a stranger, whose streams cost little and are few
	}
	c := m.caller(rid)
	period := min(callsPeriod, max(m.cfg.Params.RepairPeriod, time.Millisecond))
	c.calls.refill(m.now, callsAtOnce*int64(time.Hour/period))
	return c.calls.take(1) == 0
}

// newAnswers forgets what an older list has answered.
func (m *Machine) newAnswers() {
	for _, c := range m.callers {
		c.answers = [answersOfOne]answer{}
	}
}

// mayCall reports whether a relay of the list has us among its out-neighbours of a day.
func (m *Machine) mayCall(beacon [32]byte, rid record.RID) bool {
	c := m.caller(rid)
	for i := range c.answers {
		if a := &c.answers[i]; a.known && a.beacon == beacon {
			return a.may
		}
	}
	c.answers[1] = c.answers[0]
	c.answers[0] = answer{true, m.isAssigned(beacon, rid), beacon}
	return c.answers[0].may
}
