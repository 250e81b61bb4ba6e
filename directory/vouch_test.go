// SPDX-License-Identifier: BSD-3-Clause

package directory

import (
	"crypto/ed25519"
	"slices"
	"testing"
	"time"

	"chive/directory/genesis"
	"chive/directory/gossip"
	"chive/directory/record"
	"chive/directory/sybil"
	"chive/directory/transition"
)

// limited are a testnet's parameters with a public network's admission.
func limited() genesis.Params {
	p, public := genesis.Testnet(), genesis.Public()
	p.AdmitRate, p.AdmitFloor, p.AdmitHold, p.VoucherShare = public.AdmitRate, 2, public.AdmitHold, public.VoucherShare
	p.VoucherGap = public.VoucherGap
	return p
}

// vouch returns a founder's signed voucher.
func (s *sim) vouch(sponsor, newcomer *node, day int) []byte {
	s.t.Helper()
	identity := public(signingKey("identity", newcomer.n))
	text, err := record.NewVoucherText(s.doc.NetworkID(), signingKey("identity", sponsor.n), ed25519.PublicKey(identity[:]), uint16(day))
	if err != nil {
		s.t.Fatal(err)
	}
	return text.Signed
}

// joinsWith is joins with a voucher.
func (n *node) joinsWith(voucher []byte) {
	n.joins()
	n.step(Join{Voucher: voucher})
}

func (s *sim) listed(n *node) bool {
	_, listed := s.nodes[0].m.table().Index(n.rid)
	return listed
}

// A flood of newcomers waits for the open places, of which there is one a day; who has a
// voucher is on the list at the first draw, and its sponsor has none left.
// Spec: directory §7, ADM-3, ADM-4, TRN-7.
func TestAVouchedNewcomerIsAdmittedThroughAFlood(t *testing.T) {
	p := limited()
	s := newSimOf(t, 4, 31, p)
	s.startAll()
	s.until(25 * time.Second)
	var flood []*node
	for range 8 {
		n := s.add()
		n.joins()
		flood = append(flood, n)
	}
	guest := s.add()
	guest.joinsWith(s.vouch(s.nodes[0], guest, 0))
	if j := guest.m.Joining(); !j.Vouched || j.Voucher != 0 {
		t.Errorf("%+v", j)
	}
	day := time.Duration(p.Day) * p.EpochLen
	// Held since the first day; the lottery of the second has its beacon.
	s.until(2*day + 3*p.EpochLen)
	if !s.listed(guest) {
		t.Fatalf("the vouched one is not on the list: %+v", guest.m.Joining())
	}
	in := 0
	for _, n := range flood {
		if s.listed(n) {
			in++
		}
	}
	if in > 2 {
		t.Errorf("%d of the flood in two days", in)
	}
	state := s.nodes[1].m.at.state
	if why, until := state.Vouching(p, state.Epoch()+1, s.nodes[0].rid); why != transition.UnfitSpent || until < p.VoucherGap {
		t.Errorf("the sponsor: %d, from day %d", why, until)
	}
	if why, _ := state.Vouching(p, state.Epoch()+1, s.nodes[1].rid); why != transition.UnfitNot {
		t.Errorf("another founder: %d", why)
	}
}

// Entry relays say why a voucher counts for nothing, and the newcomer goes on without.
// Spec: GOS-15.
func TestANewcomerLearnsWhyItsVoucherIsRefused(t *testing.T) {
	p := limited()
	p.CommitteeAge = 60
	for name, c := range map[string]struct {
		code gossip.JoinCode
		make func(s *sim, n *node) []byte
	}{
		"a sponsor that is not on the list": {gossip.JoinSponsor, func(s *sim, n *node) []byte { return s.vouch(&node{n: 90}, n, 0) }},
		"a sponsor that has vouched": {gossip.JoinSpent, func(s *sim, n *node) []byte {
			other := s.add()
			other.joinsWith(s.vouch(s.nodes[2], other, 0))
			s.until(35 * time.Second)
			return s.vouch(s.nodes[2], n, 0)
		}},
		"another's signature": {gossip.JoinVoucherOld, func(s *sim, n *node) []byte {
			v := s.vouch(s.nodes[1], n, 0)
			v[5]++
			return v
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSimOf(t, 4, 32, p)
			s.startAll()
			s.until(25 * time.Second)
			n := s.add()
			n.joinsWith(c.make(s, n))
			s.until(58 * time.Second)
			j := n.m.Joining()
			if j.Vouched || j.Voucher != c.code || j.Accepted == 0 {
				t.Errorf("%+v", j)
			}
		})
	}
}

