// SPDX-License-Identifier: BSD-3-Clause

package draws

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"chive/directory/committee"
	"chive/directory/path"
	"chive/directory/record"
	"chive/directory/weight"
)

// The numbers of the design's section 6 and of O5. Spec: testnet §6 (O5).
func TestBinomialNumbers(t *testing.T) {
	for _, v := range []struct {
		f            float64
		insert, fork float64
	}{
		{0.10, 5.0e-24, 1.9e-11}, {0.15, 2e-16, 6e-7}, {0.20, 1.3e-11, 3.2e-4}, {0.25, 3.9e-8, 1.5e-2}, {1.0 / 3, 2.6e-4, 0.37},
	} {
		k := 96
		insert, fork := atLeast(k, committee.Matching(k), v.f), atLeast(k, forks(k), v.f)
		if math.Abs(insert/v.insert-1) > 0.3 || math.Abs(fork/v.fork-1) > 0.1 {
			t.Errorf("f = %.2f: insert %.2g, two finals %.2g", v.f, insert, fork)
		}
	}
	if low, high := expected(11905, 3.2e-4); low != 1 || high != 8 {
		t.Errorf("%d..%d", low, high)
	}
	if p := 59530 * withoutReturn(1000, 200, 96, 34); math.Abs(p-8.745) > 0.01 {
		t.Errorf("%.3f capable draws of 59,530", p)
	}
	if low, high := expected(1000, 0); low != 0 || high != 0 {
		t.Errorf("%d..%d of what never is", low, high)
	}
}

// truths has a share of guard weight hostile, and of exit weight, in networks that do not
// matter: rules would make it a little less.
type truths struct {
	*growth
	chosen *path.Selector
	bad    map[record.RID]bool
	guard  float64
	exit   float64
	rand   bytesOf
}

func newTruths(t *testing.T, share float64) *truths {
	s, err := newGrowth(Growth{Seed: 7, Relays: 400, AllExit: true})
	if err != nil {
		t.Fatal(err)
	}
	p := s.p
	p.PathNetworkRule = false
	table := s.state.Snapshot().Table()
	w := weight.Compute(table, p, s.state.Snapshot().Day())
	var guards, exits, badGuards, badExits float64
	for i := range w.Guard {
		guards, exits = guards+float64(w.Guard[i]), exits+float64(w.Exit[i])
	}
	out := &truths{growth: s, bad: map[record.RID]bool{}, rand: bytesOf{rand.New(rand.NewPCG(7, 7))}}
	for _, i := range s.rng.Perm(table.Len()) {
		if badGuards+float64(w.Guard[i]) <= share*guards {
			badGuards, badExits = badGuards+float64(w.Guard[i]), badExits+float64(w.Exit[i])
			out.bad[table.At(i).RID] = true
		}
	}
	out.guard, out.exit = badGuards/guards, badExits/exits
	out.chosen = path.NewSelector(s.state.Snapshot(), p)
	return out
}

// within reports whether a count is one that a 95 % test of a chance accepts.
func within(count, n int, p float64) bool {
	sd := math.Sqrt(float64(n) * p * (1 - p))
	return math.Abs(float64(count)-float64(n)*p) <= 1.96*sd
}

func (u *truths) ends(t *testing.T) (first, both bool) {
	hops, err := u.chosen.Choose(u.rand, path.Request{Hops: path.MinHops, Target: path.Exit(record.TCP, 443), FreshGuard: true})
	if err != nil {
		t.Fatal(err)
	}
	first = u.bad[hops[0].RID]
	return first, first && u.bad[hops[2].RID]
}

// An attacker among v relays drawn anew r times: 1-(1-c)^(vr). At c = 10 %, v = 1: half
// after 7 rotations, 90 % after 22. Spec: testnet §6 (O1).
func TestRotatedGuardsMeetTheAttacker(t *testing.T) {
	u := newTruths(t, 0.10)
	const n = 2500
	for _, rotations := range []int{7, 22} {
		met := 0
		for range n {
			some := false
			for range rotations {
				first, _ := u.ends(t)
				some = some || first
			}
			met += one(some)
		}
		if p := 1 - math.Pow(1-u.guard, float64(rotations)); !within(met, n, p) {
			t.Errorf("%d rotations: %d of %d, expected %.3f", rotations, met, n, p)
		}
	}
}

// With fresh ends each time both are the attacker's with the product of the shares.
// Spec: testnet §6 (O2).
func TestFreshEndsAreBothHostile(t *testing.T) {
	u := newTruths(t, 0.10)
	const n = 40000
	both := 0
	for range n {
		_, b := u.ends(t)
		both += one(b)
	}
	// A relay is never both ends.
	p := u.guard * u.exit
	if !within(both, n, p) && math.Abs(float64(both)/(n*p)-1) > 0.1 {
		t.Errorf("%d of %d, expected %.5f", both, n, p)
	}
}

// Kept guards: how many a user enters through in six months, and how many users ever
// enter through the attacker. Spec: testnet §6 (O2).
func TestKeptGuardsExposeUsers(t *testing.T) {
	u := newTruths(t, 0.05)
	const users, months = 3000, 180
	exposed, used := 0, 0
	var law float64
	for range users {
		now := start()
		g := path.NewGuards(u.p, now)
		var mine []record.RID
		for range months {
			if _, err := g.Update(now, u.rand, u.chosen); err != nil {
				t.Fatal(err)
			}
			if usable := g.Usable(now); !slices.Contains(mine, usable[0]) {
				mine = append(mine, usable[0])
			}
			now = now.Add(24 * time.Hour)
		}
		used += len(mine)
		exposed += one(slices.ContainsFunc(mine, func(rid record.RID) bool { return u.bad[rid] }))
		law += 1 - math.Pow(1-u.guard, float64(len(mine)))
	}
	mean := float64(used) / users
	t.Logf("%.2f guards a user in six months, %.1f %% of users exposed at %.1f %% of guard weight", mean, 100*float64(exposed)/users, 100*u.guard)
	if !within(exposed, users, law/users) {
		t.Errorf("%d of %d exposed, expected %.3f", exposed, users, law/users)
	}
	if mean < 2 || mean > 3 {
		t.Errorf("%.2f guards a user", mean)
	}
}
