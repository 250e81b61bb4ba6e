// SPDX-License-Identifier: BSD-3-Clause

package limit

import (
	"errors"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func at(text string) time.Time {
	t, err := time.Parse("2006-01-02 15:04:05 -0700", text)
	if err != nil {
		panic("bad time in a test")
	}
	return t
}

func TestPeriodsAreUTC(t *testing.T) {
	for _, c := range []struct {
		each            Period
		start           string
		now, begin, end string
	}{
		{Day, "", "2030-03-31 00:00:00 +0000", "2030-03-31 00:00:00 +0000", "2030-04-01 00:00:00 +0000"},
		{Day, "15:00", "2030-03-31 14:59:59 +0000", "2030-03-30 15:00:00 +0000", "2030-03-31 15:00:00 +0000"},
		{Day, "15:00", "2030-03-31 15:00:00 +0000", "2030-03-31 15:00:00 +0000", "2030-04-01 15:00:00 +0000"},
		// The clocks of Berlin change in this night; the period has 24 hours all the same.
		{Day, "01:30", "2030-03-31 03:10:00 +0200", "2030-03-30 01:30:00 +0000", "2030-03-31 01:30:00 +0000"},
		{Day, "", "2030-10-27 01:59:59 +0200", "2030-10-26 00:00:00 +0000", "2030-10-27 00:00:00 +0000"},
		// 2030-01-01 is a Tuesday.
		{Week, "", "2030-01-01 00:00:00 +0000", "2029-12-31 00:00:00 +0000", "2030-01-07 00:00:00 +0000"},
		{Week, "sun 23:59", "2030-01-01 00:00:00 +0000", "2029-12-30 23:59:00 +0000", "2030-01-06 23:59:00 +0000"},
		{Week, "tue", "2030-01-01 00:00:00 +0000", "2030-01-01 00:00:00 +0000", "2030-01-08 00:00:00 +0000"},
		{Week, "Tue 00:01", "2030-01-01 00:00:00 +0000", "2029-12-25 00:01:00 +0000", "2030-01-01 00:01:00 +0000"},
		{Month, "", "2030-12-31 23:59:59 +0000", "2030-12-01 00:00:00 +0000", "2031-01-01 00:00:00 +0000"},
		{Month, "31", "2030-02-27 00:00:00 +0000", "2030-01-31 00:00:00 +0000", "2030-02-28 00:00:00 +0000"},
		{Month, "31", "2030-02-28 00:00:00 +0000", "2030-02-28 00:00:00 +0000", "2030-03-31 00:00:00 +0000"},
		{Month, "30 12:00", "2032-02-29 12:00:00 +0000", "2032-02-29 12:00:00 +0000", "2032-03-30 12:00:00 +0000"},
		{Month, "30", "2030-04-30 23:00:00 -0500", "2030-04-30 00:00:00 +0000", "2030-05-30 00:00:00 +0000"},
		{Month, "1", "2030-04-30 23:00:00 -0500", "2030-05-01 00:00:00 +0000", "2030-06-01 00:00:00 +0000"},
		{Month, "15:00", "2030-05-01 14:00:00 +0000", "2030-04-01 15:00:00 +0000", "2030-05-01 15:00:00 +0000"},
	} {
		start, err := ParseStart(c.each, c.start)
		if err != nil {
			t.Errorf("%q: %v", c.start, err)
			continue
		}
		begin, end := c.each.around(start, at(c.now))
		if !begin.Equal(at(c.begin)) || !end.Equal(at(c.end)) {
			t.Errorf("%d %q at %s: from %v to %v", c.each, c.start, c.now, begin, end)
		}
	}
}

func TestStartsThatAreNone(t *testing.T) {
	for _, c := range []struct {
		each Period
		text string
	}{
		{Day, "mon"}, {Day, "24:00"}, {Day, "15:00 x"}, {Week, "3"}, {Week, "mon 15:00 x"}, {Month, "0"}, {Month, "32"}, {Month, "-1"}, {Month, "3 25:00"}, {Month, "3 4"},
	} {
		if s, err := ParseStart(c.each, c.text); !errors.Is(err, ErrStart) {
			t.Errorf("%d %q is %v, %v", c.each, c.text, s, err)
		}
	}
}

func TestEveryMomentIsInItsPeriod(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		each := Period(rapid.IntRange(0, 2).Draw(t, "period"))
		s := Start{Day: rapid.IntRange(0, 31).Draw(t, "day"), Time: time.Duration(rapid.IntRange(0, 24*60-1).Draw(t, "minute")) * time.Minute}
		if each == Week {
			s.Day = min(s.Day, 7)
		}
		now := start.Add(time.Duration(rapid.Int64Range(0, int64(10*365*24*time.Hour)).Draw(t, "now")))
		begin, end := each.around(s, now)
		next, _ := each.around(s, end)
		if begin.After(now) || !end.After(now) || !next.Equal(end) || end.Sub(begin) > 31*24*time.Hour {
			t.Fatalf("%v to %v, then %v", begin, end, next)
		}
	})
}

