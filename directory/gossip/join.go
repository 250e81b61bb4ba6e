// SPDX-License-Identifier: BSD-3-Clause

package gossip

import (
	"slices"
	"time"

	"chive/directory/record"
)

// joinAsked takes a JOIN, from whoever the link has proven to be there. One at a time
// is open with a peer; the owner answers it. Spec: protocol §7 (GOS-10).
func (m *Machine) joinAsked(p *peer, f *Join) {
	switch {
	case p.joining:
		m.penalise(p, penaltyUnasked)
	case !m.view.Entry:
		m.send(p, &Joined{JoinNotEntry})
	case !m.joins.Allow(m.cfg.Params, m.now, p.source):
		m.send(p, &Joined{JoinBusy})
	default:
		p.joining = true
		m.emit(JoinAsked{p.link, p.rid, f.Data})
	}
}

func (m *Machine) answerJoin(ev JoinAnswer) {
	if p := m.byLink[ev.Link]; p != nil && p.joining {
		p.joining = false
		m.send(p, &Joined{ev.Code})
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
