// SPDX-License-Identifier: BSD-3-Clause

package gossip

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"chive/directory/genesis"
	"chive/directory/reconcile"
	"chive/directory/record"
)

// Spec: GOS-2.
func TestHelloComesFirstAndOnce(t *testing.T) {
	for name, test := range map[string]struct {
		says []Frame
		want Reason
		open bool
	}{
		"hello":             {[]Frame{hello()}, 0, true},
		"another network":   {[]Frame{&Hello{Version: Version}}, ReasonForeign, false},
		"another version":   {[]Frame{&Hello{Version: 2, NetworkID: nid()}}, ReasonForeign, false},
		"something before":  {[]Frame{&State{}}, ReasonBroken, false},
		"twice":             {[]Frame{hello(), hello()}, ReasonBroken, false},
		"nothing for long":  {nil, ReasonSilent, false},
		"join from a relay": {[]Frame{hello(), &Join{[]byte{1}}}, 0, true},
	} {
		l := newLab(t, 60, genesis.Public())
		may, _ := l.callers()
		f := l.link(may[0], true)
		for _, x := range test.says {
			f.says(x)
		}
		l.pass(helloTimeouts*l.m.cfg.Params.GetTimeout - 1)
		if _, closed := l.closed[f.link]; test.says == nil && closed {
			t.Errorf("%s: closed too soon", name)
		}
		l.pass(1)
		why, closed := l.closed[f.link]
		if closed == test.open || why != test.want {
			t.Errorf("%s: closed %v, %d", name, closed, why)
		}
	}
	l := newLab(t, 60, genesis.Public())
	may, _ := l.callers()
	f := l.link(may[0], true)
	h, ok := f.heard()[0].(*Hello)
	if !ok || h.NetworkID != nid() || h.Epoch != 1000 || h.Head != digestOf("head") || h.Time != uint64(l.now.UnixMilli()) {
		t.Errorf("said %+v", h)
	}
	ahead := hello()
	ahead.Time, ahead.Epoch = uint64(l.now.Add(3*time.Second).UnixMilli()), 1001
	f.says(ahead)
	if seen := report[HeadSeen](l); len(seen) != 1 || seen[0].Epoch != 1001 || seen[0].Counts != ahead.Counts {
		t.Errorf("reported %+v", seen)
	}
	if off, n := l.m.ClockOffset(); n != 1 || off != 3*time.Second {
		t.Errorf("clock %v of %d", off, n)
	}
	if !slices.Equal(l.m.Peers(), []record.RID{may[0]}) {
		t.Error("not among the peers")
	}
	before := New(l.m.cfg)
	if got := before.Step(l.now, LinkUp{Link: 1, RID: ridOf(7)}, nil); len(got) != 1 {
		t.Errorf("before a view: %v", got)
	}
	if got := l.m.Step(l.now, LinkUp{Link: 99, RID: ridOf(0)}, nil); !slices.ContainsFunc(got, func(e Effect) bool { _, ok := e.(Close); return ok }) {
		t.Error("a stream with itself")
	}
}

// Spec: GOS-11.
func TestBrokenFramesCloseAndTheIdentityWaits(t *testing.T) {
	l := newLab(t, 60, genesis.Public())
	may, _ := l.callers()
	f := l.up(may[0], true)
	l.step(Received{f.link, []byte{0x80}})
	if why, closed := l.closed[f.link]; !closed || why != ReasonBroken {
		t.Fatal("not closed")
	}
	l.step(Received{f.link, encoded(t, hello())}) // late frames of a closed stream
	again := l.link(may[0], true)
	if why, closed := l.closed[again.link]; !closed || why != ReasonWaits {
		t.Error("back at once")
	}
	l.pass(time.Hour) // an epoch
	again = l.link(may[0], true)
	if _, closed := l.closed[again.link]; closed {
		t.Error("not back after an hour")
	}
	if got := l.m.standing(l.now, may[0]).score; got != 50 {
		t.Errorf("score %d after an hour", got)
	}
	l.now = l.now.Add(10 * time.Hour)
	if got := l.m.standing(l.now, may[0]).score; got != 0 {
		t.Errorf("score %d after ten more", got)
	}
}

