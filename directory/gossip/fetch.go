// SPDX-License-Identifier: BSD-3-Clause

package gossip

import (
	"cmp"
	"slices"
	"time"
)

// unprovenPart: a peer that has delivered nothing yet is given half of the timeout
// before another is asked; it is blamed after the whole.
const unprovenPart = 2

// get is a record that was asked for.
type get struct {
	named
	next time.Time // when another is asked too; zero: has been
	due  time.Time
}

// offered takes an INV. Short ids differ from link to link, so that two peers'
// offers of one record cannot be told to be one before it is here: see request.
func (m *Machine) offered(p *peer, f *IDs) {
	m.refill(p)
	ids := f.IDs[:p.items.take(len(f.IDs))]
	if len(ids) < len(f.IDs) {
		m.stats.Dropped += uint64(len(f.IDs) - len(ids))
		if !m.penalise(p, penaltyExcess) {
			return
		}
	}
	wanted := make(map[ShortID]int, len(ids))
	for i, id := range ids {
		wanted[id] = i
	}
	// What we were about to tell it, it knows.
	s := speed(f.Class)
	p.queue[s] = slices.DeleteFunc(p.queue[s], func(q queued) bool {
		_, known := wanted[q.id]
		if known = known && q.class == f.Class; known {
			delete(wanted, q.id)
		}
		return known
	})
	if len(p.queue[s]) == 0 {
		p.flushAt[s] = time.Time{}
	}
	for _, g := range p.gets {
		if g.class == f.Class {
			delete(wanted, g.id)
		}
	}
	for _, id := range ids {
		if p.offers.has(named{f.Class, id}) {
			delete(wanted, id)
		}
	}
	m.resolve(p, f.Class, wanted, nil)
	for i, id := range ids {
		if place, unknown := wanted[id]; !unknown || place != i {
			continue
		}
		if !m.roomFor(p) {
			m.stats.Dropped++
			continue
		}
		m.clock++
		p.offers.add(named{f.Class, id}, m.clock)
	}
	m.request(f.Class)
}

func (m *Machine) refill(p *peer) { p.items.refill(m.now, m.itemsHourly()) }

// itemsHourly is what a peer may announce in an hour.
func (m *Machine) itemsHourly() int64 {
	return RateFactor * itemsHourly(m.cfg.Params, len(m.view.Relays), m.view.Seats)
}

// waits is a peer with offers of a class that are not asked for yet.
type waits struct {
	p     *peer
	order uint64 // of its oldest
}

// request asks for records of a class. At most one peer is asked at a time, since
// what another offers may be the same: with that one the next is asked only when
// everything has come or is overdue. A peer that has failed to deliver stands behind
// those that have failed less, and does not make them wait: what it owes is asked of
// them too. Spec: directory §4 (GET), protocol §7 (GOS-6).
func (m *Machine) request(class byte) {
	var all []waits
	for _, p := range m.peers {
		if order, ok := p.offers.oldest(class); ok {
			all = append(all, waits{p, order})
		}
	}
	slices.SortFunc(all, func(a, b waits) int {
		return cmp.Or(cmp.Compare(a.p.doubt, b.p.doubt), cmp.Compare(a.order, b.order))
	})
	for _, w := range all {
		if m.owed(class, w.p) {
			return // and so do those behind it
		}
		m.ask(w.p, class)
	}
}

// owed reports whether another peer, of no more doubt than this one, has been asked
// for records of a class and is given time to deliver: the whole timeout if it has
// delivered before, half of it if not.
func (m *Machine) owed(class byte, except *peer) bool {
	for _, p := range m.peers {
		if p == except || p.doubt > except.doubt {
			continue
		}
		for i := range p.gets {
			if p.gets[i].class == class && m.now.Before(p.gets[i].next) {
				return true
			}
		}
	}
	return false
}

// ask asks a peer for what it has offered of a class, as much as may be outstanding,
// and not for one or two while most of that is still to come.
func (m *Machine) ask(p *peer, class byte) {
	if len(p.gets) > MaxGetCount/2 {
		return
	}
	ids := p.offers.take(class, MaxGetCount-len(p.gets))
	for _, id := range ids {
		p.gets = append(p.gets, m.getOf(p, named{class, id}))
	}
	m.sendIDs(p, typeGet, class, ids)
}

// getOf is a record that is asked for now.
func (m *Machine) getOf(p *peer, n named) get {
	timeout := m.getTimeout(n.class)
	g := get{named: n, next: m.now.Add(timeout / unprovenPart), due: m.now.Add(timeout)}
	if p.proven {
		g.next = g.due
	}
	return g
}

