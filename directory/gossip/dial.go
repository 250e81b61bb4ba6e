// SPDX-License-Identifier: BSD-3-Clause

package gossip

import (
	"slices"
	"time"

	"chive/directory/record"
)

// dial is a call that is under way, or failed and is to be repeated.
type dial struct {
	rid    record.RID
	active bool
	next   time.Time     // when it is given up, or repeated
	wait   time.Duration // after the next failure
}

// setView takes a new relay list: it draws the day's neighbours and looks again at
// who is whose.
func (m *Machine) setView(v View) {
	changed := !m.ready || v.Beacon != m.view.Beacon
	before := m.assigned
	m.view = v
	m.newAnswers()
	if !m.ready {
		m.ready = true
		m.repairAt = m.now.Add(m.own.around(m.cfg.Params.RepairPeriod, m.cfg.Params.RepairJitter))
	}
	m.assigned = m.assignedTo(v.Beacon, m.cfg.Self)
	// Who was assigned stays for one epoch more. Spec: directory §4.
	if v.Epoch > m.leaveAt {
		m.leaving = nil
	}
	for _, rid := range before {
		if !slices.Contains(m.assigned, rid) && !slices.Contains(m.leaving, rid) && len(m.leaving) < 2*AssignedCount {
			m.leaving, m.leaveAt = append(m.leaving, rid), v.Epoch+1
		}
	}
	m.setPrivate()
	for _, p := range slices.Clone(m.peers) {
		if s := m.standings[p.rid]; s != nil {
			s.decay(m.now, m.penaltyTime())
			p.doubt = s.score / penaltyUndelivered
		}
		m.lookAgain(p, changed)
	}
}

// setPrivate renews private neighbours that are gone.
func (m *Machine) setPrivate() {
	if running(m.view.Relays) <= EverybodyUpTo {
		return
	}
	private := choosePrivate(&m.own, m.cfg.Self, m.view.Relays, m.private, m.assigned)
	if !slices.Equal(private, m.private) {
		m.private = private
		m.emit(PrivateChanged{slices.Clone(private)})
	}
}

// lookAgain fits a peer to a new view.
func (m *Machine) lookAgain(p *peer, newDay bool) {
	switch {
	case p.gone || p.kind == visited && !m.wanted(p.rid):
		return
	case p.kind == theirs && !newDay && !m.wanted(p.rid):
		relay, known := find(m.view.Relays, p.rid)
		if known && relay.Running && (p.leaveAt == 0 || m.view.Epoch <= p.leaveAt) {
			return // the list moved a little, the day did not
		}
	}
	was := p.kind
	kind, leaveAt := m.classify(p)
	if was == theirs && kind == guest && newDay && p.leaveAt == 0 {
		p.leaveAt = m.view.Epoch + 1
		return
	}
	if kind == visited { // one of ours no longer
		m.close(p, ReasonStale)
		return
	}
	if kind == was {
		p.leaveAt = leaveAt
		return
	}
	p.kind = kind
	if (kind == guest || kind == stranger) && !m.fits(p) {
		m.close(p, ReasonStale)
		return
	}
	p.leaveAt = leaveAt
}

// onList reports whether we are on the list ourselves: who is not yet has no
// neighbours.
func (m *Machine) onList() bool {
	_, ok := find(m.view.Relays, m.cfg.Self)
	return ok
}

// wanted reports whether we want a stream with a relay, whoever calls.
func (m *Machine) wanted(rid record.RID) bool {
	return m.onList() && (slices.Contains(m.assigned, rid) || slices.Contains(m.private, rid) || slices.Contains(m.leaving, rid))
}

// dialAll calls those whom we want to talk to and do not.
func (m *Machine) dialAll() {
	if m.onList() {
		for _, rid := range m.assigned {
			m.dial(rid)
		}
		for _, rid := range m.private {
			m.dial(rid)
		}
	}
	if m.visiting {
		m.dial(m.visit)
	}
	for _, a := range m.asks {
		m.dial(a.RID)
	}
	// Calls to those whom nobody wants any more are not repeated.
	m.dials = slices.DeleteFunc(m.dials, func(d dial) bool {
		return !d.active && !slices.Contains(m.assigned, d.rid) && !slices.Contains(m.private, d.rid) && !m.asking(d.rid)
	})
}

func (m *Machine) dial(rid record.RID) {
	if m.peerOf(rid) != nil || rid == m.cfg.Self {
		return
	}
	i := slices.IndexFunc(m.dials, func(d dial) bool { return d.rid == rid })
	if i < 0 {
		m.dials = append(m.dials, dial{rid: rid, wait: m.cfg.Params.InvMeanIn})
		i = len(m.dials) - 1
	}
	d := &m.dials[i]
	if m.waiting(rid) {
		d.next = m.standings[rid].waits
	}
	if d.active || m.now.Before(d.next) {
		return
	}
	d.active, d.next = true, m.now.Add(dialTimeout)
	m.emit(Open{rid})
}

// dialDone forgets calls to a relay that talks to us.
func (m *Machine) dialDone(rid record.RID) {
	m.dials = slices.DeleteFunc(m.dials, func(d dial) bool { return d.rid == rid })
}

// dialled notes that a call led to a stream. Whether it was of use is known when the
// other side has said HELLO: who refuses us is not called again at once.
func (m *Machine) dialled(rid record.RID) {
	for i := range m.dials {
		if d := &m.dials[i]; d.rid == rid {
			d.active, d.next = false, m.now.Add(2*m.helloTimeout())
		}
	}
}

// dialAgain waits twice as long as before, up to the repair period.
func (m *Machine) dialAgain(rid record.RID) {
	for i := range m.dials {
		if d := &m.dials[i]; d.rid == rid {
			d.active = false
			d.next = m.now.Add(d.wait)
			d.wait = min(2*d.wait, max(m.cfg.Params.RepairPeriod, m.cfg.Params.InvMeanIn))
		}
	}
}

// dialFailed takes a call that led to nothing.
func (m *Machine) dialFailed(rid record.RID) {
	if slices.ContainsFunc(m.dials, func(d dial) bool { return d.rid == rid && d.active }) {
		m.dialAgain(rid)
	}
	if m.visiting && m.visit == rid {
		m.visiting = false
	}
	m.failJoin(rid)
}

// asking reports whether a JOIN of ours waits for that relay.
func (m *Machine) asking(rid record.RID) bool {
	return slices.ContainsFunc(m.asks, func(a AskJoin) bool { return a.RID == rid })
}