// Spec: GOS-2.
func TestGuestsAndStrangersAreBounded(t *testing.T) {
	l := newLab(t, 100, genesis.Public())
	may, not := l.callers()
	for i, rid := range not[:MaxGuests+1] {
		f := l.up(rid, true)
		if why, closed := l.closed[f.link]; closed != (i == MaxGuests) || closed && why != ReasonFull {
			t.Errorf("guest %d: closed %v", i, closed)
		}
	}
	for i := range MaxStrangers + 1 {
		f := l.up(ridOf(1000+i), true)
		if _, closed := l.closed[f.link]; closed != (i == MaxStrangers) {
			t.Errorf("stranger %d: closed %v", i, closed)
		}
	}
	for _, rid := range may {
		f := l.up(rid, true)
		if _, closed := l.closed[f.link]; closed {
			t.Error("a neighbour found no place")
		}
	}
	if got := len(l.m.Peers()); got != MaxGuests+MaxStrangers+len(may) {
		t.Errorf("%d peers", got)
	}
	l.pass(strangerPeriod)
	if got := len(l.m.Peers()); got != MaxGuests+len(may) {
		t.Errorf("%d peers after the strangers' time", got)
	}
}

// Identities are free: of one source two strangers have a place, but for networks without
// caps of addresses, and who says nothing, or nothing that holds, leaves it soon.
// Spec: GOS-2.
func TestStrangersOfOneSourceLeavePlacesToOthers(t *testing.T) {
	l := newLab(t, 60, genesis.Public())
	for _, nets := range [][2]string{{"20.0.0.1", "::ffff:20.0.0.99"}, {"2001:db8:1::1", "2001:db8:1:ff::1"}} {
		for i := range strangersOfNet + 2 {
			f := l.linkFrom(ridOf(1000+int(l.links)), true, netip.MustParseAddr(nets[i%2]))
			if why, closed := l.closed[f.link]; closed != (i >= strangersOfNet) || closed && why != ReasonFull {
				t.Errorf("%v: stranger %d: closed %v, %v", nets, i, closed, why)
			}
		}
	}
	not := func() record.RID { _, not := l.callers(); return not[0] }()
	if f := l.linkFrom(not, true, netip.MustParseAddr("20.0.0.7")); l.m.byLink[f.link] == nil {
		t.Error("a relay of the list is counted as a stranger")
	}
	free := newLab(t, 60, genesis.Testnet())
	for i := range MaxStrangers {
		if f := free.linkFrom(ridOf(1000+i), true, netip.MustParseAddr("127.0.0.1")); free.m.byLink[f.link] == nil {
			t.Errorf("loopback: stranger %d finds no place", i)
		}
	}
}

// Spec: GOS-2.
func TestStrangersStayForAsLongAsTheyJoin(t *testing.T) {
	l := newLab(t, 60, genesis.Public())
	codes := map[JoinCode]*far{}
	for n, code := range []JoinCode{JoinTaken, JoinRefused, JoinBusy, JoinUnreachable} {
		f := l.up(ridOf(1000+n), true)
		f.says(&Join{[]byte("candidate")})
		l.step(JoinAnswer{f.link, code})
		codes[code] = f
	}
	silent, asking := l.up(ridOf(1010), true), l.up(ridOf(1011), true)
	asking.says(&Join{[]byte("candidate")})
	there := func(f *far) bool { return l.m.byLink[f.link] != nil }
	l.pass(strangerWait - time.Second)
	for _, f := range codes {
		if !there(f) || !there(silent) {
			t.Error("gone before its time")
		}
	}
	l.pass(time.Second)
	for code, f := range codes {
		if there(f) != (code == JoinTaken) {
			t.Errorf("answered %d: there %v", code, there(f))
		}
	}
	if there(silent) || !there(asking) {
		t.Errorf("silent %v, asking %v", there(silent), there(asking))
	}
	l.step(JoinAnswer{asking.link, JoinBusy})
	if got := joined(asking); len(got) != 1 || there(asking) {
		t.Errorf("answered %v, there %v", got, there(asking))
	}
	l.pass(strangerPeriod - strangerWait)
	if there(codes[JoinTaken]) {
		t.Error("stays for ever")
	}
}

