// SPDX-License-Identifier: BSD-3-Clause

package path

import (
	"bytes"
	"errors"
	"io"
	"math"
	"slices"
	"testing"
	"time"

	"chive/directory/genesis"
	"chive/directory/record"
	"chive/directory/snapshot"

	"pgregory.net/rapid"
)

// publicRules are the public parameters, with weights as in a testnet so that small
// tables have guards.
func publicRules() genesis.Params {
	p := genesis.Testnet()
	q := genesis.Public()
	p.GuardLifeMin, p.GuardLifeMax, p.GuardNew, p.GuardNewPer = q.GuardLifeMin, q.GuardLifeMax, q.GuardNew, q.GuardNewPer
	p.GuardAbsent, p.GuardRetryMin, p.GuardRetryMax = q.GuardAbsent, q.GuardRetryMin, q.GuardRetryMax
	p.GuardDownAfter, p.GuardLast = q.GuardDownAfter, q.GuardLast
	return p
}

// stage is a client's guards in a network of twenty.
type stage struct {
	t   testing.TB
	g   *Guards
	s   *Selector
	now time.Time
	r   io.Reader
}

func newStage(t testing.TB, p genesis.Params) *stage {
	st := &stage{t: t, g: NewGuards(p, start()), s: selector(t, apart(20, guardFlag), p), now: start(), r: seeded(1)}
	if report := st.update(); report != ReportAdded {
		t.Fatalf("at first: report %v", report)
	}
	return st
}

func (st *stage) update() Report {
	st.t.Helper()
	report, err := st.g.Update(st.now, st.r, st.s)
	if err != nil {
		st.t.Fatal(err)
	}
	return report
}

func (st *stage) after(d time.Duration) { st.now = st.now.Add(d) }

func (st *stage) usable() []record.RID { return st.g.Usable(st.now) }

func (st *stage) list() []record.RID {
	var out []record.RID
	for _, x := range st.g.List(st.now) {
		out = append(out, x.RID)
	}
	return out
}

// without replaces the snapshot by one in which these relays are missing.
func (st *stage) without(gone ...record.RID) {
	relays := apart(20, guardFlag)
	for i := range relays {
		if slices.Contains(gone, rid(i)) {
			relays[i].flags |= stopped
		}
	}
	st.s = selector(st.t, relays, st.g.p)
}

// linkUp makes and ends a link to a relay.
func (st *stage) linkUp(r record.RID) {
	st.g.LinkUp(st.now, r)
	st.g.LinkLost(st.now)
}

// other is a relay that is no guard.
func (st *stage) other() record.RID {
	for i := range 20 {
		if !slices.Contains(st.list(), rid(i)) {
			return rid(i)
		}
	}
	st.t.Fatal("every relay is a guard")
	return record.RID{}
}

func TestThreeGuardsAreDrawnAndKept(t *testing.T) {
	st := newStage(t, publicRules())
	first := st.list()
	if len(first) != 3 || !slices.Equal(st.usable(), first) {
		t.Fatalf("%d guards", len(first))
	}
	for range 89 * 24 {
		st.after(time.Hour)
		if report := st.update(); report != 0 || !slices.Equal(st.usable(), first) {
			t.Fatalf("after %v: report %v", st.now.Sub(start()), report)
		}
	}
	// From the 90th to the 150th day each is replaced once.
	replaced := 0
	for range 61 * 24 {
		st.after(time.Hour)
		if st.update()&ReportRemoved != 0 {
			replaced++
		}
		if len(st.list()) != 3 {
			t.Fatalf("%d guards", len(st.list()))
		}
	}
	for _, r := range first {
		if st.g.find(r) != nil && slices.Equal(st.list(), first) {
			t.Error("a guard outlived its time")
		}
	}
	if replaced < 1 || replaced > 3 {
		t.Errorf("%d replacements", replaced)
	}
}

func TestSmallNetworkGivesFewGuards(t *testing.T) {
	p := publicRules()
	g := NewGuards(p, start())
	for _, count := range []int{0, 2} {
		if _, err := g.Update(start(), seeded(1), selector(t, apart(count, guardFlag), p)); err != nil {
			t.Fatal(err)
		}
		if n := len(g.Usable(start())); n != count {
			t.Errorf("%d guards of %d relays", n, count)
		}
	}
}

