// SPDX-License-Identifier: BSD-3-Clause

package transition

import (
	"net/netip"
	"slices"
	"testing"

	"chive/directory/genesis"
	"chive/directory/record"
	"chive/directory/snapshot"
)

func running(l *snapshot.Leaf) bool { return l.Flags&snapshot.FlagRunning != 0 }

// off switches stop-running caps off.
func off(p *genesis.Params) { p.StopEpoch, p.StopDay = 0, 0 }

func TestNothingChangesWithoutOps(t *testing.T) {
	n := newNet(t, document(t, 8, rules(nil)))
	before := n.now
	after := n.step()
	if before.snap.Table().DirRoot() != after.snap.Table().DirRoot() || before.snap.Table().DictRoot() != after.snap.Table().DictRoot() {
		t.Error("the table changed")
	}
	h := after.snap.Header()
	if h.Epoch != 1 || h.Parent != before.Digest() || h.HistorySize != 1 || h.HistoryRoot != (snapshot.History{}).Append(before.Digest()).Root() ||
		h.Beacon == before.snap.Header().Beacon || h.AuxRoot == before.snap.Header().AuxRoot {
		t.Errorf("header %+v", h)
	}
}

func TestDropKeepsWhatWasEarned(t *testing.T) {
	n := newNet(t, document(t, 8, rules(off)))
	n.step(n.add(descriptor(20, 1), LaneOpen), n.add(descriptor(21, 1), LaneOpen), n.add(descriptor(22, 1), LaneOpen))
	n.serve()
	n.step(n.add(descriptor(23, 1), LaneOpen), n.add(descriptor(24, 1), LaneOpen))
	n.step(Op{Code: Penalty, Index: n.at(24), Reason: PenaltySeat})
	n.step(Op{Code: Drop, Index: n.at(20), Reason: DropExpired}, Op{Code: Drop, Index: n.at(21), Reason: DropRevoked},
		Op{Code: Drop, Index: n.at(22), Reason: DropEvidence}, Op{Code: Drop, Index: n.at(3), Reason: DropExpired},
		Op{Code: Drop, Index: n.at(23), Reason: DropExpired}, Op{Code: Drop, Index: n.at(24), Reason: DropExpired})
	for relay, kept := range map[int]bool{20: true, 21: false, 22: true, 3: false /* a founder */, 23: false /* no day */, 24: true /* a penalty */} {
		if _, found := n.now.Dormant(rid(n.doc, relay)); found != kept || n.has(relay) {
			t.Errorf("relay %d: dormant %v, in the table %v", relay, found, n.has(relay))
		}
	}
}

// TestComingAndGoingFillsNoLane: who leaves on the day on which it came leaves a place to
// another, but nothing that would let it return by the lane of those that served.
func TestComingAndGoingFillsNoLane(t *testing.T) {
	n := newNet(t, document(t, 20, rules(nil)))
	n.skip(2 * n.doc.Params.Day)
	relay := 200
	for range 10 {
		var come, gone []Op
		for range 5 {
			come = append(come, n.add(descriptor(relay, 1), LaneOpen))
			relay++
		}
		n.step(come...)
		for i := relay - 5; i < relay; i++ {
			if n.has(i) {
				gone = append(gone, Op{Code: Drop, Index: n.at(i), Reason: DropExpired})
			}
		}
		if len(gone) != 5 {
			t.Fatalf("%d came", len(gone))
		}
		n.step(gone...)
	}
	if got := len(n.now.Dormants()); got != 0 {
		t.Errorf("%d wait to return", got)
	}
}

// Spec: TRN-4.
func TestReachTakesTwoInARow(t *testing.T) {
	n := newNet(t, document(t, 8, rules(off)))
	down := func() Op { return Op{Code: Down, Index: n.at(5)} }
	up := func() Op { return Op{Code: Up, Index: n.at(5)} }
	for i, step := range []struct {
		ops  []Op
		runs bool
	}{
		{[]Op{down()}, true}, {nil, true}, {[]Op{down()}, true}, {[]Op{down()}, false}, // two in a row
		{[]Op{down()}, false}, {[]Op{up()}, false}, {nil, false}, {[]Op{up()}, false}, {[]Op{up()}, true},
		{[]Op{up()}, true}, {[]Op{up()}, true}, {[]Op{down()}, true}, {[]Op{up()}, true}, {[]Op{down()}, true},
		{[]Op{down(), up()}, false},
	} {
		n.step(step.ops...)
		if running(n.leaf(5)) != step.runs {
			t.Fatalf("step %d: running %v", i, !step.runs)
		}
	}
	// A skipped epoch has no snapshot and breaks no row.
	n.step(up())
	n.skip(3)
	n.step(up())
	if !running(n.leaf(5)) {
		t.Error("a skipped epoch broke the row")
	}
}

