// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"fmt"
	"time"

	"chive/directory/path"
	"chive/directory/record"
)

// GuardExplained is a guard and why it is one.
type GuardExplained struct {
	RID   record.RID
	Until time.Time // it is replaced then, or after being away for too long; nothing else replaces it
	// State is "in use" (the first that is usable), "ready", "unreachable", "absent"
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
	Purpose string // what it was built for, in words
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

// explainGuards says of each guard what it is and why.
func explainGuards(t *table, all []path.GuardStatus, usable []record.RID) []GuardExplained {
	var out []GuardExplained
	for _, g := range all {
		e := GuardExplained{RID: g.RID, Until: g.Expires, Share: t.share(g.RID, path.Guard)}
		switch {
		case g.Absent:
			e.State = "absent"
		case g.Unreachable:
			e.State = "unreachable"
		case len(usable) > 0 && usable[0] == g.RID:
			e.State = "in use"
		case g.Last:
			e.State = "last"
		default:
			e.State = "ready"
		}
		e.Why = "drawn at random by weight among the relays that may be guards; it has " + percent(e.Share) +
			" of their weight now. " + guardWords[e.State]
		out = append(out, e)
	}
	return out
}

var guardWords = map[string]string{
	"in use":      "Circuits begin here: it is the first guard that can be used.",
	"ready":       "It is used when those before it cannot be reached.",
	"unreachable": "The last link to it failed; it is tried again, and kept.",
	"absent":      "It is not in the list of relays, or not running; it is replaced only if it stays away.",
	"last":        "Half of the circuits through it failed while another guard worked; the others go first.",
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
			h.Why = "the first of your guards that the rules of this path allow"
			for n, g := range guards {
				if g.RID == r.RID {
					h.Why = fmt.Sprintf("guard %d of %d, the first that the rules of this path allow", n+1, len(guards))
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
