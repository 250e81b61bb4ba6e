// SPDX-License-Identifier: BSD-3-Clause

package directory

import (
	"bytes"
	"chive/directory/gossip"
	"chive/directory/record"
	"chive/directory/snapshot"
	"chive/directory/sybil"
	"chive/directory/vote"
)

// final takes the newest final snapshot of the member.
func (m *Machine) final(e vote.Final) {
	s := vote.Inner(e.State)
	next, ok := m.at.child(m.doc, s, e.Certificate)
	if !ok {
		// The member goes on only to a child, a sibling, or what was fetched for it.
		invariant(m.caught != nil && m.caught.state.Digest() == s.Digest())
		next = m.caught
	}
	m.follow(next)
}

// follow makes a bundle the newest one, and tells everybody.
func (m *Machine) follow(next *bundle) {
	h := next.state.Snapshot().Header()
	switch {
	case h.Parent == m.at.state.Digest():
		m.below = m.at
	case m.below != nil && h.Parent == m.below.state.Digest():
	default:
		m.below = nil
	}
	m.at, m.progress, m.moved = next, m.now, true
	data := next.encodeWith(m.cfg.Catalog.encoding(next.state))
	m.keep(BucketAux, stateKey(size(next)), data)
	if it, err := m.cfg.Catalog.item(record.ClassCertificate, next.certificate.Encode()); err == nil {
		m.hold(it)
	}
	if m.cfg.Catalog != nil {
		data = nil // a copy less
	}
	m.serve(next, data)
	m.cfg.Catalog.turn(h.Epoch)
	if m.seen != nil && m.seen.Epoch() <= h.Epoch {
		m.seen = nil
	}
	m.admitted()
	m.expire()
	m.reach.prune(m.probes)
	m.newView()
}

// newView shows the newest state to gossip and to the role.
func (m *Machine) newView() {
	m.tell(m.neighbourhood())
	m.emit(m.view())
}

func (m *Machine) view() View { return viewOf(m.at) }

func viewOf(b *bundle) View {
	return View{State: b.state, Certificate: b.certificate, Steps: b.steps}
}

// neighbourhood is the newest state as gossip needs it.
func (m *Machine) neighbourhood() gossip.View {
	// Who is behind or not listed yet calls those that the newer table names. Day
	// beacons follow when the state has come.
	epoch, table := m.at.state.Epoch(), m.newest().Table()
	v := gossip.View{
		Epoch: epoch, Head: m.at.state.Digest(),
		Beacon:    m.at.beacon(sybil.LotteryEpoch(m.p, epoch)),
		DayBefore: m.at.beacon(sybil.LotteryEpoch(m.p, dayBefore(m.p, epoch))),
		Relays:    m.cfg.Catalog.relays(table),
	}
	if r, ok := table.Relay(m.cfg.RID); ok {
		v.Entry = r.Flags&snapshot.FlagRunning != 0 && m.at.state.Snapshot().Day()-int(r.BirthDay) >= m.p.EntryAge
	}
	if l := m.at.state.Owner(m.p, epoch+1); l != nil {
		v.Seats = len(l.Seats)
	}
	return v
}

// stateKey is one of two places for a state, so that the one before is there until it
// is.
func stateKey(history uint64) []byte { return []byte{'S', byte(history % 2)} }

// loadStates finds the newest state that was saved, its parent, and what was
// promised.
func (m *Machine) loadStates() {
	m.at = &bundle{state: m.cfg.Catalog.genesisState(m.doc)}
	var all []*bundle
	for _, value := range m.saved(BucketAux) {
		if b, err := m.cfg.Catalog.bundle(m.rules, m.doc, value); err == nil && b.certificate != nil {
			all = append(all, b)
		}
	}
	for _, b := range all {
		if size(b) > size(m.at) {
			m.at = b
		}
	}
	for _, b := range all {
		if m.at.state.Snapshot().Header().Parent == b.state.Digest() {
			m.below = b
			m.serve(b, nil)
		}
	}
	m.serve(m.at, nil)
	for key, value := range m.saved(BucketSelf) {
		switch string(key) {
		case string(memoryKey):
			m.memory = append([]byte(nil), value...)
		case string(forkKey):
			m.fork = loadFork(append([]byte(nil), value...))
		}
	}
	for _, value := range m.saved(BucketPeer) {
		for len(value) >= record.RIDSize && len(m.private) < gossip.PrivateCount {
			m.private = append(m.private, record.RID(value))
			value = value[record.RIDSize:]
		}
	}
}

func size(b *bundle) uint64 { return b.state.Snapshot().Header().HistorySize }

func (m *Machine) saved(b Bucket) func(yield func(key, value []byte) bool) {
	if m.cfg.Saved == nil {
		return func(func(key, value []byte) bool) {}
	}
	return m.cfg.Saved(b)
}

// loadRecords reads the records that were saved, as if they had come now.
func (m *Machine) loadRecords() {
	for _, value := range m.saved(BucketCert) {
		if it, err := m.cfg.Catalog.item(record.ClassCertificate, append([]byte(nil), value...)); err == nil {
			m.items.put(it)
		}
	}
	out := m.out
	m.loading = true
	for key, value := range m.saved(BucketDesc) {
		if len(key) == 0 {
			continue
		}
		if o := m.cfg.Catalog.descriptor(value); o != nil && key[0] == record.ClassDescriptor {
			value = o.data
		} else {
			value = append([]byte(nil), value...)
		}
		switch key[0] {
		case record.ClassDescriptor:
			if bytes.Equal(key[1:], m.cfg.RID[:]) {
				m.knowOwn(value)
			}
			m.acceptDescriptor(value)
		case record.ClassTombstone:
			m.takeTombstone(value, true, len(key) > 1+32)
		case record.ClassEvidence:
			m.acceptEvidence(value)
		}
	}
	m.loading, m.out = false, out
	m.loadCandidates()
	m.cfg.Saved = nil
}
