// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"fmt"
	"slices"
	"time"

	"chive/directory/path"
	"chive/directory/record"
)

// GuardExplained is a guard and why it is one.
type GuardExplained struct {
	RID   record.RID
	Until time.Time // it is replaced then, or after being away for too long; nothing else replaces it
	// State is "in use" (the first that is usable and not only to be tried again), "failing" (any, while
	// the client is down), "ready", "unreachable", "absent"
	// (not in the list of relays, or not running), or "last" (it broke circuits).
	State string
	Share float64 // of the guard weight of the list used now, 0 to 1
	Why   string
}

// HopExplained is a relay of a circuit and why it is there.
type HopExplained struct {
	RID      record.RID
	Position string  // "guard", "middle", "last"
	Share    float64 // of the position's weight in the list it was chosen from, 0 to 1
	Why      string
}

// CircuitExplained is an open circuit and why its relays were chosen.
type CircuitExplained struct {
	ID      string // random, known to this process only; CloseCircuit takes it
	Purpose string // what it was built for and may carry, in words
	Opened  time.Time
	Took    time.Duration // to build
	InUse   bool          // carries, or has carried, streams of one isolation key
	Streams int           // open now
	Epoch   uint64
	Hops    []HopExplained
}

// percent writes a share so that a small one is not shown as none.
func percent(share float64) string {
	switch p := 100 * share; {
	case share <= 0:
		return "no part"
	case p < 0.1:
		return fmt.Sprintf("%.3f %%", p)
	default:
		return fmt.Sprintf("%.1f %%", p)
	}
}

// explainGuards says of each guard what it is and why. carries counts the open circuits
// that begin at each; down: none can be made.
func explainGuards(t *table, all []path.GuardStatus, usable []record.RID, carries map[record.RID]int, down bool) []GuardExplained {
	var out []GuardExplained
	// The first that is usable, or else the first of those that are not only to be tried
	// again: there circuits begin while that fails.
	used := slices.IndexFunc(usable, func(rid record.RID) bool {
		return !slices.ContainsFunc(all, func(g path.GuardStatus) bool { return g.RID == rid && g.Unreachable })
	})
	for _, g := range all {
		first := len(usable) > 0 && usable[0] == g.RID
		e := GuardExplained{RID: g.RID, Until: g.Expires, Share: t.share(g.RID, path.Guard)}
		switch {
		case g.Absent:
			e.State = "absent"
		case g.Unreachable:
			e.State = "unreachable"
		case down: // all of them are tried, and none is reached
			e.State = "failing"
		case used >= 0 && usable[used] == g.RID:
			e.State = "in use"
		case g.Last:
			e.State = "last"
		default:
			e.State = "ready"
		}
		tried := first || used >= 0 && usable[used] == g.RID
		e.Why = "drawn at random by weight among the relays that may be guards; it has " + percent(e.Share) +
			" of their weight now. " + guardWords(e.State, tried, carries[g.RID])
		if g.Last && e.State != "last" {
			e.Why += " It comes last: half of the circuits through it failed while another guard worked."
		}
		out = append(out, e)
	}
	return out
}

// guardWords say what a guard's state means for new circuits, and what there is of old ones:
// those stay where they are when the state changes.
func guardWords(state string, first bool, carries int) string {
	open := "no circuit is open through it now"
	switch {
	case carries == 1:
		open = "1 open circuit begins here"
	case carries > 1:
		open = fmt.Sprintf("%d open circuits begin here", carries)
	}
	was := "" // of a guard at which no new ones begin
	switch {
	case carries == 1:
		was = " 1 circuit that was built before begins here, and stays open."
	case carries > 1:
		was = fmt.Sprintf(" %d circuits that were built before begin here, and stay open.", carries)
	}
	switch state {
	case "in use":
		return "New circuits begin here: it is the first guard that can be used; " + open + "."
	case "failing":
		if !first {
			return "New circuits are tried here where those before it fail, and fail for now: no guard can be reached." + was
		}
		return "New circuits are tried here first, and fail for now: no guard can be reached." + was
	case "unreachable":
		when := "it is tried again in a while, and kept."
		if first {
			when = "it is tried again with the next circuit, and kept."
		}
		return "The last new link to it failed; " + when + was
	case "absent":
		return "It is not in the list of relays, or not running: no new circuits begin here; it is replaced only if it stays away." + was
	case "last":
		return "Half of the circuits through it failed while another guard worked: new ones begin here only where no other can be used." + was
	}
	if carries > 0 {
		return "New circuits begin here where those before it cannot be used, or the rules of the path leave them out; " + open + "."
	}
	return "New circuits begin here only where those before it cannot be used, or the rules of the path leave them out; none is open."
}

// explainCircuit says why each relay of a circuit is there.
func explainCircuit(q *circ, guards []path.GuardStatus) []HopExplained {
	if q.table == nil {
		return nil
	}
	var out []HopExplained
	for i, r := range q.path {
		h := HopExplained{RID: r.RID}
		switch i {
		case 0:
			h.Position, h.Share = "guard", q.table.share(r.RID, path.Guard)
			h.Why = "a guard that was drawn when it was built"
			for n, g := range guards {
				if g.RID == r.RID {
					h.Why = fmt.Sprintf("guard %d of %d, the first that could be used then and that the rules of this path allow", n+1, len(guards))
				}
			}
			h.Why += "; " + percent(h.Share) + " of the guards' weight"
		case len(q.path) - 1:
			h.Position, h.Share = "last", q.table.share(r.RID, path.Last)
			h.Why = "drawn first, by weight, among the exits that permit " + q.need.words() + "; " + percent(h.Share) + " of the exits' weight"
			if q.need == needDir {
				h.Share = q.table.share(r.RID, path.Middle)
				h.Why = "drawn first, by weight; any relay will do here; " + percent(h.Share) + " of the middles' weight"
			}
		default:
			h.Position, h.Share = "middle", q.table.share(r.RID, path.Middle)
			h.Why = "drawn last, by weight; " + percent(h.Share) + " of the middles' weight"
		}
		if i > 0 {
			h.Why += ". " + ruleWords(q.table)
		}
		out = append(out, h)
	}
	return out
}

// ruleWords says what no two relays of a path have in common.
func ruleWords(t *table) string {
	words := "No two hops are the same relay"
	switch {
	case t.params.PathFamilyRule && t.params.PathNetworkRule:
		words += ", or share a family or a network"
	case t.params.PathFamilyRule:
		words += ", or share a family"
	case t.params.PathNetworkRule:
		words += ", or share a network"
	}
	return words
}

// purpose says what a circuit is there for: it was built for a port, and serves any that
// its exit permits.
func (n need) purpose() string {
	if n == needDir {
		return n.words()
	}
	return n.words() + ", or what else its exit permits"
}

// words says what a circuit is needed for.
func (n need) words() string {
	switch n.protocol {
	case record.TCP:
		return fmt.Sprintf("TCP port %d", n.port)
	case record.UDP:
		return fmt.Sprintf("UDP port %d", n.port)
	}
	return "anything"
}
