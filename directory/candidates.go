// SPDX-License-Identifier: BSD-3-Clause

package directory

import (
	"crypto/ed25519"
	"errors"
	"slices"

	"chive/directory/gossip"
	"chive/directory/record"
	"chive/directory/snapshot"
	"chive/directory/sybil"
)

// identity returns the key of a relay, as its descriptor tells: the table has none.
func (m *Machine) identity(rid record.RID) (ed25519.PublicKey, bool) {
	d := m.descs.newest(rid)
	if d == nil {
		return nil, false
	}
	return d.Identity, true
}

// challenge returns what work has to solve, if the beacon of its epoch is known: that
// of the newest snapshot or of one of its ancestors, as far back as work is good.
// Spec: protocol §7 (ADM-2).
func (m *Machine) challenge(identity ed25519.PublicKey, w *record.Work) (sybil.Challenge, bool) {
	if !sybil.Needed(m.p) {
		return sybil.Challenge{}, true
	}
	if w == nil || sybil.CheckSalt(m.p, w.Epoch, m.doc.EpochAt(m.now)) != nil {
		return sybil.Challenge{}, false
	}
	h := m.at.state.Snapshot().Header()
	for i := 0; h.Epoch > w.Epoch && i < len(m.at.chain); i++ {
		h = m.at.chain[i]
	}
	if h.Epoch != w.Epoch {
		return sybil.Challenge{}, false
	}
	return sybil.NewChallenge(m.p, m.nid, identity, w.Epoch, h.Beacon), true
}

// untimely reports an error that another clock may not find.
func untimely(err error) bool {
	return errors.Is(err, record.ErrExpired) || errors.Is(err, record.ErrAhead) || errors.Is(err, record.ErrCert)
}

// nameCandidate returns the item digest of a candidate that is not of this time, as
// record.OpenCandidate would. Spec: protocol §7 (REC).
func nameCandidate(data []byte) ([32]byte, bool) {
	c, err := record.DecodeCandidate(data)
	if err != nil {
		return [32]byte{}, false
	}
	signed, err := record.DecodeSigned(c.Descriptor, record.MaxDescriptorSize)
	if err != nil {
		return [32]byte{}, false
	}
	digest := record.ItemDigest(record.ClassDescriptor, signed.Payload)
	payload := digest[:]
	if len(c.Voucher) > 0 {
		voucher, err := record.DecodeSigned(c.Voucher, record.MaxVoucherSize)
		if err != nil {
			return [32]byte{}, false
		}
		w := record.ItemDigest(record.ClassVoucher, voucher.Payload)
		payload = append(payload, w[:]...)
	}
	return record.ItemDigest(record.ClassCandidate, payload), true
}

// acceptCandidate judges one from a peer. Spec: directory §7 (2).
func (m *Machine) acceptCandidate(data []byte) ([32]byte, gossip.Verdict) {
	o, err := record.OpenCandidate(data, m.nid, m.now, m.times())
	if err != nil {
		if digest, named := nameCandidate(data); named && untimely(err) {
			return digest, gossip.VerdictKnown
		}
		return [32]byte{}, gossip.VerdictInvalid
	}
	if o.Entry == nil {
		return o.Digest, gossip.VerdictInvalid
	}
	if _, _, held := m.pending.ByDigest(o.Digest); held {
		return o.Digest, gossip.VerdictKnown
	}
	entry, known := m.identity(o.Entry.Entry)
	if !known || !m.mayIntroduce(o.Entry.Entry) {
		return o.Digest, gossip.VerdictKnown
	}
	if err := o.Entry.Verify(o.EnteredBy, m.nid, entry, m.now); err != nil {
		if untimely(err) {
			return o.Digest, gossip.VerdictKnown
		}
		return o.Digest, gossip.VerdictInvalid
	}
	return o.Digest, m.takeCandidate(o, data)
}

// mayIntroduce reports whether a relay is old enough to be an entry relay.
func (m *Machine) mayIntroduce(rid record.RID) bool {
	r, listed := m.table().Relay(rid)
	return listed && r.Flags&snapshot.FlagRunning != 0 && m.at.state.Snapshot().Day()-int(r.BirthDay) >= m.p.EntryAge
}

// takeCandidate keeps a candidate whose entry statement was verified or is our own.
func (m *Machine) takeCandidate(o *record.Opened, data []byte) gossip.Verdict {
	c, verdict := m.asCandidate(o, data)
	if verdict != gossip.VerdictNew {
		return verdict
	}
	before, stands, _ := m.pending.Get(o.RID)
	if m.pending.Put(c, m.doc.EpochAt(m.now), m.now) != sybil.Taken {
		return gossip.VerdictKnown
	}
	_, checked, _ := m.pending.ByDigest(o.Digest)
	if checked || !stands { // else the one before stands until the work is checked
		m.replaced(before.Body, c)
	}
	if !checked {
		return gossip.VerdictLater
	}
	m.found(o.RID)
	return gossip.VerdictNew
}

