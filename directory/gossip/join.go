// SPDX-License-Identifier: BSD-3-Clause

package gossip

import (
	"slices"
	"time"

	"chive/directory/record"
)

// joinAsked takes a JOIN, from whoever the link has proven to be there. One at a time
// is open with a peer; the owner answers it, and keeps the bounds of ADM-8. Spec: protocol §7 (GOS-10).
func (m *Machine) joinAsked(p *peer, f *Join) {
	switch {
	case p.joining:
		m.penalise(p, penaltyUnasked)
	case !m.view.Entry:
		m.send(p, &Joined{JoinNotEntry})
	default:
		p.joining = true
		m.emit(JoinAsked{p.link, p.rid, p.source, f.Data})
	}
}

// answerJoin sends the owner's answer. What did not hold is charged, so that garbage ends
// with the identity that sends it; so is a little what was for nothing, since even to find
// that out takes signatures. Spec: protocol §7 (GOS-11).
func (m *Machine) answerJoin(ev JoinAnswer) {
	p := m.byLink[ev.Link]
	if p == nil || !p.joining {
		return
	}
	p.joining = false
	m.send(p, &Joined{ev.Code})
	switch ev.Code {
	case JoinTaken:
		p.welcome = true
	case JoinUnreachable:
	case JoinRefused:
		m.penalise(p, penaltyRefused)
	default:
		m.penalise(p, penaltyInVain)
	}
}

// askJoin calls an entry relay, or asks it on the stream that is there. Too many at
// once, two at one relay, or one at a relay that is to wait, fail at once.
func (m *Machine) askJoin(ev AskJoin) {
	if len(m.asks) >= maxJoins || m.waiting(ev.RID) || m.asking(ev.RID) {
		m.emit(JoinAnswered{RID: ev.RID})
		return
	}
	m.asks = append(m.asks, ev)
	if p := m.peerOf(ev.RID); p != nil && p.greeted {
		m.sendJoin(p)
	}
}

// sendJoin sends the JOIN that waits for a peer, if one does.
func (m *Machine) sendJoin(p *peer) {
	for _, a := range m.asks {
		if a.RID == p.rid {
			p.joiner = p.kind == visited
			p.joinDue = m.now.Add(strangerPeriod)
			m.send(p, &Join{a.Data})
		}
	}
}

// joinAnswered takes a JOINED.
func (m *Machine) joinAnswered(p *peer, f *Joined) {
	if !m.dropAsk(p.rid) {
		m.stats.Unasked++
		m.penalise(p, penaltyUnasked)
		return
	}
	p.joinDue = time.Time{}
	m.emit(JoinAnswered{RID: p.rid, Sent: true, Code: f.Code})
	if p.kind == visited {
		m.close(p, ReasonDone)
	}
}

// failJoin reports that a relay could not be asked, or has not answered.
func (m *Machine) failJoin(rid record.RID) {
	if m.dropAsk(rid) {
		m.emit(JoinAnswered{RID: rid})
	}
}

func (m *Machine) endJoin(p *peer) { m.failJoin(p.rid) }

func (m *Machine) dropAsk(rid record.RID) bool {
	before := len(m.asks)
	m.asks = slices.DeleteFunc(m.asks, func(a AskJoin) bool { return a.RID == rid })
	return len(m.asks) < before
}
