// SPDX-License-Identifier: BSD-3-Clause

package directory

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"

	"chive/directory/gossip"
	"chive/directory/record"
	"chive/directory/sybil"
)

// receiptSize is what stands before a candidate in BucketCand: `epoch 8 | bits 1`.
const receiptSize = 9

// keepCandidates stores which candidates wait, with when they came: a member votes for
// those alone that it has held since before the day's lottery, so that a round of restarts
// would stop admission for a day. Those whose work nobody has checked cost nothing and are
// not kept. Spec: directory §10 (storage), protocol §7 (ADM-3, ADM-6).
func (m *Machine) keepCandidates() {
	for _, rid := range m.pending.Changes() {
		c, _, _ := m.pending.Get(rid)
		receipt, checked := m.pending.Receipt(rid)
		stored, was := m.stored[rid]
		switch {
		case checked && (!was || stored != c.Digest):
			value := binary.BigEndian.AppendUint64(make([]byte, 0, receiptSize+len(c.Data)), receipt.Epoch)
			value = append(append(value, byte(min(receipt.Bits, 255))), c.Data...)
			m.stored[rid] = c.Digest
			m.keep(BucketCand, rid[:], value)
		case !checked && was:
			delete(m.stored, rid)
			m.keep(BucketCand, rid[:], nil)
		}
	}
}

// loadCandidates takes back those that were stored, in the order in which they came, and
// deletes what does not hold any more.
func (m *Machine) loadCandidates() {
	type saved struct {
		key, data []byte
		receipt   sybil.Receipt
	}
	var all []saved
	now := m.doc.EpochAt(m.now)
	for key, value := range m.saved(BucketCand) {
		s := saved{key: bytes.Clone(key)}
		if len(value) > receiptSize {
			s.receipt = sybil.Receipt{Epoch: min(binary.BigEndian.Uint64(value), now), Bits: int(value[receiptSize-1])}
			s.data = bytes.Clone(value[receiptSize:])
		}
		all = append(all, s)
	}
	slices.SortStableFunc(all, func(a, b saved) int { return cmp.Compare(a.receipt.Epoch, b.receipt.Epoch) })
	for _, s := range all {
		if len(s.key) != record.RIDSize || !m.restoreCandidate(record.RID(s.key), s.data, s.receipt) {
			m.keep(BucketCand, s.key, nil)
		}
	}
}

func (m *Machine) restoreCandidate(rid record.RID, data []byte, r sybil.Receipt) bool {
	o, err := record.OpenCandidate(data, m.nid, m.now, m.times())
	if err != nil || o.Entry == nil || o.RID != rid || m.claims.revoked(o.RID, o.Descriptor.Identity, o.Signed.Cert, m.now) {
		return false
	}
	c, verdict := m.asCandidate(o, data)
	if verdict != gossip.VerdictNew {
		return false
	}
	m.stored[rid] = c.Digest
	if !m.pending.Restore(c, r) {
		delete(m.stored, rid)
		return false
	}
	return true
}