// A voucher whose time is over is left out without asking anybody.
func TestAnExpiredVoucherIsLeftOut(t *testing.T) {
	p := limited()
	p.Day = 1
	s := newSimOf(t, 4, 33, p)
	s.startAll()
	s.until(325 * time.Second)
	n := s.add()
	n.joinsWith(s.vouch(s.nodes[1], n, 1))
	s.until(335 * time.Second)
	if j := n.m.Joining(); j.Vouched || j.Voucher != gossip.JoinVoucherOld {
		t.Errorf("%+v", j)
	}
}

// One relay that refuses a good voucher does not make the newcomer give it up.
func TestOneRelaysWordAgainstAVoucherIsNotEnough(t *testing.T) {
	s := newSim(t, 4, 34)
	s.startAll()
	s.until(15 * time.Second)
	n := s.add()
	n.joinsWith(s.vouch(s.nodes[1], n, 0))
	j := &n.m.joining
	j.voucher, j.taken = s.vouch(s.nodes[1], n, 0), 0
	j.doubted, j.tried = map[record.RID]struct{}{}, map[record.RID]time.Time{}
	for i := range 3 {
		rid := s.nodes[i].rid
		j.tried[rid] = s.now
		n.m.joinAnswered(gossip.JoinAnswered{RID: rid, Sent: true, Code: gossip.JoinSponsor})
		n.m.joinAnswered(gossip.JoinAnswered{RID: rid, Sent: true, Code: gossip.JoinSponsor})
		n.m.joinAnswered(gossip.JoinAnswered{RID: record.RID{77}, Sent: true, Code: gossip.JoinSponsor}) // nobody asked it
		if gone := !j.withVoucher(); gone != (i == 2) {
			t.Errorf("after %d relays: given up %v", i+1, gone)
		}
	}
}

// Three entry relays that lie cost a newcomer the voucher's lane for a day, not for good.
// Spec: GOS-15.
func TestEntryRelaysThatLieTakeNoVoucherAway(t *testing.T) {
	p := limited()
	p.CommitteeAge, p.VoucherShare = 60, 1000 // no place is for everybody
	s := newSimOf(t, 4, 36, p)
	s.startAll()
	s.until(25 * time.Second)
	n := s.add()
	voucher := s.vouch(s.nodes[1], n, 0)
	n.joinsWith(voucher)
	j := &n.m.joining
	j.taken, j.doubted, j.tried = 0, map[record.RID]struct{}{}, map[record.RID]time.Time{}
	for i := range 3 {
		j.tried[s.nodes[i].rid] = s.now
		n.m.joinAnswered(gossip.JoinAnswered{RID: s.nodes[i].rid, Sent: true, Code: gossip.JoinSponsor})
	}
	if got := n.m.Joining(); got.Vouched || got.Voucher != gossip.JoinSponsor {
		t.Fatalf("%+v", got)
	}
	sent := func() (with bool) {
		t.Helper()
		c, err := record.DecodeCandidate(j.data)
		if err != nil {
			t.Fatal(err)
		}
		return c.Voucher != nil
	}
	day := time.Duration(p.Day) * p.EpochLen
	start := s.now
	s.until(s.now.Sub(s.doc.EpochStart(0)) + day/2)
	if got := n.m.Joining(); got.Vouched || got.Accepted == 0 || sent() {
		t.Errorf("meanwhile it asks for a place that is for everybody: %+v", got)
	}
	if at := n.m.joinAt(); at.IsZero() || at.After(start.Add(day)) {
		t.Errorf("it asks again at %v, said %v", at, start.Add(day))
	}
	s.until(start.Add(day).Sub(s.doc.EpochStart(0)) + 2*p.EpochLen)
	if got := n.m.Joining(); !got.Vouched || got.Voucher != 0 || got.Accepted == 0 || !sent() {
		t.Errorf("a day later: %+v", got)
	}
	s.until(start.Add(3*day).Sub(s.doc.EpochStart(0)) + 3*p.EpochLen)
	if !s.listed(n) {
		t.Errorf("the vouched one is not on the list: %+v", n.m.Joining())
	}
}

