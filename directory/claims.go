// SPDX-License-Identifier: BSD-3-Clause

package directory

import (
	"crypto/ed25519"
	"errors"
	"maps"
	"slices"
	"time"

	"chive/directory/gossip"
	"chive/directory/record"
	"chive/directory/transition"
	"chive/directory/vote"
)

// Bounds of what is held against relays: of each relay that is or lately was in the
// table a tombstone of itself and a few of its signing keys, and one piece of
// evidence of each weight. What comes beyond is not taken.
const maxTombstones = 4

// evidenceLife is how long evidence is kept after its penalty came into force, in
// days.
const evidenceLife = 7

// tombstone is one that is held.
type tombstone struct {
	*record.Tombstone
	rid  record.RID
	data []byte
}

// accusation is a piece of evidence that is held.
type accusation struct {
	transition.Evidence
	data []byte
	done uint64 // epoch in which its penalty was seen in force; 0: not yet
}

// claims holds tombstones and evidence by item digest.
type claims struct {
	tombstones map[[32]byte]*tombstone
	evidence   map[[32]byte]*accusation
}

// revoked reports whether an identity, or the key it is signed through, is revoked.
func (c *claims) revoked(identity ed25519.PublicKey, cert *record.Cert, now time.Time) bool {
	for _, t := range c.tombstones {
		if t.Revokes(identity, cert, now) {
			return true
		}
	}
	return false
}

func (c *claims) tombstonesOf(rid record.RID) (n int) {
	for _, t := range c.tombstones {
		if t.rid == rid {
			n++
		}
	}
	return n
}

func (c *claims) evidenceOf(rid record.RID, reason uint8) bool {
	for _, e := range c.evidence {
		if e.RID == rid && e.Reason == reason {
			return true
		}
	}
	return false
}

func sortedDigests[V any](all map[[32]byte]V) [][32]byte {
	return slices.SortedFunc(maps.Keys(all), func(a, b [32]byte) int { return slices.Compare(a[:], b[:]) })
}

func claimKey(class byte, digest [32]byte) []byte { return append([]byte{class}, digest[:]...) }

// acceptTombstone judges one from a peer, or our own.
func (m *Machine) acceptTombstone(data []byte) ([32]byte, gossip.Verdict) {
	signed, err := record.DecodeSigned(data, record.MaxTombstoneSize)
	if err != nil {
		return [32]byte{}, gossip.VerdictInvalid
	}
	digest := record.ItemDigest(record.ClassTombstone, signed.Payload)
	if m.claims.tombstones[digest] != nil {
		return digest, gossip.VerdictKnown
	}
	t, _, err := record.OpenTombstone(data, m.nid, m.now)
	if errors.Is(err, record.ErrTombstone) { // of a clock that is a little ahead of ours
		t, _, err = record.OpenTombstone(data, m.nid, m.now.Add(m.p.ClockAhead))
	}
	if untimely(err) {
		return digest, gossip.VerdictKnown
	}
	if err != nil {
		return digest, gossip.VerdictInvalid
	}
	rid := record.NewRID(m.nid, t.Identity)
	if !m.concerns(rid) || m.claims.tombstonesOf(rid) >= maxTombstones {
		return digest, gossip.VerdictKnown
	}
	m.claims.tombstones[digest] = &tombstone{t, rid, data}
	m.keep(BucketDesc, claimKey(record.ClassTombstone, digest), data)
	if d := m.descs.newest(rid); d != nil && t.Revokes(d.Identity, d.signed.Cert, m.now) {
		m.descs.remove(m.cfg.Catalog, rid)
		m.keep(BucketDesc, descriptorKey(rid), nil)
	}
	return digest, gossip.VerdictNew
}

// concerns reports whether claims about a relay are of use: it is in the table, or
// is remembered.
func (m *Machine) concerns(rid record.RID) bool {
	_, listed := m.table().Index(rid)
	_, dormant := m.at.state.Dormant(rid)
	return listed || dormant
}