// Spec: GOS-2, GOS-3.
func TestNeighboursOverlapByOneEpochAtAChangeOfDay(t *testing.T) {
	l := newLab(t, 100, genesis.Public())
	if len(l.opened) != AssignedCount+PrivateCount {
		t.Fatalf("%d calls", len(l.opened))
	}
	fixed := report[PrivateChanged](l)
	if len(fixed) != 1 || len(fixed[0].RIDs) != PrivateCount {
		t.Fatal("private neighbours were not told")
	}
	out := map[record.RID]*far{}
	for _, rid := range l.opened {
		out[rid] = l.up(rid, false)
	}
	may, _ := l.callers()
	in := l.up(may[0], true)
	l.opened = nil
	next := l.view
	next.Epoch, next.Beacon, next.DayBefore = 1008, beacon(2), beacon(1) // 1008 = 42 * 24
	l.step(next)
	fresh := 0
	for _, rid := range l.m.assigned {
		if l.m.peerOf(rid) == nil {
			fresh++
		}
	}
	if len(l.opened) != fresh {
		t.Errorf("%d calls, %d new neighbours", len(l.opened), fresh)
	}
	for rid, f := range out {
		if _, closed := l.closed[f.link]; closed {
			t.Errorf("%x closed at once", rid)
		}
	}
	if _, closed := l.closed[in.link]; closed {
		t.Error("a caller of yesterday was closed at once")
	}
	// Who has not heard of the new day yet may still call.
	if late := l.up(may[1], true); l.m.peerOf(may[1]) == nil || l.m.peerOf(may[1]).kind != theirs {
		t.Errorf("a caller of yesterday is %v", l.closed[late.link])
	}
	next.Epoch = 1009
	l.step(next)
	next.Epoch = 1010
	l.step(next)
	for rid, f := range out {
		_, closed := l.closed[f.link]
		keep := slices.Contains(l.m.assigned, rid) || slices.Contains(l.m.private, rid)
		if closed == keep {
			t.Errorf("two epochs later: closed %v, wanted %v", closed, keep)
		}
	}
	if p := l.m.peerOf(may[0]); p != nil && p.kind == theirs && !MayCall(next.Beacon, may[0], ridOf(0), next.Relays) {
		t.Error("a caller of yesterday is still one")
	}
	if again := report[PrivateChanged](l); len(again) != 0 {
		t.Error("private neighbours changed with the day")
	}
}

func TestUpToSeventeenEverybodyIsANeighbour(t *testing.T) {
	l := newLab(t, EverybodyUpTo, genesis.Public())
	if len(l.opened) != EverybodyUpTo-1 || len(l.m.private) != 0 {
		t.Errorf("%d calls, %d private", len(l.opened), len(l.m.private))
	}
}

func TestCallsAreRepeatedEverMoreSlowly(t *testing.T) {
	l := newLab(t, 2, genesis.Public())
	start, count := l.now, 0
	var gaps []time.Duration
	for l.now.Sub(start) < 2*time.Hour {
		if len(l.opened) > 0 {
			l.opened = nil
			count++
			gaps = append(gaps, l.now.Sub(start))
			l.step(DialFailed{ridOf(1)})
		}
		l.pass(time.Second)
	}
	if count < 15 || count > 25 {
		t.Errorf("%d calls in two hours: %v", count, gaps)
	}
	// A call that is never answered is given up as well.
	l = newLab(t, 2, genesis.Public())
	l.opened = nil
	l.pass(dialTimeout + 10*time.Second)
	if len(l.opened) != 1 {
		t.Errorf("%d calls after one without an answer", len(l.opened))
	}
}

// Spec: GOS-2.
func TestOfTwoStreamsBothEndsKeepTheSame(t *testing.T) {
	l := newLab(t, 10, genesis.Public())
	for _, r := range l.view.Relays {
		if r.RID == ridOf(0) {
			continue
		}
		one, two := l.up(r.RID, true), l.up(r.RID, false)
		lower := one // dialled by the peer
		other := two
		if ridOf(0).Compare(r.RID) < 0 {
			lower, other = two, one
		}
		if _, closed := l.closed[lower.link]; closed {
			t.Error("what the lower rid dialled was closed")
		}
		if why, closed := l.closed[other.link]; !closed || why != ReasonDuplicate {
			t.Error("the other one stays")
		}
		newest := l.up(r.RID, lower == one)
		if _, closed := l.closed[newest.link]; closed {
			t.Error("a newer stream of the same end was refused")
		}
	}
}

