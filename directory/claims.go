// SPDX-License-Identifier: BSD-3-Clause

package directory

import (
	"crypto/ed25519"
	"errors"
	"iter"
	"maps"
	"slices"
	"time"

	"chive/directory/gossip"
	"chive/directory/record"
	"chive/directory/transition"
	"chive/directory/vote"
)

// Bounds of what is held against relays: of each relay that is or lately was in the
// table, or that waits for a place, a tombstone of itself and a few of its signing keys,
// and one piece of evidence of each weight. What comes beyond is not taken. Of relays that
// are gone, or have not been let in, so many tombstones are kept; of more than that those
// go whose time is over first.
const (
	maxTombstones = 4
	maxGone       = 16 << 10
	maxNeverIn    = 1 << 10
)

// evidenceLife is how long evidence is kept after its penalty came into force, in
// days.
const evidenceLife = 7

// tombstone is one that is held.
type tombstone struct {
	*record.Tombstone
	rid  record.RID
	data []byte
	was  bool      // the relay is, or was, in the table
	met  time.Time // when it was last seen to wait for a place; zero: never
	came time.Time // zero: it was kept
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
	of         map[record.RID][][32]byte // tombstones of a relay
	evidence   map[[32]byte]*accusation
}

// revoked reports whether a relay's identity, or the key it is signed through, is
// revoked.
func (c *claims) revoked(rid record.RID, identity ed25519.PublicKey, cert *record.Cert, now time.Time) bool {
	return slices.ContainsFunc(c.of[rid], func(digest [32]byte) bool { return c.tombstones[digest].Revokes(identity, cert, now) })
}

func (c *claims) bury(digest [32]byte, t *tombstone) {
	c.tombstones[digest] = t
	c.of[t.rid] = append(c.of[t.rid], digest)
}

func (c *claims) unearth(digest [32]byte) {
	rid := c.tombstones[digest].rid
	delete(c.tombstones, digest)
	c.of[rid] = slices.DeleteFunc(c.of[rid], func(d [32]byte) bool { return d == digest })
	if len(c.of[rid]) == 0 {
		delete(c.of, rid)
	}
}

// room reports whether one more tombstone of a relay may be held. One of the identity
// always may, in the place of one that ends sooner, which it returns: whoever has stolen
// a key must not keep its owner's word out. That is gap after the last at the soonest, as
// with descriptors: each one goes to every relay, and to its disk.
func (c *claims) room(t *record.Tombstone, rid record.RID, now time.Time, gap time.Duration) (instead *[32]byte, ok bool) {
	keys := 0
	for _, digest := range c.of[rid] {
		switch held := c.tombstones[digest]; {
		case len(held.Key) > 0:
			keys++
		case len(t.Key) == 0:
			return &digest, t.Until.After(held.Until) && now.Sub(held.came) >= gap
		}
	}
	return nil, len(t.Key) == 0 || keys < maxTombstones-1
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
	return m.takeTombstone(data, false, false)
}

// takeTombstone is acceptTombstone, or takes back one that was kept.
func (m *Machine) takeTombstone(data []byte, kept, neverIn bool) ([32]byte, gossip.Verdict) {
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
	instead, room := m.claims.room(t, rid, m.now, m.p.RepublishGap)
	if !kept && !m.concerns(rid) || !room {
		return digest, gossip.VerdictKnown
	}
	if instead != nil {
		m.dropTombstone(*instead)
	}
	held := &tombstone{Tombstone: t, rid: rid, data: data, was: m.remembers(rid), came: m.now}
	if kept {
		held.was, held.came = !neverIn, time.Time{}
	}
	if _, _, waits := m.pending.Get(rid); waits {
		held.met = m.now
	}
	m.claims.bury(digest, held)
	m.keep(BucketDesc, held.key(digest), data)
	if d := m.descs.newest(rid); d != nil && t.Revokes(d.Identity, d.signed.Cert, m.now) {
		m.descs.remove(m.cfg.Catalog, rid)
		m.keep(BucketDesc, descriptorKey(rid), nil)
	}
	if m.candidateRevoked(rid) {
		m.pending.Remove(rid)
	}
	return digest, gossip.VerdictNew
}

