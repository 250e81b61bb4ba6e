// SPDX-License-Identifier: BSD-3-Clause

package model

import (
	"errors"
	"slices"
	"time"

	"chive/directory/genesis"
	"chive/directory/path"
	"chive/directory/record"
	"chive/directory/snapshot"
	"chive/directory/transition"
)

const (
	// clientCount clients stand beside the relays of a world.
	clientCount = 4
	// pathsDrawn is how many paths each draws from a list.
	pathsDrawn = 100
	// guardsKept is how many guards a client has where the list has so many. Spec: directory §9.
	guardsKept = 3
	// outageOdds: a client whose network is there loses it at one of so many steps.
	outageOdds = 20
	// outageSteps bounds the length of an outage; downSteps of them are GuardDownAfter.
	outageSteps = 15
	downSteps   = 5
)

// clients hold the real code of clients' choices to I8 and I11, by the lists that the relays
// agree on. They read finals and who runs, are looked at when an epoch ends, and do nothing
// that relays see: no trace has them.
type clients struct {
	w       *world
	rules   genesis.Params // that paths are judged by
	all     []*client
	newest  *transition.State // final, by an honest relay
	chosen  *transition.State // that selector chooses from
	choose  *path.Selector
	looked  time.Time // until when the clients have lived
	paths   int       // that were looked at
	refused int       // requests for which there was no path
	outages int       // that were looked at to their end
	changes int       // of guards, by the rules
}

// client is one of them.
type client struct {
	chance bytesOf
	guards *path.Guards
	guard  *node              // to which its link is open; nil: to none
	outage int                // steps left without a network
	lost   int                // steps without one so far
	before []path.GuardStatus // of the outage's start; nil: no guard was linked then
	untold []record.RID       // guards that failed since the last link
}

func newClients(w *world) *clients {
	c := &clients{w: w, rules: w.doc.Params}
	for i := range clientCount {
		c.all = append(c.all, &client{chance: bytesOf{stream(w.seed, i, "client")}})
	}
	return c
}

// final takes a list that honest relays have agreed on.
func (c *clients) final(s *transition.State) {
	if c.newest == nil || s.Epoch() > c.newest.Epoch() {
		c.newest = s
	}
}

// epochEnds lets the clients live until now: with the list that they had, then with the newest.
func (c *clients) epochEnds() {
	now := c.w.time()
	if c.choose != nil {
		for step := c.rules.GuardDownAfter / downSteps; !c.looked.Add(step).After(now); {
			c.looked = c.looked.Add(step)
			for i, one := range c.all {
				c.live(i, one)
			}
		}
	}
	if c.newest == nil || c.newest == c.chosen {
		return
	}
	if c.choose == nil {
		c.looked = now
		for _, one := range c.all {
			one.guards = path.NewGuards(c.w.doc.Params, now)
		}
	}
	c.chosen, c.choose = c.newest, path.NewSelector(c.newest.Snapshot(), c.w.doc.Params)
	for i, one := range c.all {
		if one.outage == 0 {
			c.update(i, one)
		}
		for n := range pathsDrawn {
			c.draw(one, n)
		}
	}
}

// live is one step of a client.
func (c *clients) live(i int, one *client) {
	now := c.looked
	switch {
	case one.outage > 0:
		one.outage--
		one.lost++
		c.fails(one, one.guards.Usable(now))
		one.guards.LinkFailed(now, c.other(one))
		c.update(i, one)
		if one.outage > 0 {
			return
		}
		// The network is there again, and another relay is reached before a guard.
		one.guards.LinkUp(now, c.other(one))
		c.update(i, one)
		one.guards.LinkLost(now)
		if one.before != nil {
			c.outages++
		}
		one.before, one.untold = nil, nil
	case one.guard != nil && one.guard.up:
		if below(one.chance, outageOdds) == 0 {
			one.outage, one.lost, one.before = 1+below(one.chance, outageSteps), 0, one.guards.List(now)
			one.guards.LinkLost(now)
			one.guard = nil
		}
	default:
		if one.guard != nil {
			one.guards.LinkLost(now)
			one.guard = nil
		}
		c.enter(i, one)
	}
}

// enter makes a link to the first guard that is there. Where none is, the client learns from
// another relay that the network is, as the client role does.
func (c *clients) enter(i int, one *client) {
	now := c.looked
	for _, rid := range one.guards.Usable(now) {
		if n := c.w.byRID[rid]; n != nil && n.up {
			one.guards.LinkUp(now, rid)
			one.guard, one.untold = n, nil
			return
		}
		c.fails(one, []record.RID{rid})
	}
	one.guards.LinkUp(now, c.other(one))
	one.guards.Proven(one.untold)
	one.untold = nil
	c.update(i, one)
	one.guards.LinkLost(now)
}

// fails has the client fail to reach guards.
func (c *clients) fails(one *client, guards []record.RID) {
	for _, rid := range guards {
		one.guards.LinkFailed(c.looked, rid)
		if one.outage == 0 {
			one.untold = append(one.untold, rid)
		}
	}
}

