// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"fmt"
	"time"

	"chive/internal/control"
)

// fullMesh is how many running relays a network has at most in which each has a stream with
// each other, so that a member without one is missing, and not just no neighbour.
const fullMesh = 17

// rests reports whether a relay rests since its quota is used up: its port is closed then.
func rests(r *control.Relay) bool { return r.Quota != nil && r.Quota.UsedUp }

// judgeSeat says what is wrong with a relay's seat in the committee, and with the committee
// as it sees it.
func judgeSeat(r *control.Relay) (out []finding) {
	const check = "committee"
	say := func(level, code, text, fix string) { out = append(out, finding{check, level, code, text, fix}) }
	d := &r.Directory
	switch {
	case r.Twin:
		say(levelFault, "twin", sentence("It takes no part in the committee: "+r.Abstains),
			control.FixTwin)
	case r.Seat && r.Abstains != "" && r.Penalty.IsZero() && d.CurrentEpoch > 0 && r.Clock == "" && r.Store == "": // which are findings themselves
		fix := "If that stays for more than an epoch, look at chive relay status."
		if q := r.Quota; q != nil && q.UsedUp { // which no epoch ends, but its period
			fix = "Raise relay.accounting.max (--monthly) and reload or restart it, or wait until " + q.Ends.UTC().Format(time.DateTime) + " UTC. A member should have a quota that lasts, or none."
		}
		say(levelWarning, "abstains", sentence("It is a member of the committee and takes no part: "+r.Abstains),
			fix+" Meanwhile the other members have one fewer to spare: stop none of them.")
	}
	c := &d.Committee
	if d.Stalled || rests(r) || d.Running > fullMesh || len(c.Seats) <= c.Quorum || !r.Listed {
		return out // it is said; it is not known; or none may ever be away
	}
	there := 0
	for i := range c.Seats {
		if s := &c.Seats[i]; (s.Self || s.Stream) && s.Penalty.IsZero() {
			there++
		}
	}
	text := fmt.Sprintf("It reaches %d of the %d members of the committee that may sign, itself counted if it is one, and %d must", there, len(c.Seats), c.Quorum)
	const fix = "chive status names who is missing: ask their operators. Stop no other member until they are back, for an upgrade neither."
	switch {
	case there == c.Quorum:
		say(levelWarning, "none_to_spare", text+": if one more is away, no new list is agreed.", fix)
	case there < c.Quorum:
		say(levelWarning, "too_few", text+": no new list can be agreed, or this relay is cut off from the others.", fix+" Check this relay's connection, too.")
	}
	return out
}