func TestAQuotaIsUsedUpAndComesBack(t *testing.T) {
	for _, c := range []struct {
		count Count
		in    uint64
		out   uint64
		used  int64
	}{{CountSum, 300, 200, 500}, {CountOut, 300, 200, 200}, {CountMax, 300, 200, 300}, {CountMax, 100, 200, 200}} {
		q, err := NewQuota(Accounting{Max: c.used, Each: Day, Count: c.count}, nil, start)
		if err != nil {
			t.Fatal(err)
		}
		q.Add(start, c.in, c.out-1)
		q.Add(start.Add(time.Hour), 0, 1)
		last := start.Add(24*time.Hour - 1)
		if got := q.Used(last); got != c.used {
			t.Errorf("count %d: %d used, not %d", c.count, got, c.used)
		}
		if !q.Exhausted(last) || q.DeclaredRate(last) != 0 {
			t.Errorf("count %d: not exhausted", c.count)
		}
		if next := start.Add(24 * time.Hour); q.Exhausted(next) || q.Used(next) != 0 || q.DeclaredRate(next) == 0 {
			t.Errorf("count %d: the next period does not begin anew", c.count)
		}
	}
	q, _ := NewQuota(Accounting{}, nil, start)
	q.Add(start, 1<<62, 1<<62)
	if q.Exhausted(start) {
		t.Error("no quota is exhausted")
	}
}

// TestTheDeclaredRateIsOnlyLowered within a period, and lets the quota last.
func TestTheDeclaredRateIsOnlyLowered(t *testing.T) {
	const day = 86400
	q, _ := NewQuota(Accounting{Max: 2 * 1000 * day, Each: Day, Rate: 5000}, nil, start)
	for _, c := range []struct {
		after    time.Duration
		each     uint64 // passes each way since the last row
		declared int64
	}{
		{0, 0, 1000},                            // the sum is both ways
		{6 * time.Hour, 500 * day / 4, 1000},    // more is left: not raised
		{12 * time.Hour, 1500 * day / 4, 1000},  // just as planned
		{12 * time.Hour, 50 * day / 2, 1000},    // a little more: not worth a change
		{12 * time.Hour, 200 * day / 2, 750},    // much more
		{18 * time.Hour, 0, 750},                // less: not raised
		{24*time.Hour - 1, 750 * day / 2, 0},    // all is gone
		{24 * time.Hour, 0, 1000},               // anew
		{48 * time.Hour, 10 * 1000 * day, 1000}, // what comes late counts for the new period
	} {
		now := start.Add(c.after)
		if c.after == 48*time.Hour {
			now = now.Add(-1)
			q.Add(now, c.each, c.each)
			if q.DeclaredRate(now) != 0 {
				t.Error("declares a rate with nothing left")
			}
			continue
		}
		q.Add(now, c.each, c.each)
		if got := q.DeclaredRate(now); got != c.declared {
			t.Errorf("after %v: declares %d, not %d", c.after, got, c.declared)
		}
	}
	if unbound, _ := NewQuota(Accounting{Rate: 5000}, nil, start); unbound.DeclaredRate(start) != 5000 {
		t.Error("without a quota the rate is not declared")
	}
	if wide, _ := NewQuota(Accounting{Rate: 5000, Max: 1 << 60}, nil, start); wide.DeclaredRate(start) != 5000 {
		t.Error("a large quota raises the rate")
	}
}