// Spec: GOS-9.
func TestStateIsServedAndAskedFor(t *testing.T) {
	l := newLab(t, 60, genesis.Public())
	l.m.cfg.States = parts{3}
	may, not := l.callers()
	f := l.up(may[0], true)
	f.says(&State{digestOf("head"), 2})
	f.says(&State{digestOf("head"), 3})
	f.says(&State{digestOf("other"), 0})
	var got []uint32
	for _, x := range f.heard() {
		if p, ok := x.(*StatePart); ok {
			got = append(got, p.Count, uint32(len(p.Data)))
		}
	}
	if !slices.Equal(got, []uint32{3, MaxStatePartSize, 0, 0, 0, 0}) {
		t.Errorf("served %v", got)
	}
	ask := AskState{RID: may[0], Header: digestOf("head"), Part: 1}
	for range maxStateAsked + 1 {
		l.step(ask)
	}
	if r := report[StateReceived](l); len(r) != 1 || r[0].Count != 0 {
		t.Errorf("one too many: %+v", r)
	}
	f.says(&StatePart{digestOf("head"), 1, 3, []byte{7}})
	if r := report[StateReceived](l); len(r) != 1 || r[0].Count != 3 || r[0].RID != may[0] {
		t.Errorf("answered %+v", r)
	}
	f.says(&StatePart{digestOf("head"), 2, 3, []byte{7}})
	if r := report[StateReceived](l); len(r) != 0 || l.score(may[0]) != penaltyUnasked {
		t.Errorf("a part that nobody asked for: %+v, score %d", r, l.score(may[0]))
	}
	l.pass(stateTimeouts * l.m.cfg.Params.GetTimeout)
	if r := report[StateReceived](l); len(r) != maxStateAsked-1 {
		t.Errorf("%d of the rest", len(r))
	}
	l.step(AskState{RID: not[0]})
	if r := report[StateReceived](l); len(r) != 1 {
		t.Error("nobody there")
	}
	l.step(ask)
	l.step(LinkDown{f.link})
	if r := report[StateReceived](l); len(r) != 1 {
		t.Error("gone")
	}
}

// TestAStateThatDoesNotHoldCosts: what nobody honest sends at once, what we cannot verify
// little. Spec: GOS-11.
func TestAStateThatDoesNotHoldCosts(t *testing.T) {
	l := newLab(t, 60, genesis.Public())
	may, _ := l.callers()
	f := l.up(may[0], true)
	l.step(BadState{RID: may[1], Forged: true}) // who is not there
	l.step(BadState{RID: f.rid})
	if _, closed := l.closed[f.link]; closed || l.score(f.rid) != penaltyState {
		t.Errorf("closed %v, score %d", closed, l.score(f.rid))
	}
	l.step(BadState{RID: f.rid, Forged: true})
	if why, closed := l.closed[f.link]; !closed || why != ReasonBroken || !l.m.waiting(f.rid) {
		t.Errorf("closed %v for %v", closed, why)
	}
}

// parts has so many parts of one table, each as large as can be.
type parts struct{ count uint32 }

func (p parts) Part(header Digest, part uint32) ([]byte, uint32) {
	if header != digestOf("head") {
		return nil, 0
	}
	return make([]byte, MaxStatePartSize), p.count
}

// Spec: GOS-8.
func TestRepairsThatFail(t *testing.T) {
	l := newLab(t, 60, genesis.Public())
	may, _ := l.callers()
	period := l.m.cfg.Params.RepairPeriod
	f := l.up(may[0], true)
	opens := func() (count int) {
		for _, x := range f.heard() {
			if r, ok := x.(*Repair); ok {
				if _, ok := r.Message.(*reconcile.Open); ok {
					count++
				}
			}
		}
		return count
	}
	l.pass(2 * period)
	if opens() == 0 || l.m.Stats().RepairsFailed == 0 {
		t.Fatal("no repair was opened, or none timed out")
	}
	l.pass(5 * period)
	if got := l.m.Stats().RepairsFailed; got != 2 {
		t.Errorf("%d failures before the rest", got)
	}
	if l.score(may[0]) != 2*penaltyRepair {
		t.Errorf("score %d", l.score(may[0]))
	}
	opens()
	l.pass((restPeriods - 10) * period)
	if opens() != 0 {
		t.Error("repaired during the rest")
	}
	l.pass(20 * period)
	if opens() == 0 {
		t.Error("no repair after the rest")
	}
	for _, r := range report[Repaired](l) {
		if !errors.Is(r.Err, errRepairTimeout) {
			t.Errorf("%v", r.Err)
		}
	}

	l = newLab(t, 60, genesis.Public())
	f = l.up(may[0], true)
	answer := func() Frame {
		f.heard()
		f.says(&Repair{&reconcile.Open{Nonce: [16]byte{1}, Count: 3}})
		return f.heard()[0]
	}
	if o, ok := answer().(*Repair).Message.(*reconcile.Open); !ok || !o.Answer {
		t.Error("an opening was not answered")
	}
	if d, ok := answer().(*Repair).Message.(*reconcile.Done); !ok || d.Code != reconcile.DoneRefused {
		t.Error("a second one at once was not refused")
	}
	f.says(&Repair{&reconcile.Sums{}})
	if l.score(may[0]) != penaltyRepair {
		t.Errorf("out of order: score %d", l.score(may[0]))
	}
	l.pass(period/answerPart - 1)
	if d, ok := answer().(*Repair).Message.(*reconcile.Done); !ok || d.Code != reconcile.DoneRefused {
		t.Error("too soon, and not refused")
	}
	l.pass(1)
	if o, ok := answer().(*Repair).Message.(*reconcile.Open); !ok || !o.Answer {
		t.Error("later, and not answered")
	}
}

