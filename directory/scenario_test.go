// SPDX-License-Identifier: BSD-3-Clause

package directory

import (
	"crypto/ed25519"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"chive/directory/committee"
	"chive/directory/gossip"
	"chive/directory/record"
	"chive/directory/vote"
)

func TestRelayThatStopsIsMarkedAndReturns(t *testing.T) {
	s := newSim(t, 7, 2)
	s.startAll()
	s.until(43 * time.Second)
	gone := s.nodes[3]
	gone.stop()
	s.until(75 * time.Second)
	if s.nodes[0].running(gone.rid) {
		t.Fatalf("runs at epoch %d, 3 windows after it stopped", s.nodes[0].epoch())
	}
	for _, n := range s.nodes {
		if n != gone && !s.nodes[0].running(n.rid) {
			t.Errorf("node %d does not run", n.n)
		}
	}
	gone.start()
	s.until(115 * time.Second)
	for _, n := range s.nodes {
		if !n.running(gone.rid) || n.epoch() != 11 {
			t.Errorf("node %d: it runs: %v; epoch %d", n.n, n.running(gone.rid), n.epoch())
		}
	}
	if out := s.skipped(1, 11); len(out) > 0 {
		t.Errorf("skipped %v", out)
	}
}

// One that only a probe can tell from a frozen one: its links stay up and are silent.
func TestFrozenRelayIsProbedAndMarked(t *testing.T) {
	s := newSim(t, 7, 3)
	s.startAll()
	s.until(43 * time.Second)
	frozen := s.nodes[2]
	frozen.up = false // and nobody is told
	s.until(85 * time.Second)
	if s.nodes[0].running(frozen.rid) {
		t.Errorf("runs at epoch %d", s.nodes[0].epoch())
	}
}

func TestNewOnionKeyArrivesInTheTable(t *testing.T) {
	s := newSim(t, 4, 4)
	s.startAll()
	s.until(32 * time.Second)
	n := s.nodes[1]
	n.onion = 5
	n.step(Renew{})
	s.until(55 * time.Second)
	want := onionKey(t, "onion5 ", 1)
	for _, o := range s.nodes {
		if r, ok := o.m.Head().State.Snapshot().Table().Relay(n.rid); !ok || r.Onion != want {
			t.Errorf("node %d has another onion key at epoch %d", o.n, o.epoch())
		}
	}
}

// Members crash before and after a store of a promise, at random, and come back.
func TestMembersThatCrashAroundStoresSignOnce(t *testing.T) {
	s := newSim(t, 7, 5)
	r := rand.New(rand.NewPCG(5, 5))
	crashes := 0
	for _, n := range s.nodes {
		n.crash = func(e Effect, before bool) bool {
			if st, ok := e.(Store); !ok || st.Token == 0 || r.IntN(20) > 0 {
				return false
			}
			crashes++
			s.after(time.Duration(200+r.IntN(3000))*time.Millisecond, n.start)
			return true
		}
	}
	s.startAll()
	s.until(155 * time.Second)
	for _, n := range s.nodes {
		n.crash = nil
	}
	s.until(185 * time.Second) // look fails the test when a seat signs twice
	if crashes < 10 {
		t.Errorf("only %d crashes", crashes)
	}
	for _, n := range s.nodes {
		if n.epoch() != 18 {
			t.Errorf("node %d is at %d after %d crashes", n.n, n.epoch(), crashes)
		}
	}
	t.Logf("%d crashes, skipped %v", crashes, s.skipped(1, 18))
}

func TestMemberWhoseStoreFailsAbstains(t *testing.T) {
	s := newSim(t, 4, 6)
	s.nodes[0].fails = true
	s.startAll()
	s.until(65 * time.Second)
	if out := s.skipped(1, 6); len(out) > 0 {
		t.Errorf("skipped %v", out)
	}
	if got := s.nodes[0].m.Counts().Abandons; got == 0 || s.nodes[0].epoch() != 6 {
		t.Errorf("abandoned %d promises, at epoch %d", got, s.nodes[0].epoch())
	}
}

