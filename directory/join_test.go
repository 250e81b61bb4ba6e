// SPDX-License-Identifier: BSD-3-Clause

package directory

import (
	"maps"
	"slices"
	"testing"
	"time"

	"chive/directory/genesis"
	"chive/directory/gossip"
	"chive/directory/record"
)

func TestNewcomersJoinAndThenVote(t *testing.T) {
	s := newSim(t, 4, 20)
	s.startAll()
	s.until(25 * time.Second)
	for range 2 {
		s.add().joins()
	}
	s.until(75 * time.Second)
	for _, n := range s.nodes {
		if n.epoch() != 7 || n.m.table().Len() != 6 {
			t.Errorf("node %d is at %d with %d relays", n.n, n.epoch(), n.m.table().Len())
		}
		if all, _ := n.m.pending.Len(); all != 0 {
			t.Errorf("node %d has %d candidates left", n.n, all)
		}
		if len(n.reports) > 0 {
			t.Errorf("node %d: %v", n.n, n.reports)
		}
	}
	s.until(355 * time.Second) // list B of term 1 is drawn from all six
	if got := s.nodes[5].m.Status(); got.Epoch != 35 {
		t.Errorf("%+v", got)
	}
	seats := 0
	for _, l := range s.nodes[5].m.Head().State.Lists() {
		if l != nil && l.Term == 1 {
			seats = max(seats, len(l.Seats))
		}
	}
	if seats != 6 {
		t.Errorf("%d seats", seats)
	}
}

func TestNewcomerWorksWhereWorkIsAskedFor(t *testing.T) {
	p := genesis.Testnet()
	p.StampBits, p.WorkBits, p.AdmitRate, p.AdmitFloor = 4, 1, 10, 2
	s := newSimOf(t, 4, 21, p)
	s.startAll()
	s.until(25 * time.Second)
	n := s.add()
	n.joins()
	s.until(85 * time.Second)
	if n.epoch() != 8 || n.m.table().Len() != 5 {
		t.Errorf("at %d with %d relays; reports %v", n.epoch(), n.m.table().Len(), n.reports)
	}
}

func TestRelayThatWasDroppedComesBackAsANewcomer(t *testing.T) {
	s := newSim(t, 4, 22)
	s.startAll()
	s.until(75 * time.Second)
	away := s.nodes[3]
	away.stop()
	s.until(625 * time.Second)
	if s.nodes[0].m.table().Len() != 3 {
		t.Fatalf("%d relays", s.nodes[0].m.table().Len())
	}
	away.joins()
	s.until(675 * time.Second)
	if away.epoch() != 67 || away.m.table().Len() != 4 {
		t.Errorf("at %d with %d relays; reports %v", away.epoch(), away.m.table().Len(), away.reports)
	}
}