// replaced forgets whether a candidate was reached whose descriptor is another one: its
// addresses may be others. That it could not be reached stays: it would come before those
// that nobody has probed yet, as often as it makes a descriptor.
func (m *Machine) replaced(before [32]byte, c sybil.Candidate) {
	if before == c.Body {
		return
	}
	if !m.reach.failed[c.RID].After(m.reach.last[c.RID]) {
		delete(m.reach.failed, c.RID)
	}
	delete(m.reach.last, c.RID)
}

// asCandidate judges all of a candidate but its entry statement and its work.
func (m *Machine) asCandidate(o *record.Opened, data []byte) (c sybil.Candidate, v gossip.Verdict) {
	if _, listed := m.table().Index(o.RID); listed {
		return c, gossip.VerdictKnown
	}
	if m.claims.revoked(o.RID, o.Descriptor.Identity, o.Signed.Cert, m.now) {
		m.metRevoked(o.RID)
		return c, gossip.VerdictKnown
	}
	challenge, ok := m.challenge(o.Descriptor.Identity, o.Work)
	if !ok {
		return c, gossip.VerdictKnown
	}
	if challenge.CheckStamp(o.Work) != nil {
		if o.Work != nil && o.Work.Epoch == m.at.state.Epoch() {
			return c, gossip.VerdictKnown // another may stand in our newest one's place
		}
		return c, gossip.VerdictInvalid
	}
	c = sybil.Candidate{
		RID: o.RID, Digest: o.Digest, Seq: o.Descriptor.Seq, Body: o.Body, Entry: o.Entry.Entry,
		Expires: o.Descriptor.Expires, Data: data, Challenge: challenge,
	}
	if o.Work != nil {
		c.Work = *o.Work
	}
	if o.Voucher != nil {
		sponsor, known := m.identity(o.Voucher.Sponsor)
		today := m.at.state.Snapshot().Day()
		at, listed := m.table().Index(o.Voucher.Sponsor)
		if !known || !listed || !m.at.state.Eligible(m.p, at) || o.Voucher.Verify(o.VouchedBy, m.nid, sponsor, uint16(min(today, 1<<16-1)), m.now) != nil {
			return c, gossip.VerdictKnown // as far as our table tells
		}
		c.Vouched, c.Sponsor = true, o.Voucher.Sponsor
	}
	return c, gossip.VerdictNew
}

// checkWork asks for the work of the next candidate to be checked.
func (m *Machine) checkWork() {
	c, again, ok := m.pending.NextCheck(m.now)
	m.checkAt = again
	if ok {
		m.emit(CheckWork{Digest: c.Digest, Challenge: c.Challenge, Work: c.Work})
	}
}

// workChecked takes the bits that a candidate's work has, for the store or for a JOIN.
func (m *Machine) workChecked(ev WorkChecked) {
	m.enteringWork(ev)
	c, checked, held := m.pending.ByDigest(ev.Digest)
	before, _, _ := m.pending.Get(c.RID)
	if !held || c.Work != ev.Work || !m.pending.Checked(ev.Digest, ev.Bits) {
		return
	}
	switch {
	case checked:
	case before.Digest == c.Digest: // another may have stood there, and have been reached
		m.replaced([32]byte{}, c)
	default:
		m.replaced(before.Body, c)
	}
	m.found(c.RID)
	m.tell(gossip.Announce{Class: record.ClassCandidate, Digest: ev.Digest})
}

// candidate returns the descriptor of a candidate that is held.
func (m *Machine) candidate(rid record.RID) (c sybil.Candidate, d *record.Descriptor, data []byte) {
	c, checked, ok := m.pending.Get(rid)
	if !ok || !checked {
		return c, nil, nil
	}
	opened, err := record.DecodeCandidate(c.Data)
	if err != nil {
		return c, nil, nil
	}
	signed, err := record.DecodeSigned(opened.Descriptor, record.MaxDescriptorSize)
	if err != nil {
		return c, nil, nil
	}
	d, err = record.DecodeDescriptor(signed.Payload)
	if err != nil {
		return c, nil, nil
	}
	return c, d, opened.Descriptor
}

// admitted moves candidates that are in the table now to where relays are.
func (m *Machine) admitted() {
	m.pending.Resize(m.table().Len())
	m.pending.Expire(m.doc.EpochAt(m.now), m.now)
	for i := range m.table().Len() {
		rid := m.table().At(i).RID
		if _, _, held := m.pending.Get(rid); !held {
			continue
		}
		if _, _, data := m.candidate(rid); data != nil {
			if digest, verdict := m.acceptDescriptor(slices.Clone(data)); verdict == gossip.VerdictNew {
				m.tell(gossip.Announce{Class: record.ClassDescriptor, Digest: digest})
			}
		}
		m.pending.Remove(rid)
	}
}
