// SPDX-License-Identifier: BSD-3-Clause

package snapshot

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"net/netip"
	"slices"

	"chive/directory/record"
)

// Caps of the dictionaries: the indices of a leaf must reach every entry.
// Spec: directory §5, §10.
const (
	MaxGroupCount  = 1 << 16
	MaxFamilyCount = 1<<16 - 1 // 0 means none
	MaxPolicyCount = 1<<8 - 1  // 0 means none
)

// Group is a network position: the /16 of an IPv4 address, as 4 and 2 bytes, or
// the /32 of an IPv6 address, as 6 and 4 bytes.
type Group string

// GroupOf returns the group of a relay with these addresses: that of the first
// IPv4 address, else of the first IPv6 address.
func GroupOf(four, six netip.AddrPort) Group {
	if four.IsValid() {
		b := four.Addr().As4()
		return Group([]byte{4, b[0], b[1]})
	}
	b := six.Addr().As16()
	return Group([]byte{6, b[0], b[1], b[2], b[3]})
}

// Dictionaries hold what leaves point at. An index keeps its value as long as a leaf
// points at it. Then it is free, and its value empty, until another value takes it;
// free ones at the end are cut off. They must not be changed once a table has them.
type Dictionaries struct {
	Groups   []Group              // by index; empty: free
	Families []ed25519.PublicKey  // family 1 first; nil: free
	Policies [][]record.PortRange // policy 1 first; nil: free
}

// Root returns the root of the tree over all entries that are not free. The leaf of
// an entry is kind 1 (0 group, 1 family, 2 policy) | index 2 | value; groups come
// first, then families, then policies, each by index.
func (d *Dictionaries) Root() [32]byte {
	var hashes [][32]byte
	add := func(kind byte, index int, value []byte) {
		if len(value) == 0 {
			return
		}
		b := binary.BigEndian.AppendUint16([]byte{kind}, uint16(index))
		hashes = append(hashes, leafHash(append(b, value...)))
	}
	for i, g := range d.Groups {
		add(0, i, []byte(g))
	}
	for i, f := range d.Families {
		add(1, i+1, f)
	}
	for i, p := range d.Policies {
		add(2, i+1, record.EncodePolicy(p))
	}
	return root(hashes)
}

// newDictionaries gathers what founders need, sorted, so that their order does not
// matter. Beyond the cap of families or policies the last ones in that order are
// left out.
func newDictionaries(leaves []Leaf, founders []*record.Founder) *Dictionaries {
	d := &Dictionaries{}
	policies := map[string]bool{}
	for i, f := range founders {
		d.Groups = append(d.Groups, GroupOf(leaves[i].IPv4, leaves[i].IPv6))
		if len(f.Family) > 0 {
			d.Families = append(d.Families, f.Family)
		}
		if p := string(record.EncodePolicy(f.Policy)); p != "" && !policies[p] {
			policies[p] = true
			d.Policies = append(d.Policies, f.Policy)
		}
	}
	slices.Sort(d.Groups)
	d.Groups = slices.Compact(d.Groups)
	slices.SortFunc(d.Families, func(a, b ed25519.PublicKey) int { return bytes.Compare(a, b) })
	d.Families = slices.CompactFunc(d.Families, func(a, b ed25519.PublicKey) bool { return a.Equal(b) })
	d.Families = d.Families[:min(len(d.Families), MaxFamilyCount)]
	slices.SortFunc(d.Policies, comparePolicies)
	d.Policies = d.Policies[:min(len(d.Policies), MaxPolicyCount)]
	return d
}

func comparePolicies(a, b []record.PortRange) int {
	return bytes.Compare(record.EncodePolicy(a), record.EncodePolicy(b))
}

func (d *Dictionaries) group(g Group) uint16 {
	i, _ := slices.BinarySearch(d.Groups, g)
	return uint16(i)
}

// family returns 0 for a family that found no place.
func (d *Dictionaries) family(f ed25519.PublicKey) uint16 {
	i, found := slices.BinarySearchFunc(d.Families, f, func(a, b ed25519.PublicKey) int { return bytes.Compare(a, b) })
	if !found {
		return 0
	}
	return uint16(i + 1)
}

// policy returns 0 for a policy that found no place.
func (d *Dictionaries) policy(p []record.PortRange) uint8 {
	i, found := slices.BinarySearchFunc(d.Policies, p, comparePolicies)
	if !found {
		return 0
	}
	return uint8(i + 1)
}
