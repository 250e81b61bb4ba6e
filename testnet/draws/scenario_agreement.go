// SPDX-License-Identifier: BSD-3-Clause

package draws

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"chive/directory/committee"
	"chive/testnet/scenario"
)

// away is how many of a thousand honest seats are away in an epoch.
const away = 30

// sizes are how much of each part is run, in epochs.
type sizes struct {
	long, curve, exact, told int
	points                   int // of a curve
	members                  []int
}

// agreement is the scenario agreement.
func agreement(ctx context.Context, o scenario.Options, progress func(string)) (*scenario.Result, error) {
	c, seeds := newCollector(), seedsOf(o)
	size := sizes{long: 1_000_000, curve: 50_000, exact: 200_000, told: 20, points: 9, members: []int{7, 13, 21}}
	if o.Short {
		size = sizes{long: 20_000, curve: 2_000, exact: 4_000, told: 2, points: 5, members: []int{7, 10}}
	}
	sums := map[string]*Agreed{}
	for _, seed := range seeds {
		progress(fmt.Sprintf("seed %d: %d epochs", seed, size.long))
		relays := o.Relays
		if relays == 0 {
			relays = 1000
		}
		base, err := newNetwork(seed, relays)
		if err != nil {
			return nil, err
		}
		for _, share := range []float64{0.15, 0.20} {
			a, err := c.drawn(ctx, Seats{Seed: seed, Share: share, Epochs: size.long, Relays: relays, Offline: away, base: base}, sums)
			if err != nil {
				return nil, err
			}
			c.million(share, a)
		}
		progress(fmt.Sprintf("seed %d: exact numbers", seed))
		for _, share := range exactShares {
			if _, err := c.drawn(ctx, Seats{Seed: seed, Share: share, Epochs: size.exact, Relays: 10000, Placement: Equal, Offline: away}, sums); err != nil {
				return nil, err
			}
		}
		progress(fmt.Sprintf("seed %d: curves", seed))
		if err := c.curves(ctx, seed, size, base); err != nil {
			return nil, err
		}
		progress(fmt.Sprintf("seed %d: the real machines", seed))
		if err := c.machines(ctx, seed, size); err != nil {
			return c.result(seeds), err
		}
	}
	r := c.result(seeds,
		"1,000 eligible relays: weights and groups of an aged network of the capacities of tor2019; hostile are any of them until they hold their share of the weight, anew for each draw; thin: as many relays as that share asks for, each in a network of its own, beside 1,000 honest ones; both lists of each half-term by the real draw with all caps; 3 % of honest seats away in each epoch, for curves 8 % too",
		"the adversary knows who is away and reaches everybody in time; with the lowest output it spoils the epoch; time to a final snapshot: sign time, then gossip's quantiles of the design, then 15 s until the last relay has the certificate",
		fmt.Sprintf("machines: K = %v, %d epochs in each of %d mixtures of ways, parameters of public networks, items delayed as in gossip", size.members, size.told, len(mixtures)))
	r.Rows = slices.Concat(c.exactRows(sums), r.Rows)
	return r, nil
}

// exactShares are those of O5 at which something is to be seen.
var exactShares = []float64{0.10, 0.20, 0.25}

func (s Seats) key() string { return fmt.Sprintf("%d %.2f %d", s.Placement, s.Share, s.Offline) }

// drawn runs one and adds it to the sums over the seeds.
func (c *collector) drawn(ctx context.Context, s Seats, sums map[string]*Agreed) (*Agreed, error) {
	a, err := s.Run(ctx)
	if err != nil {
		return nil, err
	}
	c.traces = append(c.traces, a.Trace)
	sum := sums[s.key()]
	if sum == nil {
		sum = &Agreed{Hostile: make([]int, len(a.Hostile))}
		sums[s.key()] = sum
	}
	sum.Draws, sum.Fork, sum.Insert = sum.Draws+a.Draws, sum.Fork+a.Fork, sum.Insert+a.Insert
	for i, n := range a.Hostile {
		sum.Hostile[i] += n
	}
	return a, nil
}

