// SPDX-License-Identifier: BSD-3-Clause

package draws

import (
	"context"
	"fmt"

	"chive/testnet/scenario"
)

// evasions are the ways round the caps. Relays of the attacker that are among the aged
// ones from the start share what a few machines run; those of hop ask to be let in.
// Spec: directory §13 (admission: address hopping, time-shared uptime, exit and return).
var evasions = []struct {
	name   string
	turned bool
	judge  func(c *collector, name string, e *Evaded)
	evade  Evasion
}{
	{"no evasion", true, nil, Evasion{Share: 1, Block: 1}},
	{"hop: 10 relays a machine, a new /16 each day", false, judgeHop, Evasion{Hop: true, Each: 10}},
	{"share: 2 relays a machine, 12 h each", true, judgeShare, Evasion{Share: 2, Block: 12}},
	{"share: 2 relays a machine, a day each", true, judgeShare, Evasion{Share: 2, Block: 24}},
	{"share: 3 relays a machine, 8 h each", true, judgeShare, Evasion{Share: 3, Block: 8}},
	{"share: 2 relays a machine, an hour each", true, judgeShare, Evasion{Share: 2, Block: 1}},
	{"leave: from d5 to d20", true, judgeLeave, Evasion{Leave: 5, Return: 20}},
}

// judgeHop holds relays that move to the cap of an address, and to what those could
// gather that stay.
func judgeHop(c *collector, name string, e *Evaded) {
	c.atMost(name+"relays at an address at once", "", float64(e.Reached)/float64(e.Machines), 2)
	c.atMost(name+"days of service per day and machine", "", e.Service, 2)
}

// judgeShare holds relays that share a machine to what one that runs all the time has:
// an eligible relay runs 95 % of the time.
func judgeShare(c *collector, name string, e *Evaded) {
	c.atMost(name+"days of service per day and machine", "", e.Service, 1)
	c.atMost(name+"committee at the end", "%", percent(e.Committee), 0)
}

// judgeLeave holds relays that return to the slots of a day, and to their age.
func judgeLeave(c *collector, name string, e *Evaded) {
	c.atMost(name+"returns in a day, of the slots", "%", percent(float64(e.Returned)/float64(max(e.Slots, 1))), 100)
	c.atMost(name+"days of service gained by being away", "days", float64(e.Credited), 0)
	c.atLeast(name+"returns in a day", "", float64(e.Returned), 1)
	c.show(name+"until the last is back", "days", float64(e.Back))
	c.show(name+"committee at the end", "%", percent(e.Committee))
}

// evading is the scenario evasion.
func evading(ctx context.Context, o scenario.Options, progress func(string)) (*scenario.Result, error) {
	c, seeds := newCollector(), seedsOf(o)
	base := Growth{Relays: o.Relays, Days: 45, AllExit: true, Stride: 1}
	if base.Relays == 0 {
		base.Relays = 300
	}
	if o.Short {
		base.Relays, base.Days = 60, 40
	}
	for _, seed := range seeds {
		for _, v := range evasions {
			g := base
			g.Seed, g.Evade, g.At = seed, v.evade, []int{g.Days}
			if v.turned {
				g.Turned = g.Relays / 10
			} else {
				g.Plan = Plan{Name: v.name, Relays: 2 * g.Relays / 3, Rate: 60000, Group: 1}
			}
			out, err := c.grow(ctx, g, progress, v.name)
			if err != nil {
				return nil, err
			}
			name := fmt.Sprintf("%s: ", v.name)
			e := &out.Evaded
			c.show(name+"machines", "", float64(e.Machines))
			c.show(name+"relays in the table, the most called running", "", float64(e.Running))
			c.show(name+"guard weight that answers, mean", "%", percent(e.Serving))
			if v.judge == nil {
				c.show(name+"days of service per day and machine", "", e.Service)
				c.show(name+"committee at the end", "%", percent(e.Committee))
				continue
			}
			v.judge(c, name, e)
			c.atMost(name+"paths that no rule leaves", "", float64(out.Broken), 0)
		}
	}
	return c.result(seeds,
		"300 relays of the capacities of tor2019 in Pitman-Yor networks, aged 90 to 1,140 days, all guards and exits, of which a tenth are the attacker's from the start; with hop none is, and two thirds as many ask to join; every epoch of 45 days by the real transition and held against its rules (I5); probes see who is there when an epoch ends (short runs: 60 relays, 40 days)",
		"who is in the table elsewhere than at its machine's address of the day is not reached; honest relays always are"), nil
}