func TestUnreachableGuardIsPassedOverAndTriedAgain(t *testing.T) {
	st := newStage(t, publicRules())
	g := st.list()
	st.linkUp(g[1])
	want := []time.Duration{1, 2, 4, 8, 16, 32, 60, 60}
	for i, wait := range want {
		st.g.LinkFailed(st.now, g[0])
		if !slices.Equal(st.usable(), g[1:]) {
			t.Fatalf("failure %d: the guard is still used", i+1)
		}
		next, ok := st.g.NextRetry(st.now)
		if !ok || next.Sub(st.now) != wait*time.Minute {
			t.Fatalf("failure %d: next try after %v", i+1, next.Sub(st.now))
		}
		st.g.LinkUp(st.now, g[1]) // a link stays open, so that the network is not down
		st.after(wait*time.Minute - 1)
		if !slices.Equal(st.usable(), g[1:]) {
			t.Fatalf("failure %d: too early", i+1)
		}
		st.after(1)
		if !slices.Equal(st.usable(), g) {
			t.Fatalf("failure %d: not tried again", i+1)
		}
	}
	st.g.LinkUp(st.now, g[0])
	st.g.LinkFailed(st.now, g[0])
	if next, _ := st.g.NextRetry(st.now); next.Sub(st.now) != time.Minute {
		t.Errorf("after a success the back-off is %v", next.Sub(st.now))
	}
	if !slices.Equal(st.list(), g) {
		t.Error("the list changed")
	}
}

// TestGuardsDoNotChangeWhileTheNetworkIsDown is invariant I11.
//
// Spec: DIR-12.
func TestGuardsDoNotChangeWhileTheNetworkIsDown(t *testing.T) {
	st := newStage(t, publicRules())
	g := st.list()
	st.linkUp(g[0])
	// All links fail, again and again, for two days.
	for range 48 * 60 {
		st.after(time.Minute)
		for _, r := range st.usable() {
			st.g.LinkFailed(st.now, r)
		}
		st.g.LinkFailed(st.now, st.other())
		if report := st.update(); report != 0 {
			t.Fatalf("after %v: report %v", st.now.Sub(start()), report)
		}
		if st.now.Sub(start()) >= 5*time.Minute {
			if !st.g.Down(st.now) || !slices.Equal(st.usable(), g) || st.g.Blocked(st.now) {
				t.Fatalf("after %v: down is %v", st.now.Sub(start()), st.g.Down(st.now))
			}
			for _, x := range st.g.List(st.now) {
				if x.Unreachable {
					t.Fatal("a guard is marked")
				}
			}
		}
	}
	// The network is back: the second guard happens to be reached first.
	st.linkUp(g[1])
	if st.g.Down(st.now) || !slices.Equal(st.usable(), g) || st.update() != 0 {
		t.Error("the first guard is not used again")
	}
}

func TestOutageJustBeforeAnUpdateAddsNoGuard(t *testing.T) {
	st := newStage(t, publicRules())
	g := st.list()
	st.g.LinkUp(st.now, g[0])
	st.g.LinkUp(st.now, st.other())
	st.after(time.Second)
	for _, r := range g {
		st.g.LinkFailed(st.now, r)
	}
	// Links that break off are no sign that the network is there.
	st.after(time.Second)
	st.g.LinkLost(st.now)
	st.g.LinkLost(st.now)
	if report := st.update(); report != 0 || len(st.list()) != 3 {
		t.Errorf("report %v, %d guards", report, len(st.list()))
	}
}

// Spec: DIR-12.
func TestBlockedGuardsAreReplacedOnlyUpToTheCap(t *testing.T) {
	st := newStage(t, publicRules())
	for want := 4; want <= 6; want++ {
		for _, r := range st.list() {
			st.g.LinkFailed(st.now, r)
		}
		if want == 4 { // whose fault that was nobody knows: a short outage looks like it
			st.linkUp(st.other())
			if report := st.update(); report != 0 || st.g.Blocked(st.now) {
				t.Fatalf("marks of a short outage: report %v", report)
			}
		}
		st.g.Proven(append(st.list(), st.other()))
		st.after(time.Second)
		if st.update() != 0 {
			t.Fatal("a guard was added though nothing says that the network is there")
		}
		st.linkUp(st.other())
		if report := st.update(); report != ReportAdded || len(st.list()) != want {
			t.Fatalf("report %v, %d guards, want %d", report, len(st.list()), want)
		}
		if st.g.Blocked(st.now) {
			t.Fatal("blocked, with a guard that was not tried")
		}
	}
	for _, r := range st.list() {
		st.g.LinkFailed(st.now, r)
	}
	st.g.Proven(st.list())
	st.after(time.Second)
	st.linkUp(st.other())
	if report := st.update(); report != 0 || len(st.list()) != 6 || !st.g.Blocked(st.now) {
		t.Errorf("report %v, %d guards, blocked %v", report, len(st.list()), st.g.Blocked(st.now))
	}
	if len(st.usable()) != 0 {
		t.Error("a blocked guard is used")
	}
	// 60 days later three more may come.
	st.after(61 * 24 * time.Hour)
	for _, r := range st.list() {
		st.g.LinkUp(st.now, st.other())
		st.g.LinkFailed(st.now, r)
	}
	st.g.Proven(st.list())
	st.after(time.Second)
	st.linkUp(st.other())
	if report := st.update(); report != ReportAdded {
		t.Errorf("after the window: report %v", report)
	}
}