// million judges the long runs.
func (c *collector) million(share float64, a *Agreed) {
	name := fmt.Sprintf("f = %.2f: ", share)
	epochs := float64(a.Epochs)
	skipped := percent(float64(a.Spoiled+a.Stalled) / epochs)
	if share <= 0.15 {
		c.atMost(name+"epochs with two finals", "", float64(a.Double), 0)
		c.atMost(name+"skipped epochs", "%", skipped, percent(share)+2)
	} else {
		c.show(name+"epochs with two finals", "", float64(a.Double))
		c.show(name+"skipped epochs", "%", skipped)
	}
	c.atMost(name+"epochs with minority content", "", float64(a.Inserted), 0)
	c.show(name+"draws", "", float64(a.Draws))
	c.show(name+"draws that allow two finals", "", float64(a.Fork))
	c.show(name+"the same, the best of the beacons that withholding leaves", "", float64(a.Ground))
	c.show(name+"of the skipped: too few honest seats there", "%", percent(float64(a.Stalled)/epochs))
	c.show(name+"hostile part of the seats", "%", percent(a.Mean))
	slices.Sort(a.Times)
	if n := len(a.Times); n > 0 {
		c.show(name+"time to final everywhere, median", "s", float64(a.Times[n/2])/1000)
		c.atMost(name+"time to final everywhere, longest", "s", float64(a.Times[n-1])/1000, 120)
	}
}

// curves shows shares from 0 to 0.40.
func (c *collector) curves(ctx context.Context, seed uint64, size sizes, base *network) error {
	for point := range size.points {
		f := 0.40 * float64(point) / float64(size.points-1)
		for _, run := range []struct {
			what string
			s    Seats
		}{
			{"alike", Seats{Offline: away}}, {"alike, 8 % away", Seats{Offline: 80}}, {"thin", Seats{Placement: Thin, Offline: away}},
		} {
			s := run.s
			s.Seed, s.Share, s.Epochs, s.Relays, s.base = seed+1000, f, size.curve, len(base.bad), base
			a, err := c.drawn(ctx, s, map[string]*Agreed{})
			if err != nil {
				return err
			}
			name := fmt.Sprintf("curve, f = %.2f, %s: ", f, run.what)
			c.show(name+"skipped epochs", "%", percent(float64(a.Spoiled+a.Stalled)/float64(a.Epochs)))
			if run.s.Offline == away {
				c.show(name+"draws that allow two finals", "%", percent(float64(a.Fork)/float64(a.Draws)))
				c.show(name+"epochs with two finals", "%", percent(float64(a.Double)/float64(a.Epochs)))
				c.show(name+"draws that allow minority content", "%", percent(float64(a.Insert)/float64(a.Draws)))
			}
		}
	}
	return nil
}

// exactRows holds the sums over the seeds against the binomial distribution: counts
// within what a 95 % test accepts. Of a thousand relays a draw, which takes nobody
// twice, is kinder than that, and held against its own numbers too. Spec: testnet §6 (O5).
func (c *collector) exactRows(sums map[string]*Agreed) []scenario.Row {
	var rows []scenario.Row
	test := func(what string, count, draws int, p float64) {
		low, high := expected(draws, p)
		verdict := scenario.Met
		if count < low || count > high {
			verdict = scenario.Missed
		}
		rows = append(rows, scenario.Row{
			Metric: what, Value: float64(count), Low: float64(count), High: float64(count),
			Unit: fmt.Sprintf("of %d", draws), Goal: fmt.Sprintf("%d..%d", low, high), Verdict: verdict,
		})
	}
	const k = 96
	for _, share := range exactShares {
		sum := sums[Seats{Placement: Equal, Share: share, Offline: away}.key()]
		if sum == nil {
			continue
		}
		name := fmt.Sprintf("O5, equal weights, f = %.2f: ", share)
		test(name+"draws that allow two finals (>= 34)", sum.Fork, sum.Draws, atLeast(k, forks(k), share))
		test(name+"draws that allow minority content (>= 49)", sum.Insert, sum.Draws, atLeast(k, committee.Matching(k), share))
		limit := 1.36 / math.Sqrt(float64(sum.Draws))
		row := scenario.AtMost(name+"Kolmogorov distance of hostile seats", "", []float64{distance(sum.Hostile, k, share)}, limit)
		rows = append(rows, row)
	}
	if sum := sums[Seats{Share: 0.20, Offline: away}.key()]; sum != nil {
		const what = "f = 0.20, real weights and caps: draws that allow two finals (>= 34), "
		test(what+"binomial", sum.Fork, sum.Draws, atLeast(k, forks(k), 0.20))
		test(what+"1,000 equal relays, none twice", sum.Fork, sum.Draws, withoutReturn(1000, 200, k, forks(k)))
	}
	return rows
}

