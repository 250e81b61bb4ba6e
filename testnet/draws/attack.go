// SPDX-License-Identifier: BSD-3-Clause

package draws

// Plan is how an attacker joins.
type Plan struct {
	Name     string
	Relays   int    // how many it has, all ready at once
	Rate     uint32 // what each declares, kbit/s: nobody measures
	Group    int    // how many of them in one /16
	Lies     bool   // Rate is more than it can carry
	Vouches  bool   // its relays vouch for its own as soon as they may
	Junk     bool   // relays that may not vouch sign vouchers all the same
	MoreWork int    // bits of work beyond the average of honest newcomers
}

// plans are the rows of the design's table. Bots declare as much as counts. Servers
// are spread over as many /16 as one hosting company of size has; the ten large ones
// are in five. Spec: directory §7.
var plans = []Plan{
	{Name: "bots", Relays: 35000, Rate: 20000, Group: 1, Lies: true, Vouches: true},
	{Name: "servers-100", Relays: 100, Rate: 60000, Group: 10, Vouches: true},
	{Name: "servers-500", Relays: 500, Rate: 60000, Group: 20, Vouches: true},
	{Name: "gigabit-10", Relays: 10, Rate: 1000000, Group: 2, Vouches: true},
}

func plan(name string) Plan {
	for _, p := range plans {
		if p.Name == name {
			return p
		}
	}
	return Plan{Name: name}
}

// firstHostileGroup is beyond those of honest relays.
const firstHostileGroup = 12000

// relay returns the attacker's relay i.
func (p *Plan) relay(i int) place {
	return place{rate: p.Rate, exit: true, group: firstHostileGroup + i/p.Group, nth: i % p.Group}
}