// TestARestartDoesNotRaiseTheDeclaredRate.
func TestARestartDoesNotRaiseTheDeclaredRate(t *testing.T) {
	cfg := Accounting{Max: 2 * 1000 * 86400, Each: Day, Rate: 5000}
	q, _ := NewQuota(cfg, nil, start)
	q.Add(start, 40_000_000, 40_000_000)
	noon := start.Add(time.Hour)
	low := q.DeclaredRate(noon)
	again, err := NewQuota(cfg, q.Final(noon), start.Add(23*time.Hour))
	if err != nil || low >= 1000 {
		t.Fatalf("%d, %v", low, err)
	}
	if got := again.DeclaredRate(start.Add(23 * time.Hour)); got != low {
		t.Errorf("declares %d after a restart, not %d", got, low)
	}
}

// TestAKillNeverUnderCounts: at any instant the stored state says at least what has
// passed, and at most a minute's bytes more.
func TestAKillNeverUnderCounts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := Accounting{Max: 1 << 40, Each: Month, Rate: rapid.SampledFrom([]int64{0, 1000, 1 << 20}).Draw(t, "rate"), Count: CountSum}
		cfg.Burst = cfg.Rate * rapid.SampledFrom([]int64{0, 1, 3, 30}).Draw(t, "burst")
		tokens := max(cfg.Burst, cfg.Rate)
		now := start
		q, _ := NewQuota(cfg, nil, now)
		var disk []byte
		var saves int
		var passed uint64
		began := now
		for range rapid.IntRange(1, 400).Draw(t, "seconds") {
			if state, due := q.Due(now); due {
				disk = state
				saves++
			}
			n := uint64(rapid.Int64Range(0, max(cfg.Rate, 16<<20)).Draw(t, "bytes"))
			if cfg.Rate > 0 {
				n = min(n, uint64(tokens+cfg.Rate))
				if rapid.Bool().Draw(t, "all of it") {
					n = uint64(tokens + cfg.Rate)
				}
				tokens = min(max(cfg.Burst, cfg.Rate), tokens+cfg.Rate-int64(n))
			}
			passed += n
			now = now.Add(time.Second)
			q.Add(now, 0, n)
			// It is killed here.
			after, err := NewQuota(cfg, disk, now)
			if err != nil {
				t.Fatal(err)
			}
			over := after.Used(now) - int64(passed)
			if over < 0 {
				t.Fatalf("%d bytes too few after a kill", -over)
			}
			if most := 2*max(cfg.Burst, cfg.Rate)*2 + cfg.Rate*2*busySeconds; cfg.Rate > 0 && over > most {
				t.Fatalf("%d bytes too many, not %d", over, most)
			}
			if most := after.Reserved(); over > most {
				t.Fatalf("%d bytes too many, and %d are said", over, most)
			}
		}
		if most := int(now.Sub(began)/(2*time.Second)) + 3; cfg.Rate > 0 && saves > most {
			t.Fatalf("%d states in %v", saves, now.Sub(began))
		}
		if after, _ := NewQuota(cfg, q.Final(now), now); after.Used(now) != int64(passed) || after.Reserved() != 0 {
			t.Fatal("a clean end does not count exactly")
		}
	})
}

