// SPDX-License-Identifier: BSD-3-Clause

package transition

import (
	"crypto/ed25519"

	"chive/directory/record"
	"chive/directory/snapshot"
)

// numbering gives the dictionaries' indices to values, so that they follow from the
// parent and the ops alone and change as little as possible: a value keeps its
// index as long as a leaf points at it; an index that nobody points at is free at
// once; a new value takes the lowest free index. Ops come in their order, and of
// one op the old value is given up before the new one is looked for.
// Spec: directory §5, protocol §7 (TRN-2).
type numbering struct {
	dict     *snapshot.Dictionaries // the parent's
	groups   slots
	families slots // from 0; a leaf has one more
	policies slots // from 0; a leaf has one more
}

// slots are the indices of one dictionary.
type slots struct {
	values  []string // empty: free
	uses    []int
	at      map[string]int
	low     int // no index below is free
	most    int
	changed bool
}

func newSlots(most, count int) slots {
	return slots{values: make([]string, count), uses: make([]int, count), at: make(map[string]int, count), most: most}
}

func (s *slots) put(i int, value string) {
	s.values[i] = value
	if value != "" {
		s.at[value] = i
	}
}

// take returns the index of a value, once more in use. Without a free index it
// reports false.
func (s *slots) take(value string) (int, bool) {
	if i, found := s.at[value]; found {
		s.uses[i]++
		return i, true
	}
	for s.low < len(s.values) && s.values[s.low] != "" {
		s.low++
	}
	i := s.low
	if i == s.most {
		return 0, false
	}
	if i == len(s.values) {
		s.values, s.uses = append(s.values, ""), append(s.uses, 0)
	}
	s.put(i, value)
	s.uses[i], s.changed = 1, true
	return i, true
}

// give gives up one use of an index.
func (s *slots) give(i int) {
	if s.uses[i]--; s.uses[i] > 0 {
		return
	}
	delete(s.at, s.values[i])
	s.values[i], s.changed, s.low = "", true, min(s.low, i)
}

// swap gives up one use of old for a value. Without a free index it reports false
// and old stays in use.
func (s *slots) swap(old int, value string) (int, bool) {
	if s.values[old] == value {
		return old, true
	}
	s.give(old)
	i, ok := s.take(value)
	if !ok { // then others use old too, or its index would have been free
		s.uses[old]++
		return old, false
	}
	return i, true
}

// trimmed returns the values without free ones at the end.
func (s *slots) trimmed() []string {
	n := len(s.values)
	for n > 0 && s.values[n-1] == "" {
		n--
	}
	return s.values[:n]
}

// newNumbering counts the uses of a table's entries.
func newNumbering(t *snapshot.Table) *numbering {
	d := t.Dictionaries()
	n := &numbering{
		dict: d, groups: newSlots(snapshot.MaxGroupCount, len(d.Groups)),
		families: newSlots(snapshot.MaxFamilyCount, len(d.Families)), policies: newSlots(snapshot.MaxPolicyCount, len(d.Policies)),
	}
	for i, g := range d.Groups {
		n.groups.put(i, string(g))
	}
	for i, f := range d.Families {
		n.families.put(i, string(f))
	}
	for i, p := range d.Policies {
		n.policies.put(i, string(record.EncodePolicy(p)))
	}
	for i := range t.Len() {
		l := &t.At(i).Leaf
		n.groups.uses[l.Group]++
		if l.Family > 0 {
			n.families.uses[l.Family-1]++
		}
		if l.Policy > 0 {
			n.policies.uses[l.Policy-1]++
		}
	}
	return n
}

// release gives up what a leaf points at.
func (n *numbering) release(l *snapshot.Leaf) {
	n.groups.give(int(l.Group))
	if l.Family > 0 {
		n.families.give(int(l.Family) - 1)
	}
	if l.Policy > 0 {
		n.policies.give(int(l.Policy) - 1)
	}
}

// wanted are the values of a descriptor; empty: none.
type wanted struct{ group, family, policy string }

// assign points a leaf at what it wants. old is the leaf it replaces, nil for a new
// one. It reports false, and nothing has changed, when no group is free. A family
// without a place is none; a policy without one costs the exit flag.
func (n *numbering) assign(l, old *snapshot.Leaf, want wanted) bool {
	var ok bool
	var i int
	if old != nil {
		i, ok = n.groups.swap(int(old.Group), want.group)
	} else {
		i, ok = n.groups.take(want.group)
		old = &snapshot.Leaf{}
	}
	if !ok {
		return false
	}
	l.Group = uint16(i)
	l.Family = uint16(n.families.reassign(int(old.Family), want.family))
	l.Policy = uint8(n.policies.reassign(int(old.Policy), want.policy))
	if l.Policy == 0 {
		l.Flags &^= snapshot.FlagExit
	}
	return true
}

// reassign is swap for indices that count from 1, 0 for none.
func (s *slots) reassign(old int, value string) int {
	if old > 0 {
		if s.values[old-1] == value {
			return old
		}
		s.give(old - 1)
	}
	if value == "" {
		return 0
	}
	i, ok := s.take(value)
	if !ok {
		return 0
	}
	return i + 1
}

// dictionaries returns the child's; the parent's own where nothing changed.
func (n *numbering) dictionaries() *snapshot.Dictionaries {
	if !n.groups.changed && !n.families.changed && !n.policies.changed {
		return n.dict
	}
	d := &snapshot.Dictionaries{}
	for _, g := range n.groups.trimmed() {
		d.Groups = append(d.Groups, snapshot.Group(g))
	}
	for _, f := range n.families.trimmed() {
		var key ed25519.PublicKey
		if f != "" {
			key = ed25519.PublicKey(f)
		}
		d.Families = append(d.Families, key)
	}
	for _, b := range n.policies.trimmed() {
		var p []record.PortRange
		if b != "" {
			p = must(record.DecodePolicy([]byte(b))) // it was encoded from a checked one
		}
		d.Policies = append(d.Policies, p)
	}
	return d
}