// Candidates that nobody reaches take no turns: however many of them come first in the
// lottery, the one that is there is on the list in the first hours of the day.
// Spec: directory §7.3, ADM-3.
func TestWhoIsAwayTakesNobodysTurn(t *testing.T) {
	p := limited()
	p.AdmitFloor, p.VoucherShare = 1, 0
	s := newSimOf(t, 4, 41, p)
	s.startAll()
	s.until(25 * time.Second)
	var flood []*node
	for range 16 {
		n := s.add()
		n.joins()
		flood = append(flood, n)
	}
	live := s.add()
	live.joins()
	day := time.Duration(p.Day) * p.EpochLen
	s.until(45 * time.Second) // before the first window of the next day
	for _, n := range flood {
		n.stop()
	}
	if all, _ := s.nodes[0].m.pending.Len(); all != 17 {
		t.Fatalf("%d candidates", all)
	}
	s.until(2*day + 3*p.EpochLen)
	if !s.listed(live) {
		t.Errorf("not on the list at epoch %d", s.nodes[0].epoch())
	}
	for _, n := range flood {
		if s.listed(n) {
			t.Error("one that is away is on the list")
		}
	}
}

// What cannot be reached costs a member a bounded number of probes in an epoch, and the
// next epoch's go on where they ended. Spec: ADM-3.
func TestAFloodOfAwayCandidatesIsGoneThroughInParts(t *testing.T) {
	p := limited()
	p.AdmitFloor, p.VoucherShare, p.AdmitHold = 1, 0, 0
	const tried = 32 // of a lane in an epoch
	s := newSimOf(t, 4, 42, p)
	s.startAll()
	s.until(11 * time.Second)
	m := s.nodes[0].m
	for i := range 3 * tried {
		n := s.add()
		data := n.descriptor(Publish{Seq: 1, Published: s.now, Expires: s.now.Add(p.DescriptorLife)})
		c := &record.Candidate{Descriptor: data}
		raw, err := c.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if m.pending.Put(sybil.Candidate{RID: n.rid, Digest: [32]byte{byte(i), 1}, Seq: 1, Entry: record.RID{byte(i)}, Data: raw, Expires: s.now.Add(p.DescriptorLife)}, 1, s.now) != sybil.Taken {
			t.Fatal("not taken")
		}
	}
	s.nodes[0].probes = map[uint64][]record.RID{}
	s.until(75 * time.Second)
	probed := map[record.RID]int{}
	for epoch, rids := range s.nodes[0].probes {
		tries := 0
		for _, rid := range rids {
			if _, listed := m.table().Index(rid); !listed {
				probed[rid]++
				tries++
			}
		}
		if tries > tried {
			t.Errorf("%d for epoch %d", tries, epoch)
		}
	}
	if len(probed) != 3*tried {
		t.Errorf("%d of %d were tried", len(probed), 3*tried)
	}
	for _, n := range probed {
		if n > 3 {
			t.Errorf("one was tried %d times in six epochs", n)
		}
	}
}

