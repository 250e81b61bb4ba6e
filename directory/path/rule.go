// SPDX-License-Identifier: BSD-3-Clause

package path

import (
	"chive/directory/record"
	"chive/directory/snapshot"
)

// Position is a place in a path.
type Position byte

// Positions, in the order in which weights are kept.
const (
	Guard Position = iota
	Middle
	Last
	positions
)

// Rule is what kept relays out of a position.
type Rule byte

// Rules, in the order in which they are applied.
const (
	RuleWeight   Rule = iota // no running relay may serve there
	RulePolicy               // none permits the port; or the asked relay is not there
	RuleExcluded             // all others failed a moment ago
	RuleGuards               // none of the client's guards is in the table and running
	RuleSame                 // it is in the path already
	RuleFamily               // it shares a family with another hop
	RuleNetwork              // it shares a network position with another hop
	RuleTries                // the search was given up
	rules
)

// RuleError says that no path keeps the rules, where it failed, and by which rule.
type RuleError struct {
	Position Position
	Rule     Rule
}

// Error returns a plain sentence.
func (e *RuleError) Error() string {
	places := [positions]string{"the guard", "a middle hop", "the last hop"}
	reasons := [rules]string{
		"no running relay of the table has that role and enough age",
		"no running relay permits the port, or the relay asked for is not running",
		"every relay that could has failed a moment ago",
		"none of the guards is usable",
		"every relay that could is in the path already: the network is too small",
		"every relay that could shares a family with another hop",
		"every relay that could shares a network with another hop",
		"the search for a path that keeps all rules took too long",
	}
	if e.Position >= positions || e.Rule >= rules {
		return "path: no path keeps the rules"
	}
	return "path: no relay can be " + places[e.Position] + ": " + reasons[e.Rule]
}

// conflict returns the rule by which two relays must not meet in a path.
func (s *Selector) conflict(a, b *snapshot.Relay) (Rule, bool) {
	if a.RID == b.RID {
		return RuleSame, true
	}
	if s.params.PathFamilyRule && a.Family != 0 && a.Family == b.Family {
		return RuleFamily, true
	}
	if s.params.PathNetworkRule && (a.Group == b.Group || shareNetwork(a, b)) {
		return RuleNetwork, true
	}
	return 0, false
}

// shareNetwork reports whether two relays have addresses in one /16 of IPv4 or one
// /32 of IPv6.
func shareNetwork(a, b *snapshot.Relay) bool {
	for _, x := range a.Addresses {
		for _, y := range b.Addresses {
			if record.Network(x.Addr()) == record.Network(y.Addr()) {
				return true
			}
		}
	}
	return false
}
