// SPDX-License-Identifier: BSD-3-Clause

package directory

import (
	"iter"
	"maps"
	"slices"
	"time"

	"chive/directory/gossip"
	"chive/directory/reconcile"
	"chive/directory/record"
	"chive/directory/vote"
)

// records is the machine as gossip sees its store. Its methods are called from within
// steps of the gossip machine and call none.
type records struct{ *Machine }

var _ gossip.Records = records{}

// Has reports whether a record is held.
func (r records) Has(class byte, d gossip.Digest) bool {
	switch class {
	case record.ClassDescriptor:
		return r.descs.digests.get(d[:]) != nil
	case record.ClassCandidate:
		_, _, ok := r.pending.ByDigest(d)
		return ok
	case record.ClassTombstone:
		return r.claims.tombstones[d] != nil
	case record.ClassEvidence:
		return r.claims.evidence[d] != nil
	}
	return r.items.get(class, d) != nil
}

// Count returns how many of a class are held.
func (r records) Count(class byte) int {
	switch class {
	case record.ClassDescriptor:
		return r.descs.len()
	case record.ClassCandidate:
		all, _ := r.pending.Len()
		return all
	case record.ClassTombstone:
		n := 0
		for range r.spread() {
			n++
		}
		return n
	case record.ClassEvidence:
		return len(r.claims.evidence)
	}
	return len(r.items.all[class])
}

// Digests goes through the digests of a class.
func (r records) Digests(class byte) iter.Seq[gossip.Digest] {
	switch class {
	case record.ClassDescriptor:
		return r.descs.digests.keys()
	case record.ClassCandidate:
		return r.pending.All()
	case record.ClassTombstone:
		return r.spread()
	case record.ClassEvidence:
		return maps.Keys(r.claims.evidence)
	}
	return maps.Keys(r.items.all[class])
}

// repairSet returns the digests that repairs compare. Descriptors are nearly all of
// them, and change less often than repairs come when neighbours are met: while there is
// nothing else, the set of the last time is taken again.
func (m *Machine) repairSet() *reconcile.Set {
	if pending, _ := m.pending.Len(); pending == 0 && (records{m}).Count(record.ClassTombstone) == 0 {
		if m.setFrom != m.descs.digests || m.set == nil {
			m.setFrom, m.set = m.descs.digests, m.cfg.Catalog.set(m.descs.digests)
		}
		return m.set
	}
	m.set = nil
	r := records{m}
	all := make([][32]byte, 0, m.descs.len())
	for _, class := range []byte{record.ClassDescriptor, record.ClassCandidate, record.ClassTombstone} {
		all = slices.AppendSeq(all, r.Digests(class))
	}
	return setOf(all)
}

// setOf makes a set, which takes the slice over. More than a set takes cannot be
// repaired: caps of the classes are far below.
func setOf(all [][32]byte) *reconcile.Set {
	set, err := reconcile.NewSet(all)
	if err != nil {
		return nil
	}
	return set
}

// Get returns a record, or nil. A certificate is found by the digest of its header
// too, which is how gossip names the newest one.
func (r records) Get(class byte, d gossip.Digest) []byte {
	switch class {
	case record.ClassDescriptor:
		if held := r.descs.digests.get(d[:]); held != nil {
			return held.data
		}
		return nil
	case record.ClassCandidate:
		if c, checked, ok := r.pending.ByDigest(d); ok && checked {
			return c.Data
		}
		return nil
	case record.ClassTombstone:
		if t := r.claims.tombstones[d]; t != nil {
			return t.data
		}
		return nil
	case record.ClassEvidence:
		if e := r.claims.evidence[d]; e != nil {
			return e.data
		}
		return nil
	}
	it := r.items.get(class, d)
	if it == nil && class == record.ClassCertificate {
		it = r.items.get(class, vote.CertificateDigest(d))
	}
	if it == nil {
		return nil
	}
	return it.data
}

// Accept judges a record from a peer. What the member wants done about it is done
// after the gossip machine's step.
func (r records) Accept(_ time.Time, from record.RID, class byte, data []byte) (gossip.Digest, gossip.Verdict) {
	switch class {
	case record.ClassDescriptor:
		return r.acceptDescriptor(data)
	case record.ClassCandidate:
		return r.acceptCandidate(data)
	case record.ClassTombstone:
		return r.acceptTombstone(data)
	case record.ClassEvidence:
		return r.acceptEvidence(data)
	case record.ClassVote, record.ClassProposal, record.ClassSignature, record.ClassCertificate:
		return r.acceptItem(from, class, data)
	}
	return record.ItemDigest(class, data), gossip.VerdictKnown
}

// openItem reads what names an item of the committee.
func openItem(class byte, data []byte) (*item, error) {
	it := &item{class: class, data: data}
	switch class {
	case record.ClassVote:
		v, err := vote.DecodeVote(data)
		if err != nil {
			return nil, err
		}
		it.digest, it.epoch, it.said = v.Digest(), v.Epoch, v
	case record.ClassProposal:
		p, err := vote.DecodeProposal(data)
		if err != nil {
			return nil, err
		}
		it.digest, it.epoch, it.said = p.Digest(), p.Header.Epoch, p
	case record.ClassSignature:
		s, err := vote.DecodeSignature(data)
		if err != nil {
			return nil, err
		}
		it.digest, it.epoch, it.said = s.Digest(), s.Epoch, s
	default:
		c, err := vote.DecodeCertificate(data)
		if err != nil {
			return nil, err
		}
		it.digest, it.epoch, it.header = c.Digest(), c.Header.Epoch, c.HeaderDigest()
	}
	return it, nil
}

// acceptItem lets the member judge an item of the committee.
func (m *Machine) acceptItem(from record.RID, class byte, data []byte) (gossip.Digest, gossip.Verdict) {
	it, err := m.cfg.Catalog.item(class, data)
	if err != nil {
		return gossip.Digest{}, gossip.VerdictInvalid
	}
	if class == record.ClassCertificate {
		m.heard(from, it)
	}
	if m.items.get(class, it.digest) != nil {
		return it.digest, gossip.VerdictKnown
	}
	verdict := gossip.VerdictKnown
	effects := m.member.Step(m.now, vote.Received{Class: class, Data: it.data, Decoded: it.said})
	m.todo = append(m.todo, slices.DeleteFunc(effects, func(e vote.Effect) bool {
		switch e := e.(type) {
		case vote.Accept:
			if e.Class == class && e.Digest == it.digest {
				if m.hold(it) {
					verdict = gossip.VerdictNew
				}
				return true
			}
		case vote.Refuse:
			if e.Class == class {
				verdict = gossip.VerdictInvalid
				return true
			}
		}
		return false
	})...)
	return it.digest, verdict
}

// hold keeps an item of the committee that is valid, as long as there is room.
func (m *Machine) hold(it *item) bool {
	if !m.items.put(it) {
		return false
	}
	if it.class == record.ClassCertificate {
		m.keep(BucketCert, it.digest[:], it.data)
		for _, old := range m.items.shed() {
			m.keep(BucketCert, old.digest[:], nil)
		}
	}
	return true
}