// other is a relay of the list that is no guard of the client; a zero RID if all are.
func (c *clients) other(one *client) record.RID {
	table := c.chosen.Snapshot().Table()
	for range guardsKept + 1 {
		rid := table.At(below(one.chance, table.Len())).RID
		if !slices.ContainsFunc(one.guards.List(c.looked), func(g path.GuardStatus) bool { return g.RID == rid }) {
			return rid
		}
	}
	return record.RID{}
}

// update has a client look over its guards, and looks at what it does (I11).
func (c *clients) update(i int, one *client) {
	report, err := one.guards.Update(c.looked, one.chance, c.choose)
	must(err)
	if report != 0 {
		c.changes++
	}
	if one.before == nil {
		return
	}
	after := one.guards.List(c.looked)
	why := c.changed(one.before, after)
	if one.outage > 0 && one.lost > downSteps && slices.ContainsFunc(after, func(g path.GuardStatus) bool { return g.Unreachable }) {
		why = "holds against a guard that it is not reached"
	}
	if why != "" {
		c.w.breaks("I11", "client %d %s because its network was down", i, why)
	}
}

// changed says what guards, without a network, have become that time alone does not explain.
func (c *clients) changed(before, after []path.GuardStatus) string {
	has := func(all []path.GuardStatus, rid record.RID) bool {
		return slices.ContainsFunc(all, func(g path.GuardStatus) bool { return g.RID == rid })
	}
	stay := 0
	for _, g := range before {
		switch {
		case has(after, g.RID):
			stay++
		case !g.Absent && c.looked.Before(g.Expires):
			return "has left a guard"
		}
	}
	if stay < guardsKept {
		return "" // there was room
	}
	for _, g := range after {
		if !has(before, g.RID) {
			return "has taken a guard"
		}
	}
	return ""
}

// draw has a client choose a path, and looks at it (I8).
func (c *clients) draw(one *client, n int) {
	table := c.choose.View().Table()
	req := path.Request{Hops: path.MinHops + n%(path.MaxHops-path.MinHops+1), Guards: one.guards.Usable(c.looked)}
	switch n % 5 {
	case 0:
		req.Target, req.FreshGuard = path.Any(), true
	case 1:
		req.Target = path.Relay(table.At(below(one.chance, table.Len())).RID)
	case 2:
		req.Target = path.Exit(record.TCP, 80)
	default:
		req.Target, req.Hops = path.Exit(record.TCP, 443), path.MinHops
	}
	if n%3 == 0 {
		req.Exclude = map[record.RID]bool{table.At(below(one.chance, table.Len())).RID: true}
	}
	got, err := c.choose.Choose(one.chance, req)
	var none *path.RuleError
	switch {
	case errors.As(err, &none):
		c.refused++
		return
	case err != nil:
		must(err)
	}
	c.paths++
	if why := judge(got, &req, n%5, &c.rules); why != "" {
		c.w.breaks("I8", "a path of %d hops in epoch %d %s", req.Hops, c.chosen.Epoch(), why)
	}
}

// judge says which rule a path breaks; empty: none. kind is what draw asked for. It shares no
// code with the choice. Spec: directory §9 (paths).
func judge(hops []*snapshot.Relay, req *path.Request, kind int, p *genesis.Params) string {
	if len(hops) != req.Hops {
		return "has another length"
	}
	for i, a := range hops {
		if a.Flags&snapshot.FlagRunning == 0 {
			return "has a relay that does not run"
		}
		if req.Exclude[a.RID] {
			return "has a relay that was excluded"
		}
		for _, b := range hops[:i] {
			switch {
			case a.RID == b.RID:
				return "has a relay twice"
			case p.PathFamilyRule && a.Family != 0 && a.Family == b.Family:
				return "has two relays of a family"
			case p.PathNetworkRule && a.Group == b.Group:
				return "has two relays of a group"
			case p.PathNetworkRule && a.Addresses[0].Addr().As4()[0] == b.Addresses[0].Addr().As4()[0] && a.Addresses[0].Addr().As4()[1] == b.Addresses[0].Addr().As4()[1]:
				return "has two relays of a network" // all have one address, of IPv4
			}
		}
	}
	if !req.FreshGuard && !slices.Contains(req.Guards, hops[0].RID) {
		return "begins at no guard of the client"
	}
	permits := func(port uint16) bool {
		return slices.ContainsFunc(hops[len(hops)-1].Policy, func(r record.PortRange) bool {
			return r.Protocol == record.TCP && r.First <= port && port <= r.Last
		})
	}
	switch {
	case kind == 1 && path.Relay(hops[len(hops)-1].RID) != req.Target:
		return "ends at another relay"
	case kind == 2 && !permits(80), kind > 2 && !permits(443):
		return "ends at an exit that does not permit the port"
	}
	return ""
}
