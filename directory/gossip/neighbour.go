// SPDX-License-Identifier: BSD-3-Clause

package gossip

import (
	"bytes"
	"slices"

	"chive/directory/record"
)

// Numbers of neighbours. Spec: directory §4 (neighbours).
const (
	AssignedCount = 6  // out-neighbours of a day
	EverybodyUpTo = 17 // running relays that are all neighbours of each other
	PrivateCount  = 2  // random ones that nobody else knows
	MaxGuests     = 8  // callers that no beacon assigned to us
)

// Relay is one line of the relay list, as neighbours are chosen from it.
type Relay struct {
	RID     record.RID
	Group   uint16
	Running bool
}

// edge is the key that orders the possible neighbours of a caller.
// Spec: protocol §7 (GOS-3).
func edge(beacon [32]byte, caller, other record.RID) [32]byte {
	return record.Hash("edge", beacon[:], caller[:], other[:])
}

// Assigned returns the out-neighbours of a caller under a day's beacon, by rising
// rid: the AssignedCount running relays with the smallest edges, or all others where
// no more than EverybodyUpTo run. Spec: protocol §7 (GOS-3).
func Assigned(beacon [32]byte, caller record.RID, relays []Relay) []record.RID {
	type candidate struct {
		edge [32]byte
		rid  record.RID
	}
	var out []record.RID
	if running(relays) <= EverybodyUpTo {
		for i := range relays {
			if r := &relays[i]; r.Running && r.RID != caller {
				out = append(out, r.RID)
			}
		}
		return sorted(out)
	}
	var best []candidate // by rising edge
	for i := range relays {
		r := &relays[i]
		if !r.Running || r.RID == caller {
			continue
		}
		c := candidate{edge(beacon, caller, r.RID), r.RID}
		at, _ := slices.BinarySearchFunc(best, c, func(a, b candidate) int { return bytes.Compare(a.edge[:], b.edge[:]) })
		if at >= AssignedCount {
			continue
		}
		best = slices.Insert(best, at, c)
		best = best[:min(len(best), AssignedCount)]
	}
	for _, c := range best {
		out = append(out, c.rid)
	}
	return sorted(out)
}

// MayCall reports whether a caller that runs has other among its out-neighbours of
// the day. It is Assigned asked from the other end, and mostly cheaper.
// Spec: protocol §7 (GOS-3).
func MayCall(beacon [32]byte, caller, other record.RID, relays []Relay) bool {
	all := running(relays) <= EverybodyUpTo
	mine := edge(beacon, caller, other)
	closer, calls, called := 0, false, false
	for i := range relays {
		r := &relays[i]
		if !r.Running {
			continue
		}
		switch {
		case r.RID == caller:
			calls = true
			continue
		case r.RID == other:
			called = true
			continue
		case all:
			continue
		}
		if e := edge(beacon, caller, r.RID); bytes.Compare(e[:], mine[:]) < 0 {
			if closer++; closer >= AssignedCount {
				return false
			}
		}
	}
	return calls && called
}

// assignedTo is Assigned under the present list.
func (m *Machine) assignedTo(beacon [32]byte, caller record.RID) []record.RID {
	if m.cfg.Assigned != nil {
		return m.cfg.Assigned(beacon, caller, m.view.Relays)
	}
	return Assigned(beacon, caller, m.view.Relays)
}

// isAssigned finds out whether a relay has us among its out-neighbours of a day.
func (m *Machine) isAssigned(beacon [32]byte, caller record.RID) bool {
	if m.cfg.Assigned == nil {
		return MayCall(beacon, caller, m.cfg.Self, m.view.Relays)
	}
	r, known := find(m.view.Relays, caller)
	return known && r.Running && slices.Contains(m.assignedTo(beacon, caller), m.cfg.Self)
}

func running(relays []Relay) int {
	n := 0
	for i := range relays {
		if relays[i].Running {
			n++
		}
	}
	return n
}

func sorted(rids []record.RID) []record.RID {
	slices.SortFunc(rids, record.RID.Compare)
	return rids
}

// find returns the line of a relay. relays are sorted by rid.
func find(relays []Relay, rid record.RID) (*Relay, bool) {
	i, ok := slices.BinarySearchFunc(relays, rid, func(r Relay, rid record.RID) int { return r.RID.Compare(rid) })
	if !ok {
		return nil, false
	}
	return &relays[i], true
}

// choosePrivate keeps those of old that still run and adds random running relays
// until there are PrivateCount of groups distinct from each other and from self's,
// the new ones not in but. Where groups are too few it settles for fewer.
func choosePrivate(c *chance, self record.RID, relays []Relay, old, but []record.RID) []record.RID {
	var out []record.RID
	var groups []uint16
	if r, ok := find(relays, self); ok {
		groups = append(groups, r.Group)
	}
	take := func(rid record.RID) {
		r, ok := find(relays, rid)
		if ok && r.Running && rid != self && !slices.Contains(groups, r.Group) && !slices.Contains(out, rid) {
			out, groups = append(out, rid), append(groups, r.Group)
		}
	}
	for _, rid := range old[:min(len(old), PrivateCount)] {
		take(rid)
	}
	for range 16 * PrivateCount {
		if len(out) >= PrivateCount || len(relays) == 0 {
			break
		}
		if rid := relays[c.below(len(relays))].RID; !slices.Contains(but, rid) {
			take(rid)
		}
	}
	return sorted(out)
}