func TestMinorityStallsAndCatchesUp(t *testing.T) {
	for _, long := range []time.Duration{50 * time.Second, 400 * time.Second} { // the second across a term and 32 snapshots
		t.Run(long.String(), func(t *testing.T) {
			s := newSim(t, 7, 7)
			s.startAll()
			s.until(35 * time.Second)
			s.partition(0, 1)
			s.until(35*time.Second + long)
			if a, b := s.nodes[0].epoch(), s.nodes[4].epoch(); a > 4 || b < uint64(long/(10*time.Second))+2 {
				t.Fatalf("minority at %d, majority at %d", a, b)
			}
			if !s.nodes[0].m.Status().Stalled {
				t.Error("the minority does not say that it is stalled")
			}
			s.heal()
			s.until(35*time.Second + long + 60*time.Second)
			for _, n := range s.nodes {
				if n.epoch() != s.nodes[4].epoch() || !sameBytes(n.m.Head(), s.nodes[4].m.Head()) {
					t.Errorf("node %d is at %d, others at %d", n.n, n.epoch(), s.nodes[4].epoch())
				}
			}
		})
	}
}

// A relay that was away across a change of lists has nobody's word for it but the
// hand-over.
func TestRelayThatWasAwayWhileAListChangedReturnsByHandOver(t *testing.T) {
	s := newSim(t, 4, 8)
	s.startAll()
	s.until(75 * time.Second)
	away := s.nodes[2]
	away.stop()
	s.until(425 * time.Second) // a new list B at 300 s
	if now, _ := s.nodes[0].m.Head().State.List(committee.B); now.Term == 0 {
		t.Fatal("no new list")
	}
	away.start()
	s.until(455 * time.Second)
	if away.epoch() != s.nodes[0].epoch() || !sameBytes(away.m.Head(), s.nodes[0].m.Head()) {
		t.Errorf("it is at %d, others at %d; reports %v", away.epoch(), s.nodes[0].epoch(), away.reports)
	}
}

// States that do not hold cost an attempt each: the next neighbour is asked.
func TestOneHonestNeighbourIsEnoughToCatchUp(t *testing.T) {
	s := newSim(t, 4, 18)
	s.startAll()
	s.until(35 * time.Second)
	s.partition(0)
	for _, n := range s.nodes[1:3] {
		n.garbles = true
	}
	s.until(85 * time.Second)
	s.heal()
	s.until(125 * time.Second)
	n := s.nodes[0]
	if n.epoch() != 12 || !sameBytes(n.m.Head(), s.nodes[3].m.Head()) {
		t.Errorf("at %d, reports %v", n.epoch(), n.reports)
	}
	if n.matters()[ReportBadState] == 0 || n.matters()[ReportClosed] == 0 { // and whoever sent them is shut out
		t.Errorf("reports %v", n.reports)
	}
}

// What an earlier member had stored is no answer to the one after it.
func TestStoredOfAnEarlierMemberSaysNothing(t *testing.T) {
	s := newSim(t, 4, 19)
	s.startAll()
	s.until(25 * time.Second)
	m := s.nodes[0].m
	old := m.tokens
	if err := m.newMember(vote.Doubts{}); err != nil {
		t.Fatal(err)
	}
	for token := range old + 1 {
		m.take(Stored{Token: token, OK: true})
	}
	if len(m.todo) > 0 || m.tokensBefore != old || old == 0 {
		t.Errorf("%d effects of old answers", len(m.todo))
	}
	s.until(45 * time.Second)
	if s.nodes[0].epoch() != 4 || m.tokens <= old {
		t.Errorf("at %d, %d tokens", s.nodes[0].epoch(), m.tokens)
	}
}

func TestSilentMembersDoNotStopFinals(t *testing.T) {
	for founders, silent := range map[int]int{4: 1, 7: 2, 10: 3} {
		t.Run(fmt.Sprint(founders), func(t *testing.T) {
			if founders-committee.Quorum(founders) != silent {
				t.Fatal("not K-Q")
			}
			s := newSim(t, founders, 9)
			for n := range silent {
				s.nodes[n].silent = true
			}
			s.startAll()
			s.until(105 * time.Second)
			run := 0
			for e := uint64(1); e <= 10; e++ {
				if run++; len(s.finals[e]) > 0 {
					run = 0
				}
				if run >= 2 {
					t.Errorf("two epochs in a row without a final snapshot at %d (I9)", e)
				}
			}
			t.Logf("skipped %v", s.skipped(1, 10))
		})
	}
}

func TestEqualSeedsGiveEqualTraces(t *testing.T) {
	run := func(seed uint64) string {
		s := newSim(t, 7, seed)
		s.traced = true
		s.startAll()
		s.until(33 * time.Second)
		s.nodes[5].stop()
		s.until(55 * time.Second)
		s.nodes[5].start()
		s.until(75 * time.Second)
		return hex.EncodeToString(s.trace.Sum(nil))
	}
	first := run(11)
	if again := run(11); again != first {
		t.Error("equal seeds, different traces (I10)")
	}
	if run(12) == first {
		t.Error("the seed changes nothing")
	}
}

