// SPDX-License-Identifier: BSD-3-Clause

package gossip

import (
	"errors"
	"time"

	"chive/directory/reconcile"
)

// How often repairs may be. Times are in repair periods: in a public network six are
// an hour. Spec: directory §4 (repair), protocol §7 (GOS-8).
const (
	visitEvery      = 6      // each sixth repair is with a random relay
	fallbackPeriods = 6      // between two fallbacks with a peer
	restPeriods     = 6 * 24 // without repair after two failures in a row
	answerPart      = 4      // a peer may open one each quarter of a period
	repairTimeouts  = 10     // GET timeouts until the next message must have come
)

// repairRecord is what is remembered of repairs with an identity.
type repairRecord struct {
	failures int
	rests    time.Time // none before
	fellBack time.Time
	answered time.Time // it opened one
	opened   time.Time // we opened one
}

// periodic opens a repair with the next neighbour in turn, or visits a random relay.
func (m *Machine) periodic() {
	p := &m.cfg.Params
	m.repairAt = m.now.Add(m.own.around(p.RepairPeriod, p.RepairJitter))
	m.repairs++
	if m.repairs%visitEvery == 0 && !m.visiting && len(m.view.Relays) > EverybodyUpTo && m.onList() {
		r := &m.view.Relays[m.own.below(len(m.view.Relays))]
		if r.Running && r.RID != m.cfg.Self && m.peerOf(r.RID) == nil && !m.waiting(r.RID) {
			m.visit, m.visiting = r.RID, true
			return
		}
	}
	// In turn: the first after the last one, by rid, and round.
	start, found := m.search(m.lastTurn)
	if found {
		start++
	}
	for i := range m.peers {
		peer := m.peers[(start+i)%len(m.peers)]
		if m.openRepair(peer) {
			m.lastTurn = peer.rid
			return
		}
	}
}

// openRepair begins a session with a peer, if one may be now.
func (m *Machine) openRepair(p *peer) bool {
	if !p.greeted || p.repair != nil || p.kind == stranger || p.joiner {
		return false
	}
	s := m.standing(m.now, p.rid)
	if m.now.Before(s.repair.rests) || m.now.Sub(s.repair.opened) < m.cfg.Params.RepairPeriod/answerPart {
		return false
	}
	s.repair.opened = m.now
	session, open := reconcile.NewOpener(m.sessionConfig(p, s), m.own.nonce())
	p.repair, p.opened = session, true
	p.repairDue = m.now.Add(repairTimeouts * m.cfg.Params.GetTimeout)
	m.send(p, &Repair{open})
	return true
}

func (m *Machine) sessionConfig(p *peer, s *standing) reconcile.Config {
	set := m.cfg.Repaired
	if set == nil {
		set = m.repairedSet
	}
	return reconcile.Config{
		HandshakeHash: p.session, ShortKey: p.key, Set: set(),
		Fallback: m.now.Sub(s.repair.fellBack) >= fallbackPeriods*m.cfg.Params.RepairPeriod,
	}
}

// repairedSet makes the set that repairs compare, of the records.
func (m *Machine) repairedSet() *reconcile.Set {
	var all []Digest
	for i := range len(repaired) {
		for d := range m.cfg.Records.Digests(repaired[i]) {
			all = append(all, d)
		}
	}
	// More than a set takes cannot be repaired: caps of the classes are far below.
	set, err := reconcile.NewSet(all)
	if err != nil {
		return nil
	}
	return set
}

// repairMessage takes a peer's message of a session.
func (m *Machine) repairMessage(p *peer, msg reconcile.Message) {
	if open, ok := msg.(*reconcile.Open); ok && !open.Answer {
		if !m.answerRepair(p) {
			return
		}
	}
	if p.repair == nil {
		if _, ok := msg.(*reconcile.Done); !ok { // the rest of one that we have ended
			m.stats.Dropped++
		}
		return
	}
	out, result, err := p.repair.Step(msg)
	for _, o := range out {
		m.send(p, &Repair{o})
	}
	switch {
	case err != nil:
		m.endRepair(p, err)
	case result != nil:
		m.repairedWith(p, result)
	default:
		p.repairDue = m.now.Add(repairTimeouts * m.cfg.Params.GetTimeout)
	}
}