// mixtures are the ways that traitors of the real machines have.
var mixtures = []struct {
	name string
	ways Ways
}{
	{"two of everything", DoubleVote | DoublePropose | DoubleSign},
	{"two proposals, unwanted ops, certificates withheld", Insert | DoublePropose | DoubleSign | WithholdCertificate},
	{"half votes, signatures withheld", PartialVote | WithholdSignature},
	{"hidden votes", HiddenVote},
	{"outputs withheld, two votes", WithholdOutput | DoubleVote},
	{"silent", Silent},
}

// machines runs vote's machines with as many traitors as two finals need less one, and
// with as many as they need.
func (c *collector) machines(ctx context.Context, seed uint64, size sizes) error {
	var below, above Told
	spread := time.Duration(0)
	for _, k := range size.members {
		for _, m := range mixtures {
			t, err := Members{Seed: seed, Size: k, Traitors: forks(k) - 1, Ways: m.ways, Epochs: size.told}.Run(ctx)
			if err != nil {
				return err
			}
			c.traces = append(c.traces, t.Trace)
			if len(t.Broken) > 0 || t.Double > 0 || t.Inserted > 0 || t.Innocent > 0 {
				what := fmt.Sprintf("K = %d, %s: %d epochs with two finals, %d unwanted ops, %d honest members named %v", k, m.name, t.Double, t.Inserted, t.Innocent, t.Broken)
				return &scenario.Breach{Invariant: "I3", Text: what, Seed: seed, Replay: fmt.Sprintf("chive testnet run agreement --seed %d", seed)}
			}
			below.Epochs, below.Skipped = below.Epochs+t.Epochs, below.Skipped+t.Skipped
			if m.ways&(DoubleVote|DoubleSign) == DoubleVote|DoubleSign {
				below.Unnamed += forks(k) - 1 - t.Accused
			}
			for _, d := range t.Last {
				spread = max(spread, d)
			}
		}
		t, err := Members{Seed: seed, Size: k, Traitors: forks(k), Ways: mixtures[0].ways, Epochs: size.told}.Run(ctx)
		if err != nil {
			return err
		}
		c.traces = append(c.traces, t.Trace)
		above.Epochs, above.Double = above.Epochs+t.Epochs, above.Double+t.Double
		above.Unnamed, above.Innocent = above.Unnamed+t.Unnamed, above.Innocent+t.Innocent
	}
	c.atMost("machines, 2Q-K-1 traitors: epochs with two finals", "", float64(below.Double), 0)
	c.atMost("machines, 2Q-K-1 traitors: unwanted ops applied", "", float64(below.Inserted), 0)
	c.atMost("machines, 2Q-K-1 traitors: two-faced members that no evidence names", "", float64(below.Unnamed), 0)
	c.show("machines, 2Q-K-1 traitors: skipped epochs", "%", percent(float64(below.Skipped)/float64(below.Epochs)))
	c.atMost("machines: time until the last honest member has a final, longest", "s", spread.Seconds(), 120)
	c.show("machines, 2Q-K traitors: epochs with two finals", "", float64(above.Double))
	c.atMost("machines, 2Q-K traitors: signers of both that no evidence names", "", float64(above.Unnamed), 0)
	c.atMost("machines: honest members that evidence names", "", float64(above.Innocent), 0)
	return nil
}