func TestListOfGuardsIsBounded(t *testing.T) {
	p := genesis.Testnet()
	st := newStage(t, p)
	for range 40 {
		for _, r := range st.list() {
			st.g.LinkFailed(st.now, r)
		}
		st.g.Proven(st.list())
		st.after(time.Millisecond)
		st.linkUp(record.RID{})
		st.update()
	}
	if len(st.list()) != maxGuards || !st.g.Blocked(st.now) {
		t.Errorf("%d guards", len(st.list()))
	}
}

func TestAbsentGuardIsReplacedAfterAWeek(t *testing.T) {
	st := newStage(t, publicRules())
	g := st.list()
	st.without(g[0])
	if st.update() != 0 || !slices.Equal(st.usable(), g[1:]) || !slices.Equal(st.list(), g) {
		t.Fatal("a stopped guard is to be passed over, not dropped")
	}
	st.after(7*24*time.Hour - time.Second)
	if st.update() != 0 {
		t.Fatal("dropped too early")
	}
	st.without() // it is back for a moment: the week begins anew
	st.update()
	if !slices.Equal(st.usable(), g) {
		t.Fatal("a guard that came back is not used")
	}
	st.without(g[0])
	st.update()
	st.after(7*24*time.Hour - time.Second)
	if st.update() != 0 {
		t.Fatal("the week did not begin anew")
	}
	st.after(time.Second)
	if report := st.update(); report != ReportRemoved|ReportAdded || slices.Contains(st.list(), g[0]) || len(st.list()) != 3 {
		t.Errorf("report %v", report)
	}
	if !slices.Equal(st.list()[:2], g[1:]) {
		t.Error("the order changed")
	}
}

// Spec: DIR-13.
func TestGuardThatBreaksCircuitsIsMovedLast(t *testing.T) {
	st := newStage(t, publicRules())
	g := st.list()
	for i := range 100 { // every second circuit fails
		if report := st.g.Circuit(st.now, st.usable()[0], i%2 == 0); report != 0 {
			t.Fatalf("circuit %d: report %v", i, report)
		}
		if i < 99 && st.usable()[0] != g[0] {
			t.Fatalf("circuit %d: judged too early", i)
		}
	}
	trial := 0
	for ; st.usable()[0] == g[1]; trial++ {
		if st.g.Circuit(st.now, g[1], true) == ReportMoved {
			break
		}
	}
	want := []record.RID{g[1], g[2], g[0]}
	if trial+1 != trialSize || !slices.Equal(st.usable(), want) || !slices.Equal(st.list(), g) {
		t.Fatalf("after %d circuits", trial+1)
	}
	if x := st.g.List(st.now)[0]; !x.Last {
		t.Error("it is not shown")
	}
	st.after(29 * 24 * time.Hour)
	if !slices.Equal(st.usable(), want) {
		t.Error("first again too early")
	}
	st.after(24 * time.Hour)
	if !slices.Equal(st.usable(), g) {
		t.Error("not first again after its time")
	}
}

func TestNoGuardIsMovedWhenAllFail(t *testing.T) {
	st := newStage(t, publicRules())
	g := st.list()
	for i := range 2000 {
		if report := st.g.Circuit(st.now, st.usable()[0], i%2 == 0); report != 0 {
			t.Fatalf("circuit %d: report %v", i, report)
		}
	}
	if x := st.g.List(st.now); x[0].Last || x[1].Last || x[2].Last {
		t.Error("a guard is last")
	}
	// A suspect that recovers is first again.
	for range 100 {
		st.g.Circuit(st.now, g[0], false)
	}
	if st.usable()[0] == g[0] {
		t.Fatal("no suspicion")
	}
	for range 60 {
		st.g.Circuit(st.now, g[0], true)
	}
	if st.usable()[0] != g[0] {
		t.Error("the suspicion stays")
	}
	if st.g.Circuit(st.now, st.other(), false) != 0 {
		t.Error("a relay that is no guard counts")
	}
}

// TestFivePercentFailuresNeverMoveAGuard is the other half of security T30.
func TestFivePercentFailuresNeverMoveAGuard(t *testing.T) {
	st := newStage(t, publicRules())
	g, r := st.list(), seeded(7)
	for range 1_000_000 {
		x, err := below(r, 100)
		if err != nil {
			t.Fatal(err)
		}
		if st.g.Circuit(st.now, g[0], x >= 5) != 0 || st.g.suspect != nil {
			t.Fatal("suspected")
		}
	}
}