func TestUpdateDerivesTheLeaf(t *testing.T) {
	n := newNet(t, document(t, 8, rules(nil)))
	d := withKeys(descriptor(2, 1), 2, 0, 1, 2, 3)
	d.Committee = d.Committee[1:]
	d.Onion = onion("another", 2)
	d.Addresses = []netip.AddrPort{netip.MustParseAddrPort("[2606:4700::5]:443"), netip.MustParseAddrPort("99.1.2.3:9001"), netip.MustParseAddrPort("99.1.2.4:9001")}
	d.Roles = record.RoleExit | record.RoleHSDir
	d.Policy = policy(7)
	key := public("family", 1)
	d.Family = &record.Family{Key: key[:], Signature: make([]byte, 64)}
	d.Versions = []byte{1, 3, 2}
	d.DeclaredRate = 600
	before := *n.leaf(2)
	n.step(n.update(2, d))
	l, a, dict := n.leaf(2), n.aux(2), n.now.snap.Table().Dictionaries()
	if l.Onion != d.Onion || l.IPv4 != d.Addresses[1] || l.IPv6 != d.Addresses[0] || l.Protocol != 3 || l.BirthDay != before.BirthDay ||
		l.Flags != snapshot.FlagExit|snapshot.FlagHSDir|snapshot.FlagIPv6|snapshot.FlagRunning|snapshot.FlagFounder {
		t.Errorf("leaf %+v", l)
	}
	if dict.Groups[l.Group] != snapshot.GroupOf(d.Addresses[1], netip.AddrPort{}) || !dict.Families[l.Family-1].Equal(d.Family.Key) ||
		!slices.Equal(dict.Policies[l.Policy-1], d.Policy) {
		t.Error("indices point elsewhere")
	}
	if l.Bucket != snapshot.BucketOf(600) || a.Target != l.Bucket || before.Bucket <= l.Bucket {
		t.Errorf("bucket %d, target %d: it does not fall at once", l.Bucket, a.Target)
	}
	body, err := Body(d)
	if err != nil || a.Body != body || a.VRF != d.VRF {
		t.Errorf("aux %+v: %v", a, err)
	}
	// Up again: by a step a day, not at once.
	d = descriptor(2, 2)
	d.DeclaredRate = 1 << 20
	n.step(n.update(2, d))
	if got := n.leaf(2); got.Bucket != l.Bucket || n.aux(2).Target != 57 || got.Flags&snapshot.FlagExit != 0 || got.Policy != 0 || got.IPv6.IsValid() {
		t.Errorf("leaf %+v", got)
	}
}