// TestGarbageInRepairsIsGivenUp: symbols that never suffice make a fallback, which ends
// right, and after the second in a row the peer is left alone. Spec: GOS-8.
func TestGarbageInRepairsIsGivenUp(t *testing.T) {
	l := newLab(t, 60, genesis.Public())
	may, _ := l.callers()
	f := l.up(may[0], true)
	set, err := reconcile.NewSet(nil)
	if err != nil {
		t.Fatal(err)
	}
	// repair answers a repair that is opened now, and reports whether one was.
	repair := func(garbage bool) bool {
		f.heard()
		if r := l.m.standings[f.rid]; r != nil {
			r.repair.opened, r.repair.fellBack = time.Time{}, time.Time{} // long ago
		}
		l.step(RepairNow{})
		far := reconcile.NewResponder(reconcile.Config{HandshakeHash: f.session, ShortKey: f.key, Set: set, Fallback: true}, [reconcile.NonceSize]byte{1})
		for {
			said := f.heard()
			if len(said) == 0 {
				return false
			}
			for _, x := range said {
				r, ok := x.(*Repair)
				if !ok {
					continue
				}
				out, result, err := far.Step(r.Message)
				if err != nil {
					t.Fatal(err)
				}
				for _, o := range out {
					if s, ok := o.(*reconcile.Symbols); ok && garbage {
						for i := range s.Symbols {
							s.Symbols[i].Check ^= 1
							s.Symbols[i].Sum[0] ^= byte(i + 1)
						}
					}
					f.says(&Repair{o})
				}
				if result != nil {
					return true
				}
			}
		}
	}
	digest, data := l.data(record.ClassDescriptor, 1)
	l.store.add(record.ClassDescriptor, digest, data)
	for i, garbage := range []bool{true, false, true, true} { // in a row
		if !repair(garbage) {
			t.Fatalf("repair %d was not opened", i)
		}
		done := report[Repaired](l)
		if len(done) != 1 || done[0].Err != nil || done[0].Ours != 1 {
			t.Fatalf("repair %d: %+v", i, done)
		}
	}
	if repair(true) {
		t.Error("a third one after two in a row")
	}
	if l.score(f.rid) != 0 {
		t.Errorf("score %d", l.score(f.rid))
	}
}

// Of two repairs opened at once that of the side which opened the stream goes on.
// Spec: REPAIR-1, GOS-8.
func TestRepairsThatMeet(t *testing.T) {
	l := newLab(t, 60, genesis.Public())
	may, _ := l.callers()
	for _, inbound := range []bool{false, true} {
		rid := may[0]
		if !inbound {
			rid = l.m.assigned[0]
		}
		f := l.link(rid, inbound)
		f.says(hello())
		if p := l.m.peerOf(rid); p.repair == nil && !l.m.openRepair(p) {
			t.Fatal("opened none")
		}
		f.heard()
		f.says(&Repair{&reconcile.Open{Nonce: [16]byte{1}, Count: 0}})
		if answered := len(f.heard()) > 0; answered != inbound {
			t.Errorf("inbound %v: answered %v", inbound, answered)
		}
	}
}

// Spec: GOS-12.
func TestStandingsAreBounded(t *testing.T) {
	l := newLab(t, 60, genesis.Public())
	l.m.standing(l.now, ridOf(5000)).score = 50
	for n := range 3 * maxStandings {
		l.now = l.now.Add(time.Millisecond)
		l.m.standing(l.now, ridOf(10_000+n))
	}
	if len(l.m.standings) != maxStandings {
		t.Errorf("%d", len(l.m.standings))
	}
	if l.score(ridOf(5000)) != 50 {
		t.Error("the worst was forgotten first")
	}
}