func TestEveryMemberRestartsAtOnceAndTheNetworkGoesOn(t *testing.T) {
	s := newSim(t, 4, 13)
	s.startAll()
	s.until(45 * time.Second)
	for _, n := range s.nodes {
		n.stop()
	}
	s.until(62 * time.Second)
	for _, n := range s.nodes {
		n.start()
		if n.epoch() < 3 {
			t.Errorf("node %d starts from %d", n.n, n.epoch())
		}
	}
	s.until(85 * time.Second)
	if out := s.skipped(7, 8); len(out) > 0 {
		t.Errorf("skipped %v", out)
	}
}

func TestRelayThatHasLostItsStoreDoesNotIncriminateItself(t *testing.T) {
	s := newSim(t, 4, 24)
	s.startAll()
	s.until(49 * time.Second)
	n := s.nodes[1]
	n.stop()
	for b := range n.store {
		clear(n.store[b])
	}
	s.until(53 * time.Second)
	n.onion = 4
	n.start()
	s.until(85 * time.Second)
	for _, o := range s.nodes {
		r, _ := o.m.Head().State.Snapshot().Table().Relay(n.rid)
		var want []Report
		if o == n { // it has signed what it knows nothing of
			want = []Report{{What: ReportOldMemory, RID: n.rid}}
		}
		if o.epoch() != 8 || !slices.Equal(o.reports, want) || r.Onion != onionKey(t, "onion4 ", 1) {
			t.Errorf("node %d: at %d, reports %v", o.n, o.epoch(), o.reports)
		}
	}
}

// Beyond 17 relays everybody has neighbours of its own, which change with the day.
func TestManyRelaysWithAssignedNeighbours(t *testing.T) {
	s := newSim(t, 20, 25)
	s.startAll()
	s.until(75 * time.Second)
	if out := s.skipped(1, 7); len(out) > 0 {
		t.Errorf("skipped %v", out)
	}
	for _, n := range s.nodes {
		if _, peers := n.m.Gossip(); n.epoch() != 7 || len(n.reports) > 0 || len(peers) == len(s.nodes)-1 {
			t.Errorf("node %d: at %d with %d streams, reports %v", n.n, n.epoch(), len(peers), n.reports)
		}
	}
}

func TestTwoDescriptorsOfOneSeqAreEvidenceAndProbation(t *testing.T) {
	s := newSim(t, 4, 14)
	s.startAll()
	s.until(32 * time.Second)
	liar := s.nodes[3]
	own := liar.m.descs.newest(liar.rid)
	p := Publish{Seq: own.Seq, Published: own.Published, Expires: own.Expires}
	liar.onion = 9
	other := liar.descriptor(p)
	d, _, err := s.nodes[0].m.openDescriptor(other)
	if err != nil {
		t.Fatal(err)
	}
	s.nodes[0].m.takeDescriptor(d)
	s.nodes[0].step(Tick{})
	s.until(65 * time.Second)
	for _, n := range s.nodes {
		state := n.m.Head().State
		i, _ := state.Snapshot().Table().Index(liar.rid)
		if state.Aux(i).ProbationEnd <= state.Epoch() {
			t.Errorf("node %d: not on probation at %d; evidence held: %d", n.n, n.epoch(), len(n.m.claims.evidence))
		}
	}
}

func TestRevokedRelayLeavesTheTable(t *testing.T) {
	s := newSim(t, 4, 15)
	s.startAll()
	s.until(32 * time.Second)
	gone := s.nodes[3]
	identity := signingKey("identity", 3)
	id := public(identity)
	data, err := record.SealTombstone(&record.Tombstone{Identity: id[:], Until: s.now.Add(time.Hour).Truncate(time.Second)}, s.doc.NetworkID(), identity)
	if err != nil {
		t.Fatal(err)
	}
	gone.step(Revocation{Data: data})
	gone.stop()
	s.until(65 * time.Second)
	defer func() { // it is not let in again while the tombstone stands: whoever has the key is no relay
		late := s.nodes[2]
		late.stop()
		late.store[BucketDesc] = map[string][]byte{} // as one that has come since
		late.start()
		again := s.nodes[0]
		again.stop()
		again.start()
		gone.joins()
		s.until(155 * time.Second)
		for _, n := range s.nodes[:3] {
			if _, _, waits := n.m.pending.Get(gone.rid); s.listed(gone) || waits {
				t.Errorf("node %d: in the table again: %v; waits: %v", n.n, s.listed(gone), waits)
			}
		}
	}()
	for _, n := range s.nodes[:3] {
		if _, listed := n.m.Head().State.Snapshot().Table().Relay(gone.rid); listed {
			t.Errorf("node %d lists it at epoch %d", n.n, n.epoch())
		}
	}
}