// An entry relay says nothing for who cannot be reached, nor for what does not hold,
// and what waits with it is bounded.
func TestEntryRelayRefuses(t *testing.T) {
	s := newSim(t, 4, 23)
	s.startAll()
	s.until(25 * time.Second)
	m := s.nodes[0].m
	n := s.add()
	now := s.now.Truncate(time.Second)
	p := Publish{Seq: 1, Published: now, Expires: now.Add(s.doc.Params.DescriptorLife)}
	data, err := (&record.Candidate{Descriptor: n.descriptor(p)}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	if code, done := m.enter(gossip.JoinAsked{RID: s.nodes[1].rid, Data: data}); !done || code != gossip.JoinRefused {
		t.Error("another's candidate is taken")
	}
	if code, done := m.enter(gossip.JoinAsked{RID: n.rid, Data: data[1:]}); !done || code != gossip.JoinRefused {
		t.Error("broken bytes are taken")
	}
	listed, err := (&record.Candidate{Descriptor: s.nodes[1].descriptor(p)}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	if code, done := m.enter(gossip.JoinAsked{RID: s.nodes[1].rid, Data: listed}); !done || code != gossip.JoinKnown {
		t.Error("a relay of the table is taken")
	}
	for link := range uint64(maxEntering) {
		if code, done := m.enter(gossip.JoinAsked{Link: link, RID: n.rid, Data: data}); done {
			t.Fatalf("answered %d", code)
		}
	}
	if code, done := m.enter(gossip.JoinAsked{RID: n.rid, Data: data}); !done || code != gossip.JoinBusy {
		t.Error("more than may be are let in")
	}
	for len(m.entering) > 0 {
		m.enteringProbed(ProbeDone{ID: m.entering[0].probe})
	}
	if _, _, held := m.pending.Get(n.rid); held {
		t.Error("one that cannot be reached is a candidate")
	}
}

// No work is done on a beacon that nobody takes any more: it waits for a newer list.
func TestNewcomerDoesNotWorkOnAnOldBeacon(t *testing.T) {
	p := genesis.Testnet()
	p.StampBits, p.WorkBits, p.Day = 4, 1, 1
	s := newSimOf(t, 4, 23, p)
	s.startAll()
	s.until(450 * time.Second) // the beacon of genesis is older than 30 days
	n := s.add()
	n.start()
	n.step(Join{})
	s.until(480 * time.Second)
	if j := n.m.Joining(); j.Solving || !j.Wanted || !j.Offered {
		t.Errorf("without a list: %+v", j)
	}
	n.joins()
	s.until(560 * time.Second)
	if n.m.joining.work == nil {
		t.Errorf("with a list: %+v", n.m.Joining())
	}
}

// Work is good for 30 days, everywhere: who waits is a candidate at members that have
// restarted, and at one that came late, and makes new work in time.
// Spec: ADM-2, GOS-9.
func TestANewcomerWaitsForAsLongAsItsWorkIsGood(t *testing.T) {
	p := genesis.Testnet()
	p.StampBits, p.WorkBits, p.Day = 4, 1, 2
	p.AdmitRate, p.AdmitFloor, p.VoucherShare = 10, 1, 1000 // no place is for everybody
	day := time.Duration(p.Day) * p.EpochLen
	p.DescriptorLife = 7 * day
	s := newSimOf(t, 5, 25, p)
	s.startAll()
	late := s.nodes[4]
	s.until(25 * time.Second)
	n := s.add()
	n.joins()
	s.until(5 * day)
	late.stop()
	late.m.at, late.store[BucketAux] = nil, map[string][]byte{} // nothing but snapshot 0
	s.until(10 * day)
	salt := n.m.joining.work.Epoch
	if salt > 5 {
		t.Errorf("new work after some days: %d", salt)
	}
	late.start()
	again := s.nodes[2]
	again.stop()
	again.start()
	s.until(14*day + 5*time.Second)
	for _, o := range s.nodes[:5] {
		if _, checked, held := o.m.pending.Get(n.rid); !held || !checked {
			t.Errorf("node %d, at %d: candidate held %v, checked %v", o.n, o.epoch(), held, checked)
		}
	}
	if len(n.reports) > 0 {
		t.Errorf("%v", n.reports)
	}
	s.until(21 * day)
	if got := n.m.joining.work.Epoch; got <= salt || got+15*uint64(p.Day) < 21*uint64(p.Day) {
		t.Errorf("on day 21 its work is of epoch %d", got)
	}
	if _, _, held := s.nodes[0].m.pending.Get(n.rid); !held || len(n.reports) > 0 {
		t.Errorf("held: %v; %v", held, n.reports)
	}
}

// Work that nobody knows the beacon of is made anew, once a day.
func TestWorkThatIsRefusedIsMadeAnew(t *testing.T) {
	p := genesis.Testnet()
	p.StampBits, p.WorkBits, p.AdmitRate, p.AdmitFloor = 4, 1, 10, 2
	s := newSimOf(t, 4, 26, p)
	s.startAll()
	s.until(25 * time.Second)
	n := s.add()
	n.start()
	work := record.Work{Epoch: 1, Nonce: 1, Stamp: 1} // salted with another beacon
	n.m.joining.work = &work
	n.asks()
	s.until(85 * time.Second)
	if !s.listed(n) || len(n.reports) == 0 || n.m.joining.work == &work {
		t.Errorf("listed %v; reports %v; %+v", s.listed(n), n.reports, n.m.joining.work)
	}
}

// Three relays that say that they have introduced a newcomer, and have not, cost it a day:
// then it asks others.
func TestANewcomerAsksOthersAfterADayOnNoList(t *testing.T) {
	p := genesis.Testnet()
	p.Day, p.Republish, p.DescriptorLife = 6, time.Hour, 10*time.Hour
	s := newSimOf(t, 12, 28, p)
	s.startAll()
	s.until(25 * time.Second)
	n := s.add()
	lies := 0
	for _, liar := range s.nodes[:12] {
		liar.lies = func(e Send) Send {
			f, err := gossip.DecodeFrame(e.Body)
			if joined, is := f.(*gossip.Joined); err == nil && is && lies < 3 {
				lies++
				joined.Code = gossip.JoinTaken
				e.Body, _ = joined.Encode()
			}
			return e
		}
		liar.m.entering = make([]*entering, maxEntering) // too busy for anybody
		for i := range liar.m.entering {
			liar.m.entering[i] = &entering{opened: &record.Opened{}, stage: stageSign, due: s.now.Add(40 * time.Second)}
		}
	}
	n.joins()
	day := time.Duration(p.Day) * p.EpochLen
	s.until(25*time.Second + day - time.Second)
	first := maps.Clone(n.m.joining.tried)
	if s.listed(n) || lies != 3 || len(first) != 3 || n.m.Joining().Accepted != 3 {
		t.Fatalf("listed %v, %d lies, %d asked, %+v", s.listed(n), lies, len(first), n.m.Joining())
	}
	s.until(25*time.Second + day + 30*time.Second)
	if !s.listed(n) {
		t.Errorf("not on the list; %d asked, %+v", len(n.m.joining.tried), n.m.Joining())
	}
	for rid, at := range first {
		if !n.m.joining.tried[rid].Equal(at) {
			t.Error("one was asked again while there were others")
		}
	}
}

// A member that restarts still knows when a candidate came, so that it votes for it in the
// same day; what is dropped, over, or damaged is deleted. A store without the bucket, of
// an older build, opens.
// Spec: ADM-3, ADM-6.
func TestCandidatesSurviveARestartWithTheTimeTheyCame(t *testing.T) {
	p := genesis.Testnet()
	p.StampBits, p.WorkBits, p.Day = 4, 1, 6
	p.AdmitRate, p.AdmitFloor, p.AdmitHold = 10, 2, 1
	s := newSimOf(t, 4, 29, p)
	s.startAll()
	s.until(25 * time.Second)
	n := s.add()
	n.joins()
	s.until(45 * time.Second)
	key := string(n.rid[:])
	for i, member := range s.nodes[:4] {
		before, checked := member.m.pending.Receipt(n.rid)
		if !checked || len(member.store[BucketCand]) != 1 {
			t.Fatalf("member %d: %v, %d stored", i, checked, len(member.store[BucketCand]))
		}
		value := member.store[BucketCand][key]
		if i == 3 { // damaged; and a key that is none
			member.store[BucketCand] = map[string][]byte{key: slices.Clone(value[:len(value)-1]), "x": {1}}
		}
		if i == 2 { // of an older build
			member.store[BucketCand] = map[string][]byte{}
		}
		member.stop()
		s.now = s.now.Add(p.EpochLen)
		member.start()
		after, held := member.m.pending.Receipt(n.rid)
		if held != (i < 2) || held && after != before {
			t.Errorf("member %d: %v, %+v before, %+v after", i, held, before, after)
		}
		if i >= 2 && len(member.store[BucketCand]) != 0 {
			t.Errorf("member %d keeps %d that do not hold", i, len(member.store[BucketCand]))
		}
	}
	member := s.nodes[0]
	member.m.pending.Remove(n.rid)
	member.m.keepCandidates()
	dropped := member.m.out
	if len(dropped) != 1 || dropped[0].(Store).Value != nil || string(dropped[0].(Store).Key) != key {
		t.Errorf("%+v", dropped)
	}
}
