// SPDX-License-Identifier: BSD-3-Clause

package directory

import (
	"testing"
	"time"

	"chive/directory/genesis"
	"chive/directory/gossip"
	"chive/directory/record"
	"chive/directory/sybil"
)

// revocation is a relay's tombstone of itself.
func (s *sim) revocation(n *node, until time.Time) []byte {
	s.t.Helper()
	identity := signingKey("identity", n.n)
	id := public(identity)
	data, err := record.SealTombstone(&record.Tombstone{Identity: id[:], Until: until.Truncate(time.Second)}, s.doc.NetworkID(), identity)
	if err != nil {
		s.t.Fatal(err)
	}
	return data
}

// Whoever goes on revoking itself, each time for a second longer, does not keep all relays
// busy: one is taken in as long a time as one descriptor is. Spec: REC-5.
func TestTombstonesOfOneIdentityAreFewInATime(t *testing.T) {
	s := newSim(t, 4, 51)
	s.startAll()
	s.until(12 * time.Second)
	m, until := s.nodes[0].m, s.now.Add(time.Hour)
	take := func(i int) gossip.Verdict {
		_, verdict := m.acceptTombstone(s.revocation(s.nodes[3], until.Add(time.Duration(i)*time.Second)))
		return verdict
	}
	taken := 0
	for i := range 100 {
		if take(i) == gossip.VerdictNew {
			taken++
		}
	}
	if taken != 1 || len(m.claims.tombstones) != 1 {
		t.Errorf("%d of 100 were taken, %d are held", taken, len(m.claims.tombstones))
	}
	m.Step(s.now.Add(s.doc.Params.RepublishGap), Tick{}, nil)
	if take(100) != gossip.VerdictNew || take(99) != gossip.VerdictKnown || len(m.claims.tombstones) != 1 {
		t.Error("later one that ends later does not stand in its place")
	}
}

// A tombstone of one that was never in the table, and is now, is forgotten on the disk
// when its time is over, whether there was a restart in between or not.
func TestATombstoneLeavesNothingOnTheDisk(t *testing.T) {
	for _, restart := range []bool{false, true} {
		s := newSim(t, 4, 52)
		s.startAll()
		s.until(12 * time.Second)
		n := s.nodes[0]
		digest, verdict := n.m.acceptTombstone(s.revocation(s.nodes[3], s.now.Add(30*time.Second)))
		held := n.m.claims.tombstones[digest]
		if verdict != gossip.VerdictNew || held == nil {
			t.Fatal(verdict)
		}
		held.was = false // as one that waited for a place when it came
		n.store[BucketDesc][string(held.key(digest))] = held.data
		n.m.out = nil
		if restart {
			n.stop()
			n.start()
		}
		s.until(70 * time.Second)
		for key := range n.store[BucketDesc] {
			if key[0] == record.ClassTombstone {
				t.Errorf("restart %v: %x is still there", restart, key)
			}
		}
	}
}

// Identities cost nothing, and tombstones of those that were never in have little room: only
// who has done the work has one. Spec: REC-5.
func TestATombstoneOfACandidateWaitsForItsWork(t *testing.T) {
	s := newSim(t, 4, 53)
	s.startAll()
	s.until(12 * time.Second)
	m, stranger := s.nodes[0].m, s.add()
	m.pending = sybil.NewPending(genesis.Public(), m.table().Len())
	c := sybil.Candidate{RID: stranger.rid, Digest: [32]byte{1}, Seq: 1, Expires: s.now.Add(time.Hour), Work: record.Work{Nonce: 1}}
	if m.pending.Put(c, 1, s.now) != sybil.Taken {
		t.Fatal("not taken")
	}
	tombstone := s.revocation(stranger, s.now.Add(time.Hour))
	if _, verdict := m.acceptTombstone(tombstone); verdict != gossip.VerdictKnown || len(m.claims.tombstones) != 0 {
		t.Errorf("before: %v, %d held", verdict, len(m.claims.tombstones))
	}
	m.pending.Checked(c.Digest, genesis.Public().WorkBits)
	if _, verdict := m.acceptTombstone(tombstone); verdict != gossip.VerdictNew || len(m.claims.tombstones) != 1 {
		t.Errorf("after: %v, %d held", verdict, len(m.claims.tombstones))
	}
}