func TestStatesThatCannotBeRead(t *testing.T) {
	q, _ := NewQuota(Accounting{Max: 100}, nil, start)
	q.Add(start, 60, 0)
	good := q.Final(start)
	for n := 1; n < len(good); n++ {
		if got, err := NewQuota(Accounting{Max: 100}, good[:n], start); !errors.Is(err, ErrQuotaState) || got.Used(start) != 0 {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	for _, bad := range [][]byte{append(good[:len(good):len(good)], 0), append([]byte{9}, good[1:]...)} {
		if _, err := NewQuota(Accounting{}, bad, start); !errors.Is(err, ErrQuotaState) {
			t.Errorf("%v", err)
		}
	}
}

// TestClocksThatGoBackForgetNothing, and those that go on begin anew.
func TestClocksThatGoBackForgetNothing(t *testing.T) {
	cfg := Accounting{Max: 100, Each: Day}
	q, _ := NewQuota(cfg, nil, start)
	q.Add(start, 60, 0)
	if q.Used(start.Add(-48*time.Hour)) != 60 {
		t.Error("forgot")
	}
	for after, want := range map[time.Duration]int64{-48 * time.Hour: 60, time.Hour: 60, 24*time.Hour - 1: 60, 24 * time.Hour: 0, 9999 * time.Hour: 0} {
		again, err := NewQuota(cfg, q.Final(start), start.Add(after))
		if err != nil || again.Used(start.Add(after)) != want {
			t.Errorf("after %v: %d used, %v", after, again.Used(start.Add(after)), err)
		}
	}
}

func TestAnotherConfigurationKeepsWhatPassed(t *testing.T) {
	q, _ := NewQuota(Accounting{Max: 100, Each: Month}, nil, start)
	now := start.Add(time.Hour)
	q.Add(now, 50, 0)
	q.Set(Accounting{Max: 40, Each: Week}, now)
	if q.Used(now) != 50 || !q.Exhausted(now) {
		t.Error("the smaller quota is not exhausted")
	}
	q.Set(Accounting{Max: 1 << 40, Each: Week, Rate: 7}, now)
	if q.Exhausted(now) || q.DeclaredRate(now) != 7 {
		t.Error("the larger quota does not count")
	}
	if _, end := q.Period(now); !end.Equal(at("2030-01-07 00:00:00 +0000")) {
		t.Errorf("it ends at %v", end)
	}
}

// TestMemoryWakesItsGuard when it becomes tight, and for as long as more is taken while it
// is critical (REL-5).
func TestMemoryWakesItsGuard(t *testing.T) {
	m := NewMemory(1000)
	p := m.Pool()
	woken := func() bool {
		select {
		case <-m.Wake():
			return true
		default:
			return false
		}
	}
	woken()
	for i, c := range []struct {
		add  int64
		want bool
	}{{799, false}, {1, true}, {1, false}, {-10, false}, {9, true}, {149, false}, {1, true}, {1, true}, {-1, false}, {1, true}, {-900, false}, {600, false}} {
		if p.Add(c.add); woken() != c.want {
			t.Errorf("step %d: at %d bytes, woken %v", i, m.Used(), !c.want)
		}
	}
	if m.SetMost(500); !woken() || m.Level() != Critical {
		t.Error("a lower bound wakes nobody")
	}
	if m.SetMost(0); m.Level() != Roomy || m.Excess() != 0 || m.Most() != 0 {
		t.Error("there is a bound")
	}
}

func TestMemoryHasThreeLevels(t *testing.T) {
	m := NewMemory(1000)
	a, b := m.Pool(), m.Pool()
	for _, c := range []struct {
		a, b   int64
		level  Level
		excess int64
	}{{400, 399, Roomy, 0}, {400, 400, Tight, 0}, {400, 450, Tight, 0}, {400, 451, Tight, 1}, {949, 0, Tight, 99}, {0, 950, Critical, 100}, {5000, 0, Critical, 4150}, {0, 0, Roomy, 0}} {
		a.Add(c.a - a.Used())
		b.Add(c.b - b.Used())
		if m.Used() != c.a+c.b || m.Level() != c.level || m.Excess() != c.excess {
			t.Errorf("%d and %d: %d used, level %d, excess %d", c.a, c.b, m.Used(), m.Level(), m.Excess())
		}
	}
	a.Add(1 << 50)
	m.SetMost(0)
	if m.Level() != Roomy || m.Excess() != 0 {
		t.Error("no bound is reached")
	}
	for machine, want := range map[uint64]int64{0: 128 << 20, 1 << 30: 256 << 20, 512 << 20: 128 << 20, 1 << 60: 4 << 30} {
		if got := AutoMemory(machine); got != want {
			t.Errorf("%d of %d", got, machine)
		}
	}
}

// TestAClosedPartGivesBackOnce: what comes back to it later is nobody's.
func TestAClosedPartGivesBackOnce(t *testing.T) {
	m := NewMemory(1000)
	old, next := m.Pool(), m.Pool()
	old.Add(300)
	next.Add(100)
	var back sync.WaitGroup
	for range 3 {
		back.Go(func() { old.Add(-100) })
		back.Go(old.Close)
	}
	back.Wait()
	old.Add(-300)
	old.Add(50)
	if old.Used() != 0 || next.Used() != 100 || m.Used() != 100 {
		t.Errorf("%d and %d of %d", old.Used(), next.Used(), m.Used())
	}
}

// TestARestartWithAnotherQuotaRecoversAtOnce, or with another rate or count; the same
// one does not raise.
func TestARestartWithAnotherQuotaRecoversAtOnce(t *testing.T) {
	cfg := Accounting{Max: 2 * 1000 * 86400, Each: Day, Rate: 5000}
	q, _ := NewQuota(cfg, nil, start)
	noon := start.Add(12 * time.Hour)
	q.Add(noon, 86_000_000, 86_000_000)
	low := q.DeclaredRate(noon)
	for _, c := range []struct {
		name   string
		change func(*Accounting)
		raised bool
	}{
		{"nothing", func(*Accounting) {}, false},
		{"burst", func(a *Accounting) { a.Burst = 77 }, false},
		{"max", func(a *Accounting) { a.Max *= 100 }, true},
		{"count", func(a *Accounting) { a.Count = CountOut }, true},
		{"rate", func(a *Accounting) { a.Rate = 6000 }, false}, // the quota still sets it
	} {
		other := cfg
		c.change(&other)
		again, err := NewQuota(other, q.Final(noon), noon)
		if err != nil {
			t.Fatal(err)
		}
		if got := again.DeclaredRate(noon); (got > low) != c.raised || again.Used(noon) < 86_000_000 {
			t.Errorf("%s: declares %d after %d", c.name, got, low)
		}
	}
	spent, _ := NewQuota(Accounting{Max: 30 << 20}, nil, start)
	spent.Add(start, 30<<20, 0)
	if again, _ := NewQuota(Accounting{Max: 500 << 30}, spent.Final(start), start); again.Exhausted(start) || again.DeclaredRate(start) < 50_000 {
		t.Errorf("declares %d", again.DeclaredRate(start))
	}
}

// TestOldStatesAreStillRead: what they say has passed counts.
func TestOldStatesAreStillRead(t *testing.T) {
	q, _ := NewQuota(Accounting{Max: 100}, nil, start)
	q.Add(start, 40, 20)
	for version, size := range map[byte]int{firstVersion: firstSize, secondVersion: secondSize} {
		old := append([]byte{version}, q.Final(start)[1:size]...)
		if again, err := NewQuota(Accounting{Max: 100}, old, start); err != nil || again.Used(start) != 60 || again.Reserved() != 0 {
			t.Errorf("version %d: %d used, %v", version, again.Used(start), err)
		}
	}
}

// TestAKillOfAnIdleRelayCostsLittle of its quota, and what it may cost is known.
func TestAKillOfAnIdleRelayCostsLittle(t *testing.T) {
	cfg := Accounting{Max: 1 << 30, Each: Month, Rate: 2 << 20}
	var disk []byte
	now := start
	for range 10 { // kills, a minute apart
		q, err := NewQuota(cfg, disk, now)
		if err != nil {
			t.Fatal(err)
		}
		for range 60 {
			if state, due := q.Due(now); due {
				disk = state
			}
			now = now.Add(time.Second)
			q.Add(now, 100, 100)
		}
	}
	q, _ := NewQuota(cfg, disk, now)
	if used := q.Used(now); used > 10*40<<20+1<<20 || q.Reserved() != 40<<20 {
		t.Errorf("%d MiB used by nothing, %d of it reserved at last", used>>20, q.Reserved()>>20)
	}
}

// TestTheReserveIsKeptForTheEnd, and a kill counts no more than the quota.
func TestTheReserveIsKeptForTheEnd(t *testing.T) {
	for _, count := range []Count{CountSum, CountOut, CountMax} {
		q, _ := NewQuota(Accounting{Max: 1000, Reserve: 100, Count: count}, nil, start)
		q.Add(start, 0, 899)
		if q.Exhausted(start) {
			t.Error("exhausted too early")
		}
		q.Add(start, 0, 1)
		if !q.Exhausted(start) || q.DeclaredRate(start) != 0 {
			t.Error("the reserve is not kept")
		}
		in, out := q.Left(start)
		if want := [][2]int64{CountSum: {100, 0}, CountOut: {0, 100}, CountMax: {1000, 100}}[count]; in != want[0] || out != want[1] {
			t.Errorf("count %d: %d and %d are left", count, in, out)
		}
		state, _ := q.Due(start)
		if after, _ := NewQuota(Accounting{Max: 1000, Count: count}, state, start); after.Used(start) != 1000 {
			t.Errorf("count %d: %d used after a kill", count, after.Used(start))
		}
	}
}

// TestQuotaSetReserves kills a relay after its rate was raised while it ran.
func TestQuotaSetReserves(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	slow, fast := Accounting{Max: 1 << 40, Rate: 1 << 20}, Accounting{Max: 1 << 40, Rate: 100 << 20}
	q, err := NewQuota(slow, nil, now)
	if err != nil {
		t.Fatal(err)
	}
	state, _ := q.Due(now)
	q.Set(fast, now.Add(2*time.Second))
	for i := range 50 {
		at := now.Add(time.Duration(2+i) * time.Second)
		if s, due := q.Due(at); due {
			state = s
		}
		q.Add(at.Add(time.Second), 100<<20, 100<<20)
		now := at.Add(time.Second)
		again, err := NewQuota(fast, state, now)
		if err != nil {
			t.Fatal(err)
		}
		if has, had := again.Used(now), q.Used(now); has < had {
			t.Fatalf("killed %d s after the rate was raised it counts %d bytes of %d", i+1, has, had)
		}
	}
}

// TestAFarFutureDoesNotRest: a state written under a clock of 2036 holds its bytes against
// this period, not the relay until 2036; one of the next period lasts until that is over.
func TestAFarFutureDoesNotRest(t *testing.T) {
	cfg := Accounting{Max: 100, Each: Month}
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		written, over time.Time
	}{
		{now.AddDate(10, 0, 0), time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)},
		{now.AddDate(0, 1, 0), time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)},
	} {
		q, err := NewQuota(cfg, nil, c.written)
		if err != nil {
			t.Fatal(err)
		}
		q.Add(c.written, 60, 60)
		state, _ := q.Due(c.written)
		if q, err = NewQuota(cfg, state, now); err != nil {
			t.Fatal(err)
		}
		if q.Used(now) < 100 || q.Used(c.over.Add(-time.Second)) < 100 || q.Used(c.over) != 0 {
			t.Errorf("written %v: %d now, %d at the end", c.written, q.Used(now), q.Used(c.over))
		}
	}
}