// One neighbour sends whatever it can think of; it is closed, and stores stay within
// their caps.
func TestCapsHoldUnderAFloodFromOneNeighbour(t *testing.T) {
	s := newSim(t, 4, 16)
	s.startAll()
	s.until(22 * time.Second)
	victim, flooder := s.nodes[0], s.nodes[3]
	identity := signingKey("identity", 3)
	r := rand.New(rand.NewPCG(1, 1))
	frame := func(f gossip.Frame) {
		body, err := f.Encode()
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range flooder.conns {
			if c.peer == victim && victim.conns[c.far] != nil {
				victim.step(Frame{Link: c.far, Body: body})
				return
			}
		}
	}
	for i := range 400 {
		// Tombstones of its own signing keys, each valid; and descriptors of strangers.
		key := signingKey("stolen", i)
		id := public(identity)
		data, err := record.SealTombstone(&record.Tombstone{
			Identity: id[:], Key: key.Public().(ed25519.PublicKey), Until: s.now.Add(time.Hour).Truncate(time.Second),
		}, s.doc.NetworkID(), identity)
		if err != nil {
			t.Fatal(err)
		}
		frame(&gossip.Item{Pushed: true, Class: record.ClassTombstone, Data: data})
		if i%4 == 0 {
			ids := make([]gossip.ShortID, gossip.MaxInvCount)
			for j := range ids {
				ids[j] = gossip.ShortID(r.Uint64())
			}
			frame(&gossip.IDs{Type: 2, Class: record.ClassVote, IDs: ids})
		}
	}
	if n := len(victim.m.claims.tombstones); n > maxTombstones {
		t.Errorf("%d tombstones of one relay", n)
	}
	for i, c := range []struct {
		until time.Duration
		want  gossip.Verdict
	}{{time.Hour, gossip.VerdictNew}, {2 * time.Hour, gossip.VerdictNew}, {time.Hour - time.Second, gossip.VerdictKnown}} {
		id := public(identity)
		data, err := record.SealTombstone(&record.Tombstone{Identity: id[:], Until: s.now.Add(c.until).Truncate(time.Second)}, s.doc.NetworkID(), identity)
		if err != nil {
			t.Fatal(err)
		}
		if _, got := victim.m.acceptTombstone(data); got != c.want || len(victim.m.claims.tombstones) > maxTombstones {
			t.Errorf("the identity's own, %d: %v, of %d", i, got, len(victim.m.claims.tombstones))
		}
		victim.m.now = victim.m.now.Add(s.doc.Params.RepublishGap)
	}
	victim.m.dropTombstone(victim.m.claims.of[flooder.rid][len(victim.m.claims.of[flooder.rid])-1])
	stats, _ := victim.m.Gossip()
	if stats.Dropped == 0 || stats.Penalties < 100 {
		t.Errorf("dropped %d, penalties %d", stats.Dropped, stats.Penalties)
	}
	s.until(65 * time.Second)
	if out := s.skipped(3, 6); len(out) > 0 || victim.epoch() != 6 {
		t.Errorf("skipped %v, victim at %d", out, victim.epoch())
	}
}

func TestItemsAreBounded(t *testing.T) {
	s := newItems()
	kept := 0
	for i := range MaxItems + 10 {
		if s.put(&item{class: record.ClassVote, digest: record.Hash("x", []byte{byte(i), byte(i >> 8)}), epoch: 1, data: make([]byte, 10)}) {
			kept++
		}
	}
	if kept != MaxItems {
		t.Errorf("%d items kept", kept)
	}
	s.expire(2)
	if s.count != 0 || s.bytes != 0 {
		t.Errorf("%d items of %d bytes left", s.count, s.bytes)
	}
	for i := range 300 {
		s.put(&item{class: record.ClassVote, digest: record.Hash("x", []byte{byte(i), byte(i >> 8)}), epoch: 1, data: make([]byte, 60<<10)})
	}
	if s.bytes > MaxItemBytes {
		t.Errorf("%d bytes", s.bytes)
	}
	for i := range MaxCertificates + 1 {
		s.put(&item{class: record.ClassCertificate, digest: record.Hash("x", []byte{byte(i), byte(i >> 8)}), epoch: uint64(i)})
	}
	if out := s.shed(); len(out) != 1 || out[0].epoch != 0 {
		t.Errorf("%d certificates went", len(out))
	}
}