// acceptEvidence judges evidence from a peer.
func (m *Machine) acceptEvidence(data []byte) ([32]byte, gossip.Verdict) {
	e, err := record.DecodeEvidence(data)
	if err != nil {
		return [32]byte{}, gossip.VerdictInvalid
	}
	digest, err := e.Digest()
	if err != nil {
		return [32]byte{}, gossip.VerdictInvalid
	}
	if m.claims.evidence[digest] != nil {
		return digest, gossip.VerdictKnown
	}
	rid, reason, ok := m.accused(e)
	if !ok || m.claims.evidenceOf(rid, reason) {
		return digest, gossip.VerdictKnown
	}
	if err := e.Verify(m.nid, m.now, m.times(), vote.EvidenceRules()); err != nil {
		if e.Kind == record.ClassDescriptor && untimely(err) {
			return digest, gossip.VerdictKnown
		}
		return digest, gossip.VerdictInvalid
	}
	m.holdEvidence(rid, reason, digest, data)
	return digest, gossip.VerdictNew
}

// accused returns whom evidence is about, as our table tells: the relay of that
// identity, or the one whose committee key it is.
func (m *Machine) accused(e *record.Evidence) (record.RID, uint8, bool) {
	table := m.table()
	if e.Kind == record.ClassDescriptor {
		rid := record.NewRID(m.nid, e.Signer)
		_, listed := table.Index(rid)
		return rid, transition.PenaltyProbation, listed
	}
	for _, l := range m.at.state.Lists() {
		if l == nil {
			continue
		}
		for i := range l.Seats {
			if slices.Equal(l.Seats[i].Key[:], e.Signer) {
				_, listed := table.Index(l.Seats[i].RID)
				return l.Seats[i].RID, transition.PenaltySeat, listed
			}
		}
	}
	return record.RID{}, 0, false
}

func (m *Machine) holdEvidence(rid record.RID, reason uint8, digest [32]byte, data []byte) {
	m.claims.evidence[digest] = &accusation{transition.Evidence{RID: rid, Reason: reason, Digest: digest}, data, 0}
	m.keep(BucketDesc, claimKey(record.ClassEvidence, digest), data)
	m.emit(Report{What: ReportEvidence, RID: rid})
}

// accuseOf makes evidence of two signed records of one identity and spreads it.
func (m *Machine) accuseOf(kind byte, signer ed25519.PublicKey, a, b []byte) {
	if e, err := record.NewEvidence(kind, signer, slices.Clone(a), slices.Clone(b)); err == nil {
		m.accuse(e)
	}
}

// accuse keeps and spreads evidence of our own making.
func (m *Machine) accuse(e *record.Evidence) {
	data, err := e.Encode()
	if err != nil {
		return // too large to travel
	}
	if digest, verdict := m.acceptEvidence(data); verdict == gossip.VerdictNew {
		m.tell(gossip.Announce{Class: record.ClassEvidence, Digest: digest})
	}
}

// expireClaims forgets tombstones whose time is over, evidence that has done its work
// or that cannot any more, and all about relays that are gone.
func (m *Machine) expireClaims() {
	for _, digest := range sortedDigests(m.claims.tombstones) {
		if t := m.claims.tombstones[digest]; !m.now.Before(t.Until) || !m.concerns(t.rid) {
			delete(m.claims.tombstones, digest)
			m.keep(BucketDesc, claimKey(record.ClassTombstone, digest), nil)
		}
	}
	epoch, keep := m.at.state.Epoch(), uint64(evidenceLife*max(m.p.Day, 1))
	for _, digest := range sortedDigests(m.claims.evidence) {
		e := m.claims.evidence[digest]
		i, listed := m.table().Index(e.RID)
		if listed {
			a := m.at.state.Aux(i)
			end := a.PenaltyEnd
			if e.Reason == transition.PenaltyProbation {
				end = a.ProbationEnd
			}
			if end > epoch && e.done == 0 {
				e.done = epoch
			}
			if e.done == 0 || epoch < e.done+keep {
				continue
			}
		}
		delete(m.claims.evidence, digest)
		m.keep(BucketDesc, claimKey(record.ClassEvidence, digest), nil)
	}
}

// accusations returns the evidence that is to be voted on.
func (m *Machine) accusations() []transition.Evidence {
	var out []transition.Evidence
	for _, digest := range sortedDigests(m.claims.evidence) {
		if e := m.claims.evidence[digest]; e.done == 0 {
			out = append(out, e.Evidence)
		}
	}
	return out
}