// Who was probed in vain does not come first again with a newer descriptor, which costs
// next to nothing: a few dozen that do so would take all probes. Spec: ADM-3.
func TestANewDescriptorMakesNobodyReached(t *testing.T) {
	p := limited()
	p.AdmitFloor, p.VoucherShare, p.AdmitHold = 2, 0, 0
	s := newSimOf(t, 4, 53, p)
	s.startAll()
	s.until(11 * time.Second)
	m := s.nodes[0].m
	take := func(n *node, seq uint64) {
		t.Helper()
		now := s.now.Truncate(time.Second)
		data, err := (&record.Candidate{Descriptor: n.descriptor(Publish{Seq: seq, Published: now, Expires: now.Add(p.DescriptorLife)})}).Encode()
		if err != nil {
			t.Fatal(err)
		}
		o, err := record.OpenCandidate(data, s.doc.NetworkID(), s.now, m.times())
		if err != nil {
			t.Fatal(err)
		}
		o.Entry = &record.Entry{Entry: s.nodes[1].rid}
		if v := m.takeCandidate(o, data); v != gossip.VerdictNew {
			t.Fatal(v)
		}
	}
	a, b := s.add(), s.add()
	take(a, 1)
	take(b, 1)
	epoch := m.windowEpoch()
	order := m.drawn(epoch)[0]
	if len(order) != 2 {
		t.Fatalf("%d are drawn", len(order))
	}
	first := s.node(order[0])
	m.reach.failed[first.rid] = s.now
	s.now = s.now.Add(2 * p.RepublishGap)
	m.now = s.now
	take(first, 2)
	if again := m.drawn(epoch)[0]; again[0] == first.rid {
		t.Error("one that nobody reached comes first again")
	}
	// It was reached since: what came before says nothing.
	m.reach.last[first.rid] = s.now
	s.now = s.now.Add(2 * p.RepublishGap)
	m.now = s.now
	take(first, 3)
	if again := m.drawn(epoch)[0]; again[0] != first.rid {
		t.Error("one that was reached has lost its turn")
	}
}

// A sponsor that has vouched already signs a voucher for somebody who waits in the open lane
// and never asked for it: the candidate goes on waiting there. Spec: ADM-3, ADM-6.
func TestAVoucherThatNobodyAskedForKeepsNobodyOut(t *testing.T) {
	p := limited()
	s := newSimOf(t, 4, 31, p)
	s.startAll()
	s.until(25 * time.Second)
	guest, victim, sponsor, entry := s.add(), s.add(), s.nodes[2], s.nodes[1]
	guest.joinsWith(s.vouch(sponsor, guest, 0))
	s.until(2*time.Duration(p.Day)*p.EpochLen + 3*p.EpochLen)
	m := s.nodes[0].m
	if why, _ := m.at.state.Vouching(p, m.doc.EpochAt(s.now), sponsor.rid); !s.listed(guest) || why != transition.UnfitSpent {
		t.Fatalf("the sponsor's voucher let nobody in: %v", why)
	}
	now := s.now.Truncate(time.Second)
	desc := victim.descriptor(Publish{Seq: 1, Published: now, Expires: now.Add(p.DescriptorLife)})
	take := func(voucher []byte) gossip.Verdict {
		m.now = s.now
		data, err := (&record.Candidate{Descriptor: desc, Voucher: voucher}).Encode()
		if err != nil {
			t.Fatal(err)
		}
		o, err := record.OpenCandidate(data, s.doc.NetworkID(), s.now, m.times())
		if err != nil {
			t.Fatal(err)
		}
		o.Entry = &record.Entry{Entry: entry.rid} // whose signature was verified
		return m.takeCandidate(o, data)
	}
	if take(nil) != gossip.VerdictNew {
		t.Fatal("not taken")
	}
	s.now = s.now.Add(2 * p.RepublishGap)
	if take(s.vouch(sponsor, victim, m.at.state.Snapshot().Day())) != gossip.VerdictNew {
		t.Fatal("a voucher that is good, but for what its sponsor has done, is kept with its candidate")
	}
	later := m.windowEpoch() + 4*uint64(p.Day)
	if !slices.Contains(m.drawn(later)[sybil.LaneOpen], victim.rid) {
		t.Error("it waits in no lane any more")
	}
	if c, ok := m.wanted(victim.rid); !ok || !m.at.state.Room(m.doc, later).Fits(c) {
		t.Error("it is not voted for")
	}
}
