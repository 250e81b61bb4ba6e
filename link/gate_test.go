// SPDX-License-Identifier: BSD-3-Clause

package link

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"chive/internal/testutil"
)

// fill takes all places of a gate.
func fill(g *gate) []*turn {
	out := make([]*turn, MaxOutstandingWrites)
	for i := range out {
		out[i] = new(turn)
		g.enter(out[i], false)
	}
	return out
}

func TestGateAdmitsEightAndThenWhoSentLeast(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		g := newGate(time.Second, time.Now())
		inside := fill(g)
		var order []int
		counts := []float64{500, 100, 900, 300, 100000, 0}
		for i, n := range counts {
			go func() {
				tn := &turn{count: n}
				if !g.enter(tn, false) {
					t.Error("closed")
				}
				order = append(order, i)
				g.leave(tn, 0, time.Now())
			}()
		}
		for i := range 2 {
			go func() {
				tn := &turn{count: 1e9}
				g.enter(tn, true)
				order = append(order, 100+i)
				g.leave(tn, 0, time.Now())
			}()
			synctest.Wait()
		}
		if len(order) != 0 || g.busy != MaxOutstandingWrites {
			t.Fatal("more than eight were admitted")
		}
		g.leave(inside[0], 0, time.Now())
		synctest.Wait()
		if want := []int{100, 101, 5, 1, 3, 0, 2, 4}; !slices.Equal(order, want) {
			t.Errorf("order %v, want %v", order, want)
		}
	})
}

func TestGateCountsDecayByHalf(t *testing.T) {
	now := time.Now()
	g := newGate(time.Second, now)
	old, fresh := new(turn), new(turn)
	send := func(tn *turn, n int) {
		g.enter(tn, false)
		g.leave(tn, n, now)
	}
	send(old, 1000)
	now = now.Add(time.Second)
	send(fresh, 499)
	if old.count <= fresh.count {
		t.Error("1000 bytes a half-life ago count less than 499 now")
	}
	send(fresh, 2)
	if old.count >= fresh.count {
		t.Error("1000 bytes a half-life ago count more than 501 now")
	}
}

// The same order as counts that are decayed one by one, over many half-lives.
func TestGateAgreesWithAPlainModel(t *testing.T) {
	now := time.Now()
	g := newGate(10*time.Millisecond, now)
	random := rand.New(rand.NewPCG(3, 4))
	type pair struct {
		turn  turn
		plain float64
		at    time.Time
	}
	all := make([]pair, 20)
	for range 5000 {
		d := time.Duration(random.IntN(5)) * time.Millisecond
		if random.IntN(500) == 0 {
			d = time.Duration(random.IntN(200)) * g.halfLife
		}
		now = now.Add(d)
		p := &all[random.IntN(len(all))]
		n := random.IntN(8192)
		g.enter(&p.turn, false)
		g.leave(&p.turn, n, now)
		decay := func(p *pair) {
			p.plain *= math.Exp2(-float64(now.Sub(p.at)) / float64(g.halfLife))
			p.at = now
		}
		decay(p)
		p.plain += float64(n)
		q := &all[random.IntN(len(all))]
		decay(q)
		g.scaleLocked(&q.turn)
		g.scaleLocked(&p.turn)
		if p.plain > 1 && q.plain > 1 && (p.plain < 0.99*q.plain && p.turn.count > q.turn.count ||
			q.plain < 0.99*p.plain && q.turn.count > p.turn.count) {
			t.Fatal("order differs", p.plain, q.plain, p.turn.count, q.turn.count)
		}
	}
}

func TestGateKeepsOrderWhenWeightsStartAgain(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		g := newGate(time.Second, time.Now())
		inside := fill(g)
		var order []int
		for i, n := range []float64{3, 1, 2} {
			go func() {
				tn := &turn{count: n * 1e20}
				g.enter(tn, false)
				order = append(order, i)
			}()
		}
		synctest.Wait()
		later := time.Now().Add(3 * rebaseAfter * time.Second)
		for _, tn := range inside[:3] {
			g.leave(tn, 1, later)
			synctest.Wait()
		}
		if !slices.Equal(order, []int{1, 2, 0}) {
			t.Error(order)
		}
	})
}

func TestClosedGateLetsEverybodyGo(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		g := newGate(time.Second, time.Now())
		fill(g)
		results := make(chan bool, 4)
		for i := range 4 {
			go func() { results <- g.enter(new(turn), i%2 == 0) }()
		}
		synctest.Wait()
		g.close()
		for range 4 {
			if <-results {
				t.Error("admitted")
			}
		}
		if g.enter(new(turn), true) {
			t.Error("admitted after close")
		}
	})
}
