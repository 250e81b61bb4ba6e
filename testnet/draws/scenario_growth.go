// SPDX-License-Identifier: BSD-3-Clause

package draws

import (
	"context"
	"fmt"
	"math"
	"slices"

	"chive/testnet/scenario"
)

// tabled are the design's figures of an attack, percent: of paths at d60, d90, d120 and
// d180, of the committee at d180. Spec: directory §7.
type tabled struct {
	name      string
	paths     [4]float64
	committee float64
}

var table = []tabled{
	{"bots", [4]float64{1.2, 6, 14, 36}, 40},
	{"servers-100", [4]float64{0.5, 1.1, 0.8, 0.9}, 8},
	{"servers-500", [4]float64{1.2, 6, 9, 10}, 25},
	{"gigabit-10", [4]float64{0.1, 0.1, 0.1, 0.1}, 1},
}

// limit is how much a share of the table may be: a tenth more. Spec: directory §14 (G6).
func limit(share float64) float64 { return math.Round(1100*share) / 1000 }

// vouchedPer100 are the honest newcomers with a voucher that ask in a hundred days where
// honest people join at all: three a day.
const vouchedPer100 = 300

// weights is the scenario weight.
func weights(ctx context.Context, o scenario.Options, progress func(string)) (*scenario.Result, error) {
	c, seeds := newCollector(), seedsOf(o)
	base := Growth{Relays: o.Relays, AllExit: true, Vouched: vouchedPer100}
	if o.Short {
		base.Relays, base.Days, base.At = 150, 36, []int{30, 36}
	}
	for _, seed := range seeds {
		rows := table
		if o.Short {
			rows = table[:2]
		}
		for _, row := range rows {
			g := base
			g.Seed, g.Plan = seed, plan(row.name)
			if o.Short {
				g.Plan.Relays = min(g.Plan.Relays, 2000)
			}
			out, err := c.grow(ctx, g, progress, row.name)
			if err != nil {
				return nil, err
			}
			c.compare(row, out)
		}
		if o.Short {
			continue
		}
		for _, v := range variants {
			g := base
			g.Seed = seed
			v.change(&g)
			for _, name := range v.plans {
				g.Plan = plan(name)
				out, err := c.grow(ctx, g, progress, name+", "+v.name)
				if err != nil {
					return nil, err
				}
				c.vary(name, v.name, v.judged, out)
			}
		}
	}
	return c.result(seeds, model,
		"as in the table every honest relay is guard and exit and the share of paths is that of guards times that of exits; three honest newcomers a day come with vouchers, which the design's words do not say: by them nobody honest joins, and that is judged too; goals are the table's figures and a tenth more",
		"declared rates: bots and servers 20 Mbit/s and more, that is, all that counts while nobody measures; servers lie 10 (of 100) and 20 (of 500) in a /16, gigabit relays 2, bots alone"), nil
}

// variants are models beside the table's.
var variants = []struct {
	name   string
	plans  []string
	judged bool // it is what the design's words say
	change func(*Growth)
}{
	{"nobody honest joins", []string{"bots", "servers-100", "servers-500"}, true, func(g *Growth) { g.Vouched = 0 }},
	{"13 % are exits", []string{"servers-100", "servers-500"}, false, func(g *Growth) { g.AllExit = false }},
	{"from the middle of a cohort", []string{"servers-500"}, false, func(g *Growth) { g.Weeks = 2 }},
	{"all honest relays are founders", []string{"servers-100"}, false, func(g *Growth) { g.Young = true }},
}

// compare holds an outcome against the table.
func (c *collector) compare(row tabled, out *Outcome) {
	for _, l := range out.Looks {
		name := fmt.Sprintf("%s: d%d", row.name, l.Day)
		if l.Day <= 30 {
			c.atMost(name+" guards", "%", percent(l.Guard), 0)
			continue
		}
		at := slices.Index(tableDays[2:], l.Day)
		if at < 0 {
			c.show(name+" guards", "%", percent(l.Guard))
			continue
		}
		c.atMost(name+" paths", "%", percent(l.Path), limit(row.paths[at]))
		if l.Day == 180 {
			c.show(name+" guards", "%", percent(l.Guard))
			c.show(name+" exits", "%", percent(l.Exit))
			c.show(name+" middles", "%", percent(l.Middle))
			c.show(name+" paths, as the selector chooses", "%", percent(l.Sampled))
			c.atMost(name+" committee", "%", percent(l.Committee), limit(row.committee))
			c.show(name+" seats", "%", percent(l.Seats))
		}
	}
	if row.name == "servers-100" && len(out.Looks) > 3 {
		c.atMost("$500 a month: d90 paths", "%", percent(out.Looks[3].Path), 1.2)
	}
}