// Spec: TRN-4.
func TestRecordedCommitteeKeysStay(t *testing.T) {
	key := func(term uint64, n int) record.CommitteeKey {
		k := public("any", n)
		return record.CommitteeKey{Term: term, Key: k[:]}
	}
	old := []record.CommitteeKey{key(4, 1), key(5, 2)}
	for name, v := range map[string]struct {
		published []record.CommitteeKey
		term      uint64
		want      []record.CommitteeKey
	}{
		"nothing new":         {nil, 4, old},
		"replacement refused": {[]record.CommitteeKey{key(4, 8), key(5, 9)}, 4, old},
		"a term more":         {[]record.CommitteeKey{key(5, 9), key(6, 3)}, 4, []record.CommitteeKey{old[0], old[1], key(6, 3)}},
		"terms pass":          {[]record.CommitteeKey{key(5, 9), key(6, 3), key(7, 4)}, 5, []record.CommitteeKey{old[1], key(6, 3), key(7, 4)}},
		"too early":           {[]record.CommitteeKey{key(7, 4)}, 4, old},
		"all over":            {nil, 9, nil},
	} {
		if got := recordKeys(old, v.published, v.term); !slices.EqualFunc(got, v.want, func(a, b record.CommitteeKey) bool { return a.Term == b.Term && a.Key.Equal(b.Key) }) {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestPenalties(t *testing.T) {
	n := newNet(t, document(t, 8, rules(func(p *genesis.Params) { off(p); p.Day = 6 })))
	n.step(Op{Code: Penalty, Index: n.at(1), Reason: PenaltySeat}, Op{Code: Penalty, Index: n.at(2), Reason: PenaltyProbation})
	if n.aux(1).PenaltyEnd != 1+90*6 || n.aux(2).ProbationEnd != 1+7*6 {
		t.Errorf("until %d and %d", n.aux(1).PenaltyEnd, n.aux(2).ProbationEnd)
	}
	if n.leaf(1).Flags&snapshot.FlagProbation != 0 || n.leaf(2).Flags&snapshot.FlagProbation == 0 {
		t.Error("flags")
	}
	for relay, eligible := range map[int]bool{0: true, 1: false, 2: false} {
		if n.now.Eligible(n.doc.Params, int(n.at(relay))) != eligible {
			t.Errorf("relay %d: eligible %v", relay, !eligible)
		}
	}
	list, _ := n.now.List('A')
	for i := range list.Seats {
		if got := n.now.Ignored(&list.Seats[i]); got != (list.Seats[i].RID == rid(n.doc, 1)) {
			t.Errorf("seat %d: ignored %v", i, got)
		}
	}
	n.skip(7*6 - 2)
	n.step() // the last epoch of probation
	if n.leaf(2).Flags&snapshot.FlagProbation == 0 {
		t.Error("probation ended early")
	}
	n.step()
	if n.leaf(2).Flags&snapshot.FlagProbation != 0 || !n.now.Eligible(n.doc.Params, int(n.at(2))) {
		t.Error("probation did not end")
	}
}

// A penalty outlives leaving and coming back.
func TestPenaltySurvivesDormancy(t *testing.T) {
	n := newNet(t, document(t, 8, rules(off)))
	n.step(n.add(descriptor(20, 1), LaneOpen))
	n.step(Op{Code: Penalty, Index: n.at(20), Reason: PenaltySeat})
	end := n.aux(20).PenaltyEnd
	n.step(Op{Code: Drop, Index: n.at(20), Reason: DropExpired})
	n.step(n.add(descriptor(20, 2), LaneReturning))
	if a := n.aux(20); a.PenaltyEnd != end || a.Lane != LaneReturning || len(n.now.Dormants()) != 0 {
		t.Errorf("aux %+v", a)
	}
}

// Spec: TRN-6.
func TestStopCapsOfEpochAndDay(t *testing.T) {
	// 40 equal guards: 2.5 % each.
	var all []*record.Founder
	for i := range 40 {
		f := founder(i)
		f.DeclaredRate, f.Roles, f.Policy = 5000, record.RoleGuard, nil
		all = append(all, f)
	}
	stopped := func(n *net) (count int) {
		for i := range n.now.snap.Table().Len() {
			if !running(&n.now.snap.Table().At(i).Leaf) {
				count++
			}
		}
		return 40 - n.now.snap.Table().Len() + count
	}
	everybody := func(n *net, code OpCode) (ops []Op) {
		for i := range n.now.snap.Table().Len() {
			if r := n.now.snap.Table().At(i); running(&r.Leaf) {
				o := Op{Code: code, Index: uint32(i)}
				if code == Drop {
					o.Reason = DropRevoked
				} else if code == Penalty {
					o.Reason = PenaltyProbation
				}
				ops = append(ops, o)
			}
		}
		return ops
	}
	uncapped := func(p *genesis.Params) { p.CapRelay, p.CapGroup, p.CapCohort = 0, 0, 0 }
	n := newNet(t, documentOf(t, all, rules(uncapped)))
	n.step(everybody(n, Down)...)
	there := 0
	for i := range 40 {
		if n.aux(i).DayRunning == 2 && n.aux(i).Uptime == maxUptime {
			there++
		}
	}
	if there != 36 { // nobody was reached, for the first time, 10 % of them count as away
		t.Errorf("%d of 40 were there", there)
	}
	for i, want := range []int{4, 7, 10, 10, 10} { // 10 % of 40, 36, 33; then 27.4 % of the day are spent, and one more is 3.3 %
		n.step(everybody(n, Down)...)
		if got := stopped(n); got != want {
			t.Errorf("epoch %d: %d stopped, want %d", i, got, want)
		}
	}
	n.skip(24)
	n.step(everybody(n, Down)...)
	if got := stopped(n); got != 13 {
		t.Errorf("next day: %d stopped", got)
	}
	n = newNet(t, documentOf(t, all, rules(uncapped)))
	n.step(everybody(n, Drop)...)
	if got := stopped(n); got != 4 {
		t.Errorf("%d dropped", got)
	}
	n = newNet(t, documentOf(t, all, rules(uncapped)))
	n.step(everybody(n, Penalty)...)
	probation := 0
	for i := range 40 {
		if n.leaf(i).Flags&snapshot.FlagProbation != 0 {
			probation++
		}
	}
	if probation != 4 {
		t.Errorf("%d on probation", probation)
	}
}

// In a small network a relay holds more than the cap: one of them may always go.
func TestOneRelayMayAlwaysStop(t *testing.T) {
	n := newNet(t, document(t, 7, rules(nil)))
	down := func() []Op {
		return []Op{{Code: Down, Index: n.at(1)}, {Code: Down, Index: n.at(2)}, {Code: Down, Index: n.at(3)}}
	}
	n.step(down()...)
	n.step(down()...)
	var ran int
	for i := 1; i <= 3; i++ {
		if running(n.leaf(i)) {
			ran++
		}
	}
	if ran != 2 {
		t.Errorf("%d of three still run", ran)
	}
}

func TestRelaysWithoutGuardWeightAreFreeToStop(t *testing.T) {
	n := newNet(t, document(t, 8, rules(nil)))
	for i := range 5 {
		n.step(n.add(descriptor(20+i, 1), LaneOpen))
	}
	down := func() (ops []Op) {
		for i := range 5 {
			ops = append(ops, Op{Code: Down, Index: n.at(20 + i)})
		}
		return ops
	}
	n.step(down()...)
	n.step(down()...)
	for i := range 5 {
		if running(n.leaf(20 + i)) {
			t.Errorf("newcomer %d runs", i)
		}
	}
	if n.now.StoppedToday() != 0 {
		t.Error("they cost something")
	}
}