// impatient asks others for what a peer has kept us waiting for.
func (m *Machine) impatient(p *peer) {
	var touched [classCount]bool
	for i := range p.gets {
		if g := &p.gets[i]; !g.next.IsZero() && !m.now.Before(g.next) {
			g.next = time.Time{}
			touched[at(g.class)] = true
		}
	}
	m.requestAll(touched)
}

func (m *Machine) requestAll(of [classCount]bool) {
	for i, is := range of {
		if is {
			m.request(classes[i])
		}
	}
}

func (m *Machine) getTimeout(class byte) time.Duration {
	if urgent(class) {
		return m.cfg.Params.GetTimeoutUrgent
	}
	return m.cfg.Params.GetTimeout
}

// item takes an ITEM or a PUSH.
func (m *Machine) item(p *peer, f *Item) {
	if f.Pushed {
		m.refill(p)
		if p.items.take(1) == 0 {
			m.stats.Dropped++
			m.penalise(p, penaltyExcess)
			return
		}
	} else if len(p.gets) == 0 && len(p.late) == 0 && !m.owes(p) {
		m.stats.Unasked++
		m.penalise(p, penaltyUnasked)
		return
	}
	d, verdict := m.cfg.Records.Accept(m.now, p.rid, f.Class, f.Data)
	if verdict == VerdictInvalid {
		m.stats.Invalid++
		m.penalise(p, penaltyBroken)
		return
	}
	if !f.Pushed && !m.delivered(p, named{f.Class, p.id(&d)}) {
		// Something else than was asked for. If it holds it is passed on all the same.
		m.stats.Unasked++
		m.penalise(p, penaltyUnasked)
	}
	by := p
	if f.Pushed {
		by = nil
	}
	m.satisfied(by, f.Class, d)
	switch verdict {
	case VerdictNew:
		m.stats.ItemsNew++
		m.learnt(p, f.Class, d)
	case VerdictKnown:
		m.stats.ItemsKnown++
		m.settled(f.Class, d)
		m.recent[at(f.Class)].add(d)
	default:
		m.stats.ItemsLater++
		m.settled(f.Class, d)
	}
	m.request(f.Class)
}

// settled takes back all offers of a record that is not to be announced.
func (m *Machine) settled(class byte, d Digest) {
	for _, p := range m.peers {
		p.settle(class, p.id(&d))
	}
}

// delivered strikes a record off what a peer owes, in time or late, and gives it the
// whole time again for the rest. It reports whether the peer was asked.
func (m *Machine) delivered(p *peer, n named) bool {
	if m.wantedOf(p, n) != nil {
		p.proven = true
		return true
	}
	if i := slices.IndexFunc(p.gets, func(g get) bool { return g.named == n }); i >= 0 {
		p.gets = slices.Delete(p.gets, i, i+1)
		p.proven = true
		for i := range p.gets {
			p.gets[i] = m.getOf(p, p.gets[i].named)
		}
		return true
	}
	if i := slices.Index(p.late, n); i >= 0 {
		p.late = slices.Delete(p.late, i, i+1)
		return true
	}
	return false
}

// denied takes a NONE: the next offerer is asked.
func (m *Machine) denied(p *peer, f *IDs) {
	before := len(p.gets)
	ids := m.deniedWants(p, f)
	if len(ids) == 0 {
		return
	}
	ids = slices.DeleteFunc(ids, func(id ShortID) bool { // what it was late with, it has been charged for; or another was faster
		i := slices.Index(p.late, named{f.Class, id})
		if i >= 0 {
			p.late = slices.Delete(p.late, i, i+1)
		}
		return i >= 0
	})
	if len(ids) == 0 {
		return
	}
	p.gets = slices.DeleteFunc(p.gets, func(g get) bool { return g.class == f.Class && slices.Contains(ids, g.id) })
	if len(p.gets) < before {
		m.stats.Undelivered += uint64(before - len(p.gets))
	}
	if m.penalise(p, penaltyNone) {
		m.request(f.Class)
	}
}

// overdue gives up what a peer has not delivered in time. However much fell due
// together is one failure: a link that stalls is not a liar.
func (m *Machine) overdue(p *peer) {
	var touched [classCount]bool
	count := 0
	p.gets = slices.DeleteFunc(p.gets, func(g get) bool {
		if m.now.Before(g.due) {
			return false
		}
		touched[at(g.class)] = true
		count++
		p.late = append(p.late, g.named)
		return true
	})
	if count == 0 {
		return
	}
	p.late = p.late[max(0, len(p.late)-maxLate):]
	m.stats.Undelivered += uint64(count)
	if m.penalise(p, penaltyUndelivered) {
		m.requestAll(touched)
	}
}