// key is where a tombstone is stored: one of a relay that was never in the table has a
// byte more.
func (t *tombstone) key(digest [32]byte) []byte {
	key := claimKey(record.ClassTombstone, digest)
	if !t.was {
		key = append(key, 0)
	}
	return key
}

func (m *Machine) dropTombstone(digest [32]byte) {
	m.keep(BucketDesc, m.claims.tombstones[digest].key(digest), nil)
	m.claims.unearth(digest)
}

// candidateRevoked reports whether a candidate that is held is revoked.
func (m *Machine) candidateRevoked(rid record.RID) bool {
	c, _, waits := m.pending.Get(rid)
	if !waits {
		return false
	}
	o, err := record.OpenCandidate(c.Data, m.nid, m.now, m.times())
	return err == nil && m.claims.revoked(rid, o.Descriptor.Identity, o.Signed.Cert, m.now)
}

// remembers reports whether a relay is in the table, or dormant.
func (m *Machine) remembers(rid record.RID) bool {
	_, listed := m.table().Index(rid)
	_, dormant := m.at.state.Dormant(rid)
	return listed || dormant
}

// concerns reports whether claims about a relay are of use to others: it is in the table,
// is remembered, or waits for a place with work that was checked: without that anybody could
// fill the room for tombstones of identities that were never in.
func (m *Machine) concerns(rid record.RID) bool {
	_, checked, _ := m.pending.Get(rid)
	return checked || m.remembers(rid)
}

// spread goes through the tombstones that others take: of relays that concern them, or
// that somebody has lately introduced. The rest is kept for the day when the identity
// comes back.
func (m *Machine) spread() iter.Seq[[32]byte] {
	return func(yield func([32]byte) bool) {
		for digest, t := range m.claims.tombstones {
			if (m.concerns(t.rid) || m.metLately(t)) && !yield(digest) {
				return
			}
		}
	}
}

func (m *Machine) metLately(t *tombstone) bool { return !t.met.IsZero() && m.now.Sub(t.met) < m.day() }

// metRevoked tells others of the tombstones of a relay that wants a place, once a day:
// whoever came later does not know them.
func (m *Machine) metRevoked(rid record.RID) {
	for _, digest := range m.claims.of[rid] {
		if t := m.claims.tombstones[digest]; !m.metLately(t) {
			t.met = m.now
			m.tell(gossip.Announce{Class: record.ClassTombstone, Digest: digest})
		}
	}
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

// expireClaims forgets tombstones whose time is over, whatever has become of the relay,
// evidence that has done its work or that cannot any more, and that about relays that are
// gone.
func (m *Machine) expireClaims() {
	var gone, never [][32]byte
	for _, digest := range sortedDigests(m.claims.tombstones) {
		switch t := m.claims.tombstones[digest]; {
		case !m.now.Before(t.Until):
			m.dropTombstone(digest)
		case m.remembers(t.rid):
			if !t.was { // it was let in since
				old := t.key(digest)
				t.was = true
				m.keep(BucketDesc, t.key(digest), t.data)
				m.keep(BucketDesc, old, nil)
			}
		case t.was:
			gone = append(gone, digest)
		default:
			never = append(never, digest)
		}
	}
	m.shedTombstones(gone, maxGone)
	m.shedTombstones(never, maxNeverIn)
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

// shedTombstones drops those that end first, until a bound holds.
func (m *Machine) shedTombstones(all [][32]byte, most int) {
	if len(all) <= most {
		return
	}
	slices.SortStableFunc(all, func(a, b [32]byte) int {
		return m.claims.tombstones[a].Until.Compare(m.claims.tombstones[b].Until)
	})
	for _, digest := range all[:len(all)-most] {
		m.dropTombstone(digest)
	}
}
