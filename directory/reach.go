// SPDX-License-Identifier: BSD-3-Clause

package directory

import (
	"maps"
	"net/netip"
	"time"

	"chive/directory/record"
)

// maxProbes bounds the probes under way; those that are due beyond it wait.
const maxProbes = 64

// lastPart of the epoch before the cut-off is left for the last probes to end.
const lastPart = 5

// reach is what is known of who can be reached. A relay that was in contact since the
// window of an epoch opened (the cut-off before) is not probed. Those with a gossip
// stream are looked at last, since they are heard of all the time.
type reach struct {
	last   map[record.RID]time.Time // contact
	failed map[record.RID]time.Time // probe
	active map[record.RID]attempt   // probe under way
	links  map[uint64]record.RID    // gossip streams

	epoch  uint64    // that the plan is for
	opened time.Time // its window
	plan   []record.RID
	spread int // how many of the plan have a time of their own
	next   int
	turns  turns  // of candidates
	ids    uint64 // of probes so far
}

// attempt is a probe under way.
type attempt struct {
	id    uint64
	since time.Time
}

// number returns the number of a new probe.
func (r *reach) number() uint64 {
	r.ids++
	return r.ids
}

func newReach() reach {
	return reach{
		last: map[record.RID]time.Time{}, failed: map[record.RID]time.Time{},
		active: map[record.RID]attempt{}, links: map[uint64]record.RID{},
	}
}

// prune forgets relays that are neither in the table nor candidates.
func (r *reach) prune(keep func(rid record.RID) bool) {
	for _, known := range []map[record.RID]time.Time{r.last, r.failed} {
		maps.DeleteFunc(known, func(rid record.RID, _ time.Time) bool {
			return !keep(rid)
		})
	}
}

// probes reports whether it matters if a relay can be reached.
func (m *Machine) probes(rid record.RID) bool {
	_, listed := m.table().Index(rid)
	_, _, waits := m.pending.Get(rid)
	return listed || waits
}

// contact notes that a relay of the table has proven to be there. Candidates have to
// be reached where they say they are.
func (m *Machine) contact(rid record.RID) {
	if _, listed := m.table().Index(rid); listed {
		m.reach.last[rid] = m.now
	}
}

func (m *Machine) probed(ev ProbeDone) {
	m.enteringProbed(ev)
	for rid, a := range m.reach.active {
		if a.id != ev.ID {
			continue
		}
		delete(m.reach.active, rid)
		switch {
		case !m.probes(rid):
		case ev.OK:
			m.reach.last[rid] = m.now
			m.turnTaken(rid)
		default:
			m.reach.failed[rid] = m.now
		}
		return
	}
}

// cutOff is when the view for an epoch is frozen.
func (m *Machine) cutOff(epoch uint64) time.Time { return m.doc.EpochStart(epoch).Add(-m.p.CutOff) }

// windowEpoch is the epoch whose window is open.
func (m *Machine) windowEpoch() uint64 { return m.doc.EpochAt(m.now.Add(m.p.CutOff)) + 1 }

// planProbes begins the window of an epoch. Who has no seat in it probes nobody.
func (m *Machine) planProbes(epoch uint64) {
	r := &m.reach
	r.epoch, r.opened, r.plan, r.next, r.spread = epoch, m.cutOff(epoch-1), nil, 0, 0
	r.turns = turns{}
	if !m.sits(epoch) {
		return
	}
	linked := map[record.RID]bool{}
	for _, rid := range r.links {
		linked[rid] = true
	}
	// Each begins elsewhere, so that nobody is probed by all at once. Whoever has a say is
	// in the table, so that it is not empty.
	n := m.table().Len()
	start := int(m.cfg.Rand.Uint64() % uint64(max(n, 1)))
	var late []record.RID
	for i := range n {
		switch rid := m.table().At((start + i) % n).RID; {
		case rid == m.cfg.RID:
		case linked[rid]:
			late = append(late, rid)
		default:
			r.plan = append(r.plan, rid)
		}
	}
	m.planTurns(epoch)
	r.spread = len(r.plan)
	r.plan = append(r.plan, late...)
}

// sits reports whether this relay has a seat in an epoch that counts, as the newest state
// tells: one of a relay that has left, or is under a penalty, does not.
func (m *Machine) sits(epoch uint64) bool {
	l := m.at.state.Owner(m.p, epoch)
	if l == nil || m.cfg.VRF == nil {
		return false
	}
	for i := range l.Seats {
		if l.Seats[i].RID == m.cfg.RID {
			return !m.at.state.Ignored(&l.Seats[i])
		}
	}
	return false
}

// span is how long probes begin after a window has opened.
func (m *Machine) span() time.Duration { return m.p.EpochLen - m.p.EpochLen/lastPart }

// slot is when a place of the plan is looked at.
func (m *Machine) slot(i int) time.Time {
	span := m.span()
	if i >= m.reach.spread {
		return m.reach.opened.Add(span)
	}
	return m.reach.opened.Add(span * time.Duration(i+1) / time.Duration(m.reach.spread+1))
}

// probe probes whose turn it is. Spec: directory §6 (one epoch, 1).
func (m *Machine) probe() {
	r := &m.reach
	if epoch := m.windowEpoch(); epoch != r.epoch {
		m.planProbes(epoch)
	}
	maps.DeleteFunc(r.active, func(_ record.RID, a attempt) bool { return m.now.Sub(a.since) >= m.p.EpochLen })
	for r.next < len(r.plan) && !m.now.Before(m.slot(r.next)) && len(r.active) < maxProbes {
		rid := r.plan[r.next]
		r.next++
		_, busy := r.active[rid]
		addresses := m.addresses(rid)
		if busy || len(addresses) == 0 || !r.last[rid].Before(r.opened) {
			continue
		}
		m.dial(rid, addresses)
	}
	if r.turns.has && r.turns.of != m.at.state.Digest() {
		m.planTurns(r.epoch)
	}
	for r.turns.any() && !m.now.Before(m.turnAt()) && len(r.active) < maxProbes {
		if rid, ok := m.nextTurn(); ok {
			m.dial(rid, m.addresses(rid))
		}
	}
}

func (m *Machine) dial(rid record.RID, addresses []netip.AddrPort) {
	r := &m.reach
	r.active[rid] = attempt{r.number(), m.now}
	m.emit(Probe{ID: r.ids, RID: rid, Addresses: addresses})
}

// probeAt is when the next probe or window is due.
func (m *Machine) probeAt() time.Time {
	next := m.cutOff(m.reach.epoch)
	if m.reach.next < len(m.reach.plan) && len(m.reach.active) < maxProbes {
		if t := m.slot(m.reach.next); t.Before(next) {
			next = t
		}
	}
	if m.reach.turns.any() && len(m.reach.active) < maxProbes {
		if t := m.turnAt(); t.Before(next) {
			next = t
		}
	}
	return next
}

// reached says of each other relay of the table whether it was reached since a time;
// those that were neither in contact nor probed are left out.
func (m *Machine) reached(since time.Time) map[record.RID]bool {
	out := map[record.RID]bool{m.cfg.RID: true}
	for i := range m.table().Len() {
		rid := m.table().At(i).RID
		switch {
		case rid == m.cfg.RID:
		case !m.reach.last[rid].Before(since):
			out[rid] = true
		case !m.reach.failed[rid].Before(since):
			out[rid] = false
		}
	}
	return out
}