func TestGuardRemovedWhileSuspect(t *testing.T) {
	st := newStage(t, publicRules())
	g := st.list()
	for range 100 {
		st.g.Circuit(st.now, g[0], false)
	}
	st.without(g[0])
	st.update()
	st.after(8 * 24 * time.Hour)
	if st.update()&ReportRemoved == 0 {
		t.Fatal("not removed")
	}
	for range 50 {
		if st.g.Circuit(st.now, g[1], true) != 0 {
			t.Fatal("a guard that is gone was moved")
		}
	}
}

// TestGuardsAreDrawnByWeight checks frequencies (security T27).
func TestGuardsAreDrawnByWeight(t *testing.T) {
	relays := apart(30, guardFlag)
	for i := range relays {
		relays[i].bucket = 36 + 4*uint8(i%3) // 1 : 2 : 4
	}
	s := selector(t, relays, genesis.Testnet())
	counts, r := map[int]float64{}, seeded(5)
	const clients = 20_000
	for range clients {
		g := NewGuards(genesis.Testnet(), start())
		if _, err := g.Update(start(), r, s); err != nil {
			t.Fatal(err)
		}
		relay, _ := s.table.Relay(g.list[0].rid)
		counts[number(relay)%3]++
	}
	for class := range 3 {
		want := clients * float64(int(1)<<class) / 7
		if math.Abs(counts[class]-want) > 4*math.Sqrt(want) {
			t.Errorf("class %d: %v first guards, wanted %v", class, counts[class], want)
		}
	}
}

func TestFailingRandomSourceStopsAnUpdate(t *testing.T) {
	g := NewGuards(genesis.Testnet(), start())
	s := selector(t, apart(5, guardFlag), genesis.Testnet())
	for n := range 16 {
		if _, err := g.Update(start(), bytes.NewReader(make([]byte, n)), s); !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	if len(g.list) != 0 {
		t.Errorf("%d guards", len(g.list))
	}
}

// TestGuardsUnderAnyEvents runs random events and holds the list against its
// promises.
func TestGuardsUnderAnyEvents(t *testing.T) {
	p := publicRules()
	all := apart(12, guardFlag)
	rapid.Check(t, func(rt *rapid.T) {
		r := seeded(rapid.Uint64().Draw(rt, "seed"))
		now := start()
		g := NewGuards(p, now)
		added := map[time.Time]int{}
		for range rapid.IntRange(1, 60).Draw(rt, "events") {
			now = now.Add(time.Duration(rapid.IntRange(0, 40*24*60).Draw(rt, "minutes")) * time.Minute)
			x := rid(rapid.IntRange(0, 11).Draw(rt, "relay"))
			switch rapid.IntRange(0, 6).Draw(rt, "event") {
			case 0, 1:
				relays := slices.Clone(all)
				for i := range relays {
					if rapid.IntRange(0, 5).Draw(rt, "stopped") == 0 {
						relays[i].flags |= stopped
					}
				}
				before := len(g.additions)
				if _, err := g.Update(now, r, selector(t, relays, p)); err != nil {
					rt.Fatal(err)
				}
				added[now] += max(len(g.additions)-before, 0)
			case 2:
				g.LinkUp(now, x)
			case 3:
				g.LinkLost(now)
			case 4:
				if g.LinkFailed(now, x); rapid.Bool().Draw(rt, "proven") {
					g.Proven([]record.RID{x})
				}
			case 5:
				for range 60 {
					g.Circuit(now, x, rapid.Bool().Draw(rt, "ok"))
				}
			case 6:
				back, err := LoadGuards(g.Encode(), p, now)
				if err != nil {
					rt.Fatal(err)
				}
				g = back
			}
			usable := g.Usable(now)
			for i, u := range usable {
				if g.find(u) == nil || slices.Contains(usable[:i], u) {
					rt.Fatal("a usable guard is none, or there twice")
				}
			}
			if len(g.list) > maxGuards || len(g.additions) > p.GuardNew {
				rt.Fatalf("%d guards, %d additions", len(g.list), len(g.additions))
			}
			recent := 0
			for at, n := range added {
				if now.Sub(at) < p.GuardNewPer-24*time.Hour {
					recent += n
				}
			}
			if recent > p.GuardNew {
				rt.Fatalf("%d new guards in the window", recent)
			}
		}
	})
}

func FuzzGuardState(f *testing.F) {
	for _, b := range stateSamples(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p := publicRules()
		g, err := LoadGuards(data, p, start())
		if err != nil {
			if !errors.Is(err, ErrGuardState) {
				t.Fatal(err)
			}
			return
		}
		again, err := LoadGuards(g.Encode(), p, start())
		if err != nil || !bytes.Equal(again.Encode(), g.Encode()) {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		_ = g.Usable(start())
		_, _ = g.Update(start(), seeded(1), selector(t, apart(5, snapshot.FlagGuard), p))
	})
}
