// SPDX-License-Identifier: BSD-3-Clause

package gossip

import (
	"slices"
	"time"
)

// serving is a record that a peer has asked for.
type serving struct {
	named
	digest Digest
	state  *State // a part of a table in place of a record
}

// mayAsk charges a peer for asking, and reports whether it is listened to: to look for
// what is not there costs too.
func (m *Machine) mayAsk(p *peer, count int) bool {
	p.budget.refill(m.now, ServePerSecond*3600)
	if p.budget.tokens < -ServeBurst*milli {
		m.stats.Dropped += uint64(count)
		m.penalise(p, penaltyExcess)
		return false
	}
	p.budget.tokens -= int64(count) * askCost * milli
	return true
}

// asked takes a GET. What is not held, and what is beyond the queue, is denied.
func (m *Machine) asked(p *peer, f *IDs) {
	if !m.mayAsk(p, len(f.IDs)) {
		return
	}
	wanted := make(map[ShortID]int, len(f.IDs))
	for i, id := range f.IDs {
		wanted[id] = i
	}
	held := make([]*serving, len(f.IDs))
	looked := m.resolve(p, f.Class, wanted, func(id ShortID, place int, d Digest) {
		held[place] = &serving{named: named{f.Class, id}, digest: d}
	})
	p.budget.tokens -= int64(looked) * lookCost * milli
	var none []ShortID
	for i, s := range held {
		if s != nil && len(p.serving) < maxServing {
			p.serving = append(p.serving, *s)
			continue
		}
		if s != nil {
			m.stats.Dropped++
		}
		none = append(none, f.IDs[i])
	}
	m.sendIDs(p, typeNone, f.Class, none)
	m.serve(p)
}

// serve sends what the peer's budget allows. Spec: security §2 (B19).
func (m *Machine) serve(p *peer) {
	p.budget.refill(m.now, ServePerSecond*3600)
	for len(p.serving) > 0 && p.budget.tokens > 0 {
		s := p.serving[0]
		p.serving = p.serving[1:]
		if s.state != nil {
			p.budget.tokens -= milli * int64(m.sendState(p, s.state))
			continue
		}
		data := m.cfg.Records.Get(s.class, s.digest)
		if data == nil {
			m.sendIDs(p, typeNone, s.class, []ShortID{s.id})
			continue
		}
		p.budget.tokens -= milli * int64(len(data))
		m.send(p, &Item{Class: s.class, Data: data})
	}
	if len(p.serving) == 0 {
		p.serving = nil
	}
}

// serveAt is when a peer that waits has budget again; zero: nothing waits.
func (p *peer) serveAt() time.Time {
	if len(p.serving) == 0 {
		return time.Time{}
	}
	short := max(0, 1-p.budget.tokens)
	return p.budget.last.Add(time.Duration(short/(ServePerSecond*milli/1000)+1) * time.Millisecond)
}

// stateAsk is a part of a table that was asked of a peer.
type stateAsk struct {
	State
	due time.Time
}

// askState sends a STATE, if that peer is there and not busy with others.
func (m *Machine) askState(ev AskState) {
	p := m.peerOf(ev.RID)
	if p == nil || !p.greeted || p.kind == stranger || len(p.states) >= maxStateAsked {
		m.emit(StateReceived{RID: ev.RID, Header: ev.Header, Part: ev.Part})
		return
	}
	s := State{ev.Header, ev.Part}
	p.states = append(p.states, stateAsk{s, m.now.Add(stateTimeouts * m.cfg.Params.GetTimeout)})
	m.send(p, &s)
}

// stateAsked queues a part behind what else the peer has asked for.
func (m *Machine) stateAsked(p *peer, f *State) {
	if !m.mayAsk(p, 1) {
		return
	}
	if len(p.serving) >= maxServing {
		m.stats.Dropped++
		m.send(p, &StatePart{Header: f.Header, Part: f.Part})
		return
	}
	p.serving = append(p.serving, serving{state: f})
	m.serve(p)
}

// sendState sends a part and returns its size.
func (m *Machine) sendState(p *peer, f *State) int {
	part := &StatePart{Header: f.Header, Part: f.Part}
	if m.cfg.States != nil {
		if data, count := m.cfg.States.Part(f.Header, f.Part); f.Part < count {
			part.Data, part.Count = data, count
		}
	}
	m.send(p, part)
	return len(part.Data)
}

// statePart takes an answer that was asked for.
func (m *Machine) statePart(p *peer, f *StatePart) {
	for i, s := range p.states {
		if s.State == (State{f.Header, f.Part}) {
			p.states = append(p.states[:i:i], p.states[i+1:]...)
			m.emit(StateReceived{p.rid, f.Header, f.Part, f.Count, f.Data})
			return
		}
	}
	if i := slices.Index(p.statesDue, State{f.Header, f.Part}); i >= 0 {
		p.statesDue = slices.Delete(p.statesDue, i, i+1) // another was asked since
		return
	}
	m.stats.Unasked++
	m.penalise(p, penaltyUnasked)
}

// badState charges a peer for a state, if it is still there.
func (m *Machine) badState(ev BadState) {
	p := m.peerOf(ev.RID)
	if p == nil {
		return
	}
	points := penaltyState
	if ev.Forged {
		points = penaltyBroken
	}
	m.penalise(p, points)
}

// lateStates reports parts that did not come in time.
func (m *Machine) lateStates(p *peer) {
	for len(p.states) > 0 && !m.now.Before(p.states[0].due) {
		s := p.states[0]
		p.states = p.states[1:]
		p.statesDue = append(p.statesDue, s.State)
		p.statesDue = p.statesDue[max(0, len(p.statesDue)-maxStateLate):]
		m.emit(StateReceived{RID: p.rid, Header: s.Header, Part: s.Part})
		if !m.penalise(p, penaltyUndelivered) {
			return
		}
	}
}

// endStates reports parts that will not come.
func (m *Machine) endStates(p *peer) {
	for _, s := range p.states {
		m.emit(StateReceived{RID: p.rid, Header: s.Header, Part: s.Part})
	}
	p.states = nil
}