// vary shows an outcome of another model, or holds it against the table.
func (c *collector) vary(attack, model string, judged bool, out *Outcome) {
	row := table[slices.IndexFunc(table, func(t tabled) bool { return t.name == attack })]
	for _, l := range out.Looks {
		at := slices.Index(tableDays[2:], l.Day)
		if at < 0 {
			continue
		}
		name := fmt.Sprintf("%s, %s: d%d ", attack, model, l.Day)
		if judged {
			c.atMost(name+"paths", "%", percent(l.Path), limit(row.paths[at]))
		} else {
			c.show(name+"paths", "%", percent(l.Path))
		}
		switch {
		case judged && l.Day == 180:
			c.atMost(name+"committee", "%", percent(l.Committee), limit(row.committee))
		case judged && l.Day == 120 && attack == "bots":
			c.atMost(name+"committee", "%", percent(l.Committee), 20)
		case l.Day >= 120:
			c.show(name+"committee", "%", percent(l.Committee))
		}
	}
}

// flood is the scenario flood.
func flood(ctx context.Context, o scenario.Options, progress func(string)) (*scenario.Result, error) {
	c, seeds := newCollector(), seedsOf(o)
	for _, seed := range seeds {
		g := Growth{Seed: seed, Relays: o.Relays, Plan: plan("bots"), Vouched: vouchedPer100, Open: 200, Stride: 6}
		if o.Short {
			g.Relays, g.Days, g.Stride, g.Plan.Relays, g.At = 150, 32, 12, 5000, []int{14, 30, 32}
		}
		out, err := c.grow(ctx, g, progress, "bots")
		if err != nil {
			return nil, err
		}
		c.flooded(out)
		g.Plan.Junk, g.Days = true, 40
		if o.Short {
			g.Days = 12
		}
		if out, err = c.grow(ctx, g, progress, "bots with vouchers that count for nothing"); err != nil {
			return nil, err
		}
		c.atMost("a listed bot signs vouchers for all: vouched wait, median", "days", out.VouchedWaits[0].Median, 2)
	}
	return c.result(seeds, model,
		"132 of 1,000 honest relays are exits, every relay is a guard; honest newcomers: three a day with a voucher of a relay that may give one, two a day without; bots declare 20 Mbit/s, the eighth of them with the most work fills the store of candidates at all times, and each of their relays vouches as soon as it may",
		"every circuit with a bot in it is taken to fail, which bots that only carry too little do not do",
		"not measured here: the cost of the directory (G2's scenarios), circuits end to end"), nil
}

// flooded holds an outcome against G5.
func (c *collector) flooded(out *Outcome) {
	for _, l := range out.Looks {
		name := fmt.Sprintf("d%d ", l.Day)
		switch {
		case l.Day <= 14:
			c.atMost(name+"paths", "%", percent(l.Path), 0.1)
			c.atLeast(name+"circuits that one try builds", "%", percent(l.Clean), 99)
			c.show(name+"circuits that two tries build", "%", percent(1-(1-l.Clean)*(1-l.Clean)))
		default:
			c.show(name+"paths", "%", percent(l.Path))
			c.show(name+"circuits that one try builds", "%", percent(l.Clean))
			c.show(name+"circuits that two tries build", "%", percent(1-(1-l.Clean)*(1-l.Clean)))
		}
		if l.Day <= 30 {
			c.atMost(name+"guards", "%", percent(l.Guard), 0)
		} else {
			c.show(name+"guards", "%", percent(l.Guard))
			c.show(name+"exits", "%", percent(l.Exit))
		}
		if l.Day > 60 && l.Day <= 120 {
			c.atMost(name+"committee", "%", percent(l.Committee), 20)
		} else if l.Day > 120 {
			c.show(name+"committee", "%", percent(l.Committee))
		}
	}
	c.atLeast("first day with guard weight", "day", float64(out.FirstGuard), 30)
	c.atMost("paths that no rule leaves", "", float64(out.Broken), 0)
	c.atMost("candidates held, of the bound", "%", percent(out.Fill), 100)
	for _, w := range out.VouchedWaits {
		name := fmt.Sprintf("vouched, asked d%d to d%d: ", w.From, w.To)
		c.atMost(name+"wait, median", "days", w.Median, 2)
		c.show(name+"still waiting", "%", percent(float64(w.Never)/float64(w.Asked)))
	}
	for _, w := range out.OpenWaits {
		c.show(fmt.Sprintf("open, asked d%d to d%d: still waiting", w.From, w.To), "%", percent(float64(w.Never)/float64(w.Asked)))
	}
}
