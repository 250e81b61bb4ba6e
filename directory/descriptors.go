// SPDX-License-Identifier: BSD-3-Clause

package directory

import (
	"chive/directory/gossip"
	"chive/directory/record"
)

// opened is a descriptor that was read and verified. It is immutable.
type opened struct {
	*record.Descriptor
	rid    record.RID
	signed *record.Signed
	digest [32]byte // of the item
	body   [32]byte
	data   []byte
}

// descriptor is one that is held. It is immutable, and equal ones may be one.
type descriptor struct {
	*opened
	dayOf   uint64      // day in which it came
	inDay   int         // how many of the relay came in that day
	replace *descriptor // the one before that says something else
}

// descriptors holds the newest of each relay that is in the table, of our own too, and
// beside it the one before while votes may still name that.
type descriptors struct {
	relays  trie // by rid
	digests trie // of those that are the newest
}

// newest returns the descriptor of a relay, or nil.
func (s *descriptors) newest(rid record.RID) *descriptor { return s.relays.get(rid[:]) }

func (s *descriptors) len() int { return s.relays.len() }

func (s *descriptors) put(c *Catalog, d descriptor) {
	if old := s.newest(d.rid); old != nil {
		s.digests.remove(c, old.digest[:])
		if d.replace = old.replace; old.body != d.body {
			before := *old
			before.replace = nil
			d.replace = c.held(before)
		}
	}
	s.set(c, d)
}

// set holds a descriptor as it is, in the place of one of the same digest.
func (s *descriptors) set(c *Catalog, d descriptor) {
	held := c.held(d)
	s.relays.put(c, held)
	s.digests.put(c, held)
}

func (s *descriptors) remove(c *Catalog, rid record.RID) {
	if d := s.newest(rid); d != nil {
		s.digests.remove(c, d.digest[:])
		s.relays.remove(c, rid[:])
	}
}

// times are the bounds of descriptors' times.
func (m *Machine) times() record.Times {
	return record.Times{Life: m.p.DescriptorLife, Ahead: m.p.ClockAhead}
}

// descriptorBehind is what transitions ask: the descriptor of a relay whose body
// digest begins so.
func (m *Machine) descriptorBehind(rid record.RID, body [16]byte) *record.Descriptor {
	for d := m.descs.newest(rid); d != nil; d = d.replace {
		if [16]byte(d.body[:16]) == body {
			return d.Descriptor
		}
	}
	if c, d, _ := m.candidate(rid); d != nil && [16]byte(c.Body[:16]) == body {
		return d
	}
	return nil
}

// openDescriptor reads and verifies one. judged is false for what another clock may
// judge otherwise.
func (m *Machine) openDescriptor(data []byte) (d *opened, judged bool, err error) {
	if o := m.cfg.Catalog.descriptor(data); o != nil && o.CheckTime(m.now, m.times()) == nil {
		return o, true, nil
	}
	said, signed, err := record.OpenDescriptor(data, m.nid, m.now, m.times())
	if err != nil {
		return nil, !untimely(err), err
	}
	body, err := record.BodyDigest(signed.Payload)
	if err != nil {
		return nil, true, err
	}
	o := &opened{
		Descriptor: said, rid: record.NewRID(m.nid, said.Identity), signed: signed, data: data, body: body,
		digest: record.ItemDigest(record.ClassDescriptor, signed.Payload),
	}
	m.cfg.Catalog.keep(o)
	return o, true, nil
}

// acceptDescriptor judges one from a peer.
func (m *Machine) acceptDescriptor(data []byte) ([32]byte, gossip.Verdict) {
	digest, err := m.cfg.Catalog.digest(data)
	if err != nil {
		return [32]byte{}, gossip.VerdictInvalid
	}
	if m.descs.digests.get(digest[:]) != nil {
		return digest, gossip.VerdictKnown
	}
	d, judged, err := m.openDescriptor(data)
	switch {
	case err != nil && judged:
		return digest, gossip.VerdictInvalid
	case err != nil || !m.takeDescriptor(d):
		return digest, gossip.VerdictKnown
	}
	return digest, gossip.VerdictNew
}

// takeDescriptor keeps a descriptor that was verified, if it is the newest of a relay
// in the table, not revoked and not one too many. Spec: directory §3 (order), §2
// (shortest gap, per day).
func (m *Machine) takeDescriptor(o *opened) bool {
	d := descriptor{opened: o}
	own := d.rid == m.cfg.RID
	if _, listed := m.table().Index(d.rid); !listed && !own {
		return false
	}
	if m.claims.revoked(d.rid, d.Identity, d.signed.Cert, m.now) {
		return false
	}
	day := m.doc.EpochAt(m.now) / uint64(max(m.p.Day, 1))
	d.dayOf, d.inDay = day, 1
	if old := m.descs.newest(d.rid); old != nil {
		useNew, conflict := record.Newer(old.Seq, old.signed.Payload, d.Seq, d.signed.Payload)
		if conflict {
			m.accuseOf(record.ClassDescriptor, d.Identity, old.data, d.data)
		}
		if own {
			m.stranger(&d, conflict)
		}
		if !useNew {
			return false
		}
		if !conflict && d.Published.Sub(old.Published) < m.p.RepublishGap {
			return false
		}
		if old.dayOf == day {
			d.inDay = old.inDay + 1
		}
		if m.p.RepublishPerDay > 0 && d.inDay > m.p.RepublishPerDay {
			return false
		}
	}
	m.descs.put(m.cfg.Catalog, d)
	m.keep(BucketDesc, descriptorKey(d.rid), d.data)
	if own {
		m.sawOwn(&d)
	}
	m.found(d.rid)
	return true
}

// expireDescriptors forgets what is over, and descriptors of relays that are no
// longer in the table.
func (m *Machine) expireDescriptors() {
	for d := range m.descs.relays.all() {
		rid := d.rid
		_, listed := m.table().Index(rid)
		if (listed || rid == m.cfg.RID) && m.now.Before(d.Expires) && !m.claims.revoked(d.rid, d.Identity, d.signed.Cert, m.now) {
			if d.replace != nil && m.now.Sub(d.Published) > 2*m.p.EpochLen && m.settled(d) {
				said := *d
				said.replace = nil
				m.descs.set(m.cfg.Catalog, said)
			}
			continue
		}
		m.descs.remove(m.cfg.Catalog, rid)
		m.keep(BucketDesc, descriptorKey(rid), nil)
	}
}

// settled reports whether the table says what a descriptor says. Until it does, votes of
// those who have not heard of it name the one before.
func (m *Machine) settled(d *descriptor) bool {
	i, listed := m.table().Index(d.rid)
	return !listed || m.at.state.Aux(i).Body == d.body
}

func descriptorKey(rid record.RID) []byte { return append([]byte{record.ClassDescriptor}, rid[:]...) }

// found tells the member that a descriptor has come that it asked for.
func (m *Machine) found(rid record.RID) {
	if m.missing[rid] {
		delete(m.missing, rid)
		m.foundSome = true
	}
}

// over reports whether a relay's time is over: it has no descriptor that holds, and
// could have given us one for as long as one lives.
func (m *Machine) over(rid record.RID) bool {
	if d := m.descs.newest(rid); d != nil {
		return !m.now.Before(d.Expires)
	}
	since := m.began
	if i, listed := m.table().Index(rid); listed {
		if came := m.doc.EpochStart(m.at.state.Aux(i).Admitted); came.After(since) {
			since = came
		}
	}
	return !m.now.Before(since.Add(m.p.DescriptorLife))
}
