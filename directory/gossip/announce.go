// SPDX-License-Identifier: BSD-3-Clause

package gossip

import (
	"slices"
	"time"

	"chive/directory/record"
)

// ring holds the digests of a class that were learnt last. They are looked up before
// the whole store is.
type ring struct {
	digests []Digest
	next    int
}

func (r *ring) add(d Digest) {
	if slices.Contains(r.digests, d) {
		return
	}
	if len(r.digests) < maxRecent {
		r.digests = append(r.digests, d)
		return
	}
	r.digests[r.next] = d
	r.next = (r.next + 1) % maxRecent
}

// learnt tells everybody who has not told us of a record that is new here. from, if
// any, is who delivered it.
func (m *Machine) learnt(from *peer, class byte, d Digest) {
	m.recent[at(class)].add(d)
	var data []byte
	if pushed(class) {
		data = m.cfg.Records.Get(class, d)
	}
	for _, p := range m.peers {
		told := p.settle(class, p.id(&d))
		if told || p == from || !p.greeted || p.kind == stranger {
			continue
		}
		if data != nil {
			p.telling.take(1)
			m.send(p, &Item{Pushed: true, Class: class, Data: data})
			continue
		}
		if !pushed(class) {
			m.enqueue(p, class, d)
		}
	}
}

// settle takes back what a peer has announced of a record that we have now, and
// reports whether it had.
func (p *peer) settle(class byte, id ShortID) bool {
	if p.offers.remove(named{class, id}) {
		return true
	}
	for i := range p.gets {
		if g := &p.gets[i]; g.id == id && g.class == class {
			g.next = time.Time{} // nobody has to wait for it any more
			return true
		}
	}
	return false
}

// speed is the place of a class's queue.
func speed(class byte) int {
	if urgent(class) {
		return 1
	}
	return 0
}

// enqueue puts a record on the list of what a peer is told next. A full list loses
// its oldest: repair finds it.
func (m *Machine) enqueue(p *peer, class byte, d Digest) {
	s := speed(class)
	if len(p.queue[s]) >= maxQueued {
		p.queue[s] = slices.Delete(p.queue[s], 0, 1)
		m.stats.Dropped++
	}
	p.queue[s] = append(p.queue[s], queued{named{class, p.id(&d)}, d})
	if p.flushAt[s].IsZero() {
		p.flushAt[s] = m.now.Add(m.own.wait(m.invMean(p, s)))
	}
}

// slowFlush is how many means we wait while a peer's bucket is empty.
const slowFlush = 10

// invMean is the mean time for which announcements to a peer are gathered.
// Spec: directory §2 (INV batch mean).
func (m *Machine) invMean(p *peer, s int) time.Duration {
	switch {
	case s == 1:
		return m.cfg.Params.InvUrgent
	case p.inbound:
		return m.cfg.Params.InvMeanIn
	}
	return m.cfg.Params.InvMeanOut
}

// flush tells a peer what has gathered, and no more than it takes: the newest first,
// the rest another time.
func (m *Machine) flush(p *peer, s int) {
	p.telling.refill(m.now, m.itemsHourly()*tellingPart/10)
	left := len(p.queue[s]) - p.telling.take(len(p.queue[s]))
	list := p.queue[s][left:]
	p.queue[s], p.flushAt[s] = p.queue[s][:left:left], time.Time{}
	if left > 0 {
		p.flushAt[s] = m.now.Add(slowFlush * m.invMean(p, s))
	} else {
		p.queue[s] = nil
	}
	for i := range classCount {
		var ids []ShortID
		for _, q := range list {
			if q.class == classes[i] {
				ids = append(ids, q.id)
			}
		}
		m.sendIDs(p, typeInv, classes[i], ids)
	}
}

// sendIDs sends short ids in as many frames as they need.
func (m *Machine) sendIDs(p *peer, frameType, class byte, ids []ShortID) {
	for chunk := range slices.Chunk(ids, mostIDs(frameType)) {
		m.send(p, &IDs{Type: frameType, Class: class, IDs: chunk})
	}
}

// tellRecent announces to a new peer what repair does not cover.
func (m *Machine) tellRecent(p *peer) {
	for _, class := range []byte{record.ClassEvidence, record.ClassVote, record.ClassProposal, record.ClassSignature} {
		for _, d := range m.recent[at(class)].digests {
			if m.cfg.Records.Get(class, d) != nil {
				m.enqueue(p, class, d)
			}
		}
	}
}

// resolve finds the digests behind short ids of a peer among what we have, calls
// found for each, takes them out of wanted, and returns how many it had to look through
// beyond the recent ones.
func (m *Machine) resolve(p *peer, class byte, wanted map[ShortID]int, found func(id ShortID, place int, d Digest)) (looked int) {
	look := func(d Digest) bool {
		id := p.id(&d)
		if place, ok := wanted[id]; ok {
			delete(wanted, id)
			if found != nil {
				found(id, place, d)
			}
		}
		return len(wanted) > 0
	}
	if len(wanted) == 0 {
		return 0
	}
	for _, d := range m.recent[at(class)].digests {
		if !look(d) {
			return 0
		}
	}
	for d := range m.cfg.Records.Digests(class) {
		looked++
		if !look(d) {
			break
		}
	}
	return looked
}