// answerRepair makes room for a session that a peer opens. Of two that were opened
// at once that of the side which opened the stream goes on.
// Spec: protocol (REPAIR-1).
func (m *Machine) answerRepair(p *peer) bool {
	if p.repair != nil && p.opened && !p.inbound {
		return false // it will answer ours
	}
	s := m.standing(m.now, p.rid)
	if p.repair != nil && !p.opened || m.now.Before(s.repair.rests) ||
		m.now.Sub(s.repair.answered) < m.cfg.Params.RepairPeriod/answerPart {
		m.send(p, &Repair{reconcile.Refuse()})
		return false
	}
	s.repair.answered = m.now
	p.repair, p.opened = reconcile.NewResponder(m.sessionConfig(p, s), m.own.nonce()), false
	return true
}

// repairedWith announces at once what the peer lacks, and lets it announce what we
// lack.
func (m *Machine) repairedWith(p *peer, r *reconcile.Result) {
	theirs := len(r.OnlyTheirs) + len(r.OnlyTheirsIDs)
	m.finish(p, Repaired{RID: p.rid, Ours: len(r.OnlyOurs), Theirs: theirs})
	s := m.standing(m.now, p.rid)
	if r.Suspicious { // a result, and as good as a failure
		m.repairFailed(s)
	} else {
		s.repair.failures = 0
	}
	if r.Fallback {
		s.repair.fellBack = m.now
	}
	p.items.grant(theirs)
	for i := range len(repaired) {
		class := repaired[i]
		var ids []ShortID
		for _, d := range r.OnlyOurs {
			if !m.cfg.Records.Has(class, d) {
				continue
			}
			if pushed(class) {
				if data := m.cfg.Records.Get(class, d); data != nil {
					m.send(p, &Item{Pushed: true, Class: class, Data: data})
				}
				continue
			}
			ids = append(ids, p.id(&d))
		}
		m.sendIDs(p, typeInv, class, ids)
	}
	if p.kind == visited {
		p.repairDue = m.now.Add(repairTimeouts * m.cfg.Params.GetTimeout) // to fetch what it announces
	}
}

// finish ends a session for good or bad.
func (m *Machine) finish(p *peer, r Repaired) {
	m.stats.Repairs++
	if r.Err != nil {
		m.stats.RepairsFailed++
	}
	p.repair, p.repairDue = nil, time.Time{}
	m.emit(r)
}

// endRepair ends a session without a result. What the peer broke costs it points;
// two failures in a row, whoever's, mean a long rest.
func (m *Machine) endRepair(p *peer, err error) {
	if p.repair == nil {
		return
	}
	m.finish(p, Repaired{RID: p.rid, Err: err})
	if errors.Is(err, reconcile.ErrRefused) {
		return
	}
	m.repairFailed(m.standing(m.now, p.rid))
	if !errors.Is(err, reconcile.ErrUndecided) {
		m.penalise(p, penaltyRepair)
	}
}

// repairFailed counts a failure with a peer; after two in a row it is left alone.
func (m *Machine) repairFailed(s *standing) {
	if s.repair.failures++; s.repair.failures >= 2 {
		s.repair.failures = 0
		s.repair.rests = m.now.Add(restPeriods * m.cfg.Params.RepairPeriod)
	}
}

// errRepairTimeout ends a session whose peer has fallen silent.
var errRepairTimeout = errors.New("gossip: repair timed out")

// repairOverdue ends a silent session, or a visit that has had its time.
func (m *Machine) repairOverdue(p *peer) {
	if p.repairDue.IsZero() || m.now.Before(p.repairDue) {
		return
	}
	p.repairDue = time.Time{}
	m.endRepair(p, errRepairTimeout)
	if p.kind != visited || p.gone {
		return
	}
	if len(p.gets) > 0 || len(p.serving) > 0 { // still busy; strangerPeriod ends it
		p.repairDue = m.now.Add(repairTimeouts * m.cfg.Params.GetTimeout)
		return
	}
	m.close(p, ReasonDone)
}
