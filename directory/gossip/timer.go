// SPDX-License-Identifier: BSD-3-Clause

package gossip

import (
	"slices"
	"time"
)

// due does what the time has come for, in a fixed order.
func (m *Machine) due() {
	if !m.ready {
		return
	}
	for _, p := range slices.Clone(m.peers) {
		m.duePeer(p)
	}
	m.lateWants()
	for i := range m.dials {
		if d := &m.dials[i]; d.active && !m.now.Before(d.next) {
			m.dialFailed(d.rid)
		}
	}
	if !m.now.Before(m.repairAt) {
		m.periodic()
	}
}

// duePeer does what the time has come for with one peer.
func (m *Machine) duePeer(p *peer) {
	if p.gone {
		return
	}
	if !p.greeted && !m.now.Before(p.upAt.Add(m.helloTimeout())) {
		m.close(p, ReasonSilent)
		return
	}
	if p.brief() && !m.now.Before(p.end()) {
		m.close(p, ReasonDone)
		return
	}
	if !p.joinDue.IsZero() && !m.now.Before(p.joinDue) {
		p.joinDue = time.Time{}
		m.failJoin(p.rid)
		if p.joiner {
			m.close(p, ReasonSilent)
			return
		}
	}
	for s := range p.queue {
		if !p.flushAt[s].IsZero() && !m.now.Before(p.flushAt[s]) {
			m.flush(p, s)
		}
	}
	m.serve(p)
	for _, step := range []func(*peer){m.impatient, m.overdue, m.lateStates, m.repairOverdue} {
		if step(p); p.gone {
			return
		}
	}
}

func (m *Machine) helloTimeout() time.Duration { return helloTimeouts * m.cfg.Params.GetTimeout }

// sooner returns the earlier of two times; zero is never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// dialDeadline returns when a call is late or may be made again, or zero. Together with
// restDeadline it is when due has something to do; dialAll changes this one alone.
func (m *Machine) dialDeadline() (next time.Time) {
	for i := range m.dials {
		next = sooner(next, m.dials[i].next)
	}
	return next
}

// restDeadline returns when due has something else to do, or zero.
func (m *Machine) restDeadline() time.Time {
	var next time.Time
	by := func(t time.Time) {
		if !t.IsZero() && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	by(m.repairAt)
	for _, w := range m.wants {
		by(w.due)
	}
	for _, p := range m.peers {
		if !p.greeted {
			by(p.upAt.Add(m.helloTimeout()))
		}
		if p.brief() {
			by(p.end())
		}
		by(p.joinDue)
		by(p.flushAt[0])
		by(p.flushAt[1])
		by(p.serveAt())
		by(p.repairDue)
		for i := range p.gets {
			by(p.gets[i].next)
			by(p.gets[i].due)
		}
		if len(p.states) > 0 {
			by(p.states[0].due)
		}
	}
	return next
}

// brief reports whether a peer is one that may not stay.
func (p *peer) brief() bool { return p.kind == stranger || p.kind == visited }

// end is how long a brief one may stay. A stranger that does not say what it has come for,
// or whose JOIN led to nothing, leaves its place to the next one soon.
func (p *peer) end() time.Time {
	if p.kind == stranger && !p.joining && !p.welcome {
		return p.upAt.Add(strangerWait)
	}
	return p.upAt.Add(strangerPeriod)
}
