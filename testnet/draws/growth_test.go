// SPDX-License-Identifier: BSD-3-Clause

package draws

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"chive/directory/genesis"
	"chive/directory/record"
)

// Quotas, ages, lists and weights come out as with every epoch, to the last digit: no
// relay of these ever stops, and everything that happens at a time of its own does so
// at a multiple of twelve epochs. Spec: ADM-4, TRN-4, TRN-8.
func TestTwoSnapshotsADayAreExact(t *testing.T) {
	run := func(stride int) []Look {
		p := plan("servers-500")
		p.Relays, p.Group, p.Vouches = 60, 1, false
		o, err := Growth{Seed: 3, Plan: p, Relays: 60, Days: 36, Stride: stride, At: []int{1, 7, 15, 32, 36}}.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return o.Looks
	}
	whole, part := run(1), run(12)
	for i := range whole {
		a, b := whole[i], part[i]
		a.Seats, b.Seats, a.Sampled, b.Sampled, a.Clean, b.Clean = 0, 0, 0, 0, 0, 0 // of other beacons
		if a != b {
			t.Errorf("every epoch %+v, two a day %+v", a, b)
		}
	}
	if last := whole[len(whole)-1]; last.Hostile != 60 || last.Guard == 0 {
		t.Errorf("%d hostile relays, guard share %v", last.Hostile, last.Guard)
	}
}

// Equal seeds, equal results; others, others. Spec: DRV-5.
func TestSameSeedSameGrowth(t *testing.T) {
	run := func(seed uint64) string {
		p := plan("bots")
		p.Relays = 500
		o, err := Growth{Seed: seed, Plan: p, Relays: 60, Days: 5, Vouched: 300, Open: 100, At: []int{5}}.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return o.Trace
	}
	if a := run(1); a != run(1) || a == run(2) {
		t.Error("traces do not follow the seed")
	}
}

// The built-in population is the one described: capacities, and groups like the /16 of
// a real network.
func TestPopulation(t *testing.T) {
	var sizes, counts []int
	for seed := range uint64(3) {
		places := population(rand.New(rand.NewPCG(seed, 1)), 7326, 0)
		most, count := largest(places)
		sizes, counts = append(sizes, most), append(counts, count)
	}
	if slices.Min(counts) < 2750 || slices.Max(counts) > 3050 || slices.Min(sizes) < 90 || slices.Max(sizes) > 170 {
		t.Errorf("%v groups, the largest of %v relays", counts, sizes)
	}
	places := population(rand.New(rand.NewPCG(1, 1)), 1000, total)
	var sum, usable float64
	exits := 0
	nets := map[[2]int]bool{}
	for _, p := range places {
		sum += float64(p.rate)
		usable += min(float64(p.rate), float64(genesis.Public().BWCap))
		exits += one(p.exit)
		nets[[2]int{p.group, p.nth}] = true
	}
	if math.Abs(sum/total-1) > 1e-3 || exits != 132 || len(nets) != 1000 {
		t.Errorf("%v kbit/s, %d exits, %d places", sum, exits, len(nets))
	}
	if part := usable / sum; part < 0.18 || part > 0.22 {
		t.Errorf("%.3f of the capacity is usable", part)
	}
	if g := gini(population(rand.New(rand.NewPCG(1, 1)), 2011, 0)); math.Abs(g-0.618) > 0.01 {
		t.Errorf("Gini %.3f", g)
	}
}

// An aged network is one that the rules go on from: nobody is a founder, all are
// eligible, both committees are full, and the first of a term draws the next.
func TestAgedNetwork(t *testing.T) {
	s, err := newGrowth(Growth{Seed: 1, Relays: 150})
	if err != nil {
		t.Fatal(err)
	}
	first := s.state
	for i := range first.Snapshot().Table().Len() {
		if !first.Eligible(s.p, i) {
			t.Fatal("a relay is not eligible")
		}
	}
	for range 2 * s.p.Term / s.Stride {
		if err := s.step(); err != nil {
			t.Fatal(err)
		}
	}
	for _, l := range s.state.Lists() {
		if l != nil && (l.Term <= first.Lists()[0].Term || len(l.Seats) < 60) {
			t.Errorf("list %c of term %d with %d seats", l.Name, l.Term, len(l.Seats))
		}
	}
}

// What an attacker vouches with counts for nothing until its relays may vouch, and one
// candidate of a sponsor waits at a time. Spec: ADM-6, TRN-7.
func TestVouchersOfTheAttackerWait(t *testing.T) {
	s, err := newGrowth(Growth{Seed: 1, Relays: 60, Plan: Plan{Relays: 600, Rate: 20000, Group: 1, Vouches: true}})
	if err != nil {
		t.Fatal(err)
	}
	named := map[record.RID]int{}
	for day := range 70 {
		for range s.p.Day / s.Stride {
			if err := s.step(); err != nil {
				t.Fatal(err)
			}
		}
		clear(named)
		for _, r := range s.waiting {
			named[r.sponsor] += one(r.vouched && r.joined == 0)
		}
		if len(named) > 1 && day < 58 {
			t.Fatalf("vouchers on day %d", day)
		}
		for rid, n := range named {
			if n > 1 {
				t.Fatalf("%d candidates name %v", n, rid)
			}
		}
	}
	if len(named) < 2 {
		t.Error("the attacker never vouches")
	}
}
