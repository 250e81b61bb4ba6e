// SPDX-License-Identifier: BSD-3-Clause

package transition

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"chive/directory/genesis"
	"chive/directory/record"
	"chive/directory/sybil"
)

// seen makes what a member holds of a descriptor.
func (n *net) seen(d *record.Descriptor) Seen {
	n.t.Helper()
	n.cat.add(n.t, n.doc, d)
	body, err := Body(d)
	if err != nil {
		n.t.Fatal(err)
	}
	return Seen{Body: body, Descriptor: d}
}

// Spec: TRN-10.
func TestHonestVote(t *testing.T) {
	n := newNet(t, document(t, 12, rules(off)))
	n.step(n.update(2, descriptor(2, 1)), Op{Code: Down, Index: n.at(4)})
	n.step(Op{Code: Down, Index: n.at(4)}, Op{Code: Penalty, Index: n.at(9), Reason: PenaltySeat})
	see := &Observations{
		Descriptors: map[record.RID]Seen{
			rid(n.doc, 1): n.seen(descriptor(1, 1)), rid(n.doc, 2): n.seen(descriptor(2, 1)), // 2: in force already
			rid(n.doc, 5): n.seen(descriptor(5, 1)), rid(n.doc, 99): n.seen(descriptor(99, 1)), // 99: a stranger
		},
		Reached: map[record.RID]bool{
			rid(n.doc, 0): true, rid(n.doc, 3): false, rid(n.doc, 4): true, rid(n.doc, 5): false, rid(n.doc, 99): false,
		},
		Gone: map[record.RID]uint8{rid(n.doc, 5): DropExpired, rid(n.doc, 98): DropRevoked},
		Evidence: []Evidence{
			{rid(n.doc, 8), PenaltyProbation, [32]byte{1}}, {rid(n.doc, 7), PenaltyProbation, [32]byte{9}}, {rid(n.doc, 7), PenaltySeat, [32]byte{3}},
			{rid(n.doc, 9), PenaltySeat, [32]byte{4}}, {rid(n.doc, 98), PenaltySeat, [32]byte{5}}, {rid(n.doc, 8), PenaltyProbation, [32]byte{0}},
		},
	}
	body := see.Descriptors[rid(n.doc, 1)].Body
	want := sorted([]Op{
		{Code: Drop, Index: n.at(5), Reason: DropExpired}, {Code: Update, Index: n.at(1), Body: [16]byte(body[:16])},
		{Code: Down, Index: n.at(3)}, {Code: Up, Index: n.at(4)},
		{Code: Penalty, Index: n.at(7), Reason: PenaltySeat, Evidence: [16]byte{3}}, {Code: Penalty, Index: n.at(8), Reason: PenaltyProbation},
	})
	got := Propose(n.doc, n.now, n.next, see)
	if !slices.Equal(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	// What all vote takes effect, and is not voted again; the second evidence against
	// one relay is next.
	n.step(got...)
	second := Op{Code: Penalty, Index: n.at(7), Reason: PenaltyProbation, Evidence: [16]byte{9}}
	if next := Propose(n.doc, n.now, n.next, &Observations{Descriptors: see.Descriptors, Evidence: see.Evidence}); !slices.Equal(next, []Op{second}) {
		t.Errorf("then: %+v", next)
	}
	n.step(second)
	if again := Propose(n.doc, n.now, n.next, &Observations{Descriptors: see.Descriptors, Evidence: see.Evidence}); len(again) != 0 {
		t.Errorf("voted again: %+v", again)
	}
	if got := Propose(n.doc, n.now, n.next, &Observations{}); got != nil {
		t.Errorf("nothing seen: %+v", got)
	}
}

// Spec: TRN-10.
func TestHonestVoteFillsTheSlotsInLotteryOrder(t *testing.T) {
	n := newNet(t, document(t, 12, rules(func(p *genesis.Params) { off(p); p.Day = 6 })))
	n.step(n.add(descriptor(20, 1), LaneOpen))
	n.serve()
	n.step(Op{Code: Drop, Index: n.at(20), Reason: DropExpired})
	full := descriptor(60, 1)
	full.Addresses = []netip.AddrPort{place(1)}
	n.step(n.add(full, LaneOpen)) // two relays at that address now; one slot of five taken
	crowded := descriptor(61, 1)
	crowded.Addresses = []netip.AddrPort{place(1)}
	candidate := func(relay int, lane uint8, sponsor int) Candidate {
		return Candidate{RID: rid(n.doc, relay), Seen: n.seen(descriptor(relay, 1)), Lane: lane, Sponsor: rid(n.doc, sponsor)}
	}
	see := &Observations{Candidates: []Candidate{
		{RID: rid(n.doc, 61), Seen: n.seen(crowded), Lane: LaneOpen}, // its address is full
		candidate(30, LaneVouched, 60),                               // a newcomer vouches: that is no voucher
		candidate(31, LaneVouched, 1), candidate(32, LaneVouched, 1), // one sponsor twice
		candidate(20, LaneOpen, 0), // returns
		candidate(33, LaneOpen, 0), candidate(33, LaneOpen, 0), candidate(34, LaneOpen, 0), candidate(35, LaneOpen, 0), candidate(36, LaneOpen, 0),
		candidate(37, LaneOpen, 0), candidate(38, laneFounder, 0), candidate(2, LaneOpen, 0), // in the table
	}}
	got := Propose(n.doc, n.now, n.next, see)
	lanes := map[record.RID]uint8{}
	for _, o := range got {
		if o.Code != Add {
			t.Fatalf("%+v", o)
		}
		lanes[o.RID] = o.Lane
	}
	for relay, lane := range map[int]uint8{31: LaneVouched, 20: LaneReturning, 30: LaneOpen, 33: LaneOpen, 34: LaneOpen, 35: LaneOpen} {
		if got, found := lanes[rid(n.doc, relay)]; !found || got != lane {
			t.Errorf("relay %d: lane %d, %v", relay, got, found)
		}
	}
	if len(got) != 6 { // one of five open slots of this day is used
		t.Errorf("%d votes for newcomers", len(got))
	}
	n.step(got...)
	if n.count(31, 20, 30, 33, 34, 35) != 6 {
		t.Error("an honest vote was refused")
	}
}

// A vote never exceeds its size, and is cut alike everywhere.
func TestHonestVoteFitsItsSize(t *testing.T) {
	n := newNet(t, document(t, 300, rules(func(p *genesis.Params) { p.AddrPerIPv4Net = 0 })))
	see := &Observations{Descriptors: map[record.RID]Seen{}, Reached: map[record.RID]bool{}}
	same := n.seen(descriptor(0, 1))
	for i := range 300 {
		id := n.now.snap.Table().At(i).RID
		see.Descriptors[id], see.Reached[id] = same, false
	}
	got := Propose(n.doc, n.now, 1, see)
	if size := OpsSize(got); size > MaxOpsSize(300) || size < MaxOpsSize(300)-20 {
		t.Errorf("%d bytes", size)
	}
	if !canonical(got, 300) {
		t.Error("not canonical")
	}
	if parsed, err := ParseOps(AppendOps(nil, got), 300); err != nil || !slices.Equal(parsed, got) {
		t.Errorf("%v", err)
	}
}

// Members that see nearly the same make progress: what more than half saw happens.
func TestChainOfHonestVotes(t *testing.T) {
	n := newNet(t, document(t, 12, rules(everySeat)))
	for round := range 12 {
		see := &Observations{Descriptors: map[record.RID]Seen{}, Reached: map[record.RID]bool{}}
		for i := range 12 {
			if i%4 == round%4 {
				see.Descriptors[rid(n.doc, i)] = n.seen(descriptor(i, round+1))
			}
			see.Reached[rid(n.doc, i)] = i != 7
		}
		in := n.input(nil)
		for seat := range in.Votes {
			in.Votes[seat].Ops = Propose(n.doc, n.now, n.next, see)
			if seat%5 == 0 { // one in five saw nothing
				in.Votes[seat].Ops = nil
			}
		}
		child, err := Next(n.doc, n.now, in)
		if err != nil {
			t.Fatal(err)
		}
		check(t, n.doc, n.now, child)
		n.now, n.next = child, n.next+1
		for i := range 12 {
			if i%4 == round%4 {
				if body, _ := Body(descriptor(i, round+1)); n.aux(i).Body != body {
					t.Errorf("round %d: relay %d was not updated", round, i)
				}
			}
		}
	}
	if running(n.leaf(7)) {
		t.Error("a relay that nobody reaches runs")
	}
}

// A candidate whose sponsor may not vouch takes nobody's turn in the lane of the vouched, and
// waits in the open one: a sponsor that has vouched could otherwise keep whom it likes out of
// both, with a voucher that nobody has asked for. Spec: ADM-3.
func TestWhoseSponsorMayNotVouchIsDrawnAmongTheOpen(t *testing.T) {
	n := newNet(t, document(t, 8, rules(nil)))
	n.step(n.vouched(descriptor(20, 1), 0)) // relay 0 has vouched; relay 20 is too young to
	beacon := [32]byte{1}
	held := sybil.NewPending(n.doc.Params, 9)
	now := time.Unix(1_800_000_000, 0)
	put := func(relay int, vouched bool, sponsor record.RID) record.RID {
		c := sybil.Candidate{
			RID: rid(n.doc, relay), Digest: [32]byte{byte(relay), byte(relay >> 8)}, Seq: 1, Entry: rid(n.doc, relay%7),
			Vouched: vouched, Sponsor: sponsor, Expires: now.Add(time.Hour),
		}
		if held.Put(c, 1, now) != sybil.Taken || !held.Checked(c.Digest, 12) {
			t.Fatal("not held")
		}
		return c.RID
	}
	var refused []record.RID
	for i, sponsor := range []record.RID{rid(n.doc, 0), rid(n.doc, 20), rid(n.doc, 99)} { // used up, too young, not listed
		refused = append(refused, put(30+i, true, sponsor))
	}
	var wanted []record.RID
	for i := range 7 {
		wanted = append(wanted, put(40+i, true, rid(n.doc, 1+i)))
	}
	open := append(slices.Clone(refused), put(50, false, record.RID{}))
	epoch := uint64(2 * n.doc.Params.Day)
	sybil.Order(beacon, wanted)
	sybil.Order(beacon, open)
	got := n.now.Drawn(n.doc.Params, epoch, beacon, held)
	if !slices.Equal(got[sybil.LaneVouched], wanted) || !slices.Equal(got[sybil.LaneOpen], open) {
		t.Errorf("%d and %d drawn, want those whose sponsors may, and all others", len(got[sybil.LaneVouched]), len(got[sybil.LaneOpen]))
	}
	if !n.now.MayVouch(n.doc.Params, epoch, rid(n.doc, 1)) || n.now.MayVouch(n.doc.Params, epoch, rid(n.doc, 0)) ||
		!n.now.MayVouch(n.doc.Params, uint64(31*n.doc.Params.Day), rid(n.doc, 0)) {
		t.Error("who may vouch")
	}
}
