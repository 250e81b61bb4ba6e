// SPDX-License-Identifier: BSD-3-Clause

package snapshot

import (
	"errors"
	"net/netip"
	"slices"

	"chive/directory/genesis"
	"chive/directory/record"
)

// TileLeafCount is the number of leaves in a tile; the last tile of a table may
// have fewer. A tile is an inner node of the table's tree.
const TileLeafCount = 1024

// ErrTable means leaves that do not make a table.
var ErrTable = errors.New("snapshot: not a table")

// Relay is one relay of the table with what its leaf points at. It must not be
// changed.
type Relay struct {
	Leaf
	Addresses []netip.AddrPort   // IPv4 first
	Policy    []record.PortRange // what Leaf.Policy points at; empty: no exit
}

// Table is the agreed list of relays, sorted by rid. It is immutable.
type Table struct {
	relays []Relay
	dict   *Dictionaries
	hashes [][32]byte // of each leaf
	tiles  [][32]byte // root of each tile
	root   [32]byte
	droot  [32]byte
}

// NewTable makes a table of leaves and dictionaries, as fetched. Both belong to
// the table afterwards. Error: ErrTable when leaves are too many, unsorted or
// point beyond the dictionaries or at a free entry.
func NewTable(leaves []Leaf, dict *Dictionaries) (*Table, error) {
	return (&Table{}).Next(leaves, dict)
}

// Next makes a table like NewTable, and takes what did not change from t: only
// leaves that are new or other than in t are hashed. Dictionaries that did not
// change are best given as t's own. Error: ErrTable.
func (t *Table) Next(leaves []Leaf, dict *Dictionaries) (*Table, error) {
	if len(leaves) > MaxLeafCount || !dict.inBounds() {
		return nil, ErrTable
	}
	n := &Table{relays: make([]Relay, len(leaves)), dict: dict, hashes: make([][32]byte, len(leaves))}
	buf := make([]byte, 0, maxLeafSize)
	old := 0
	for i := range leaves {
		l, r := &leaves[i], &n.relays[i]
		if (i > 0 && leaves[i-1].RID.Compare(l.RID) >= 0) || !dict.holds(l) {
			return nil, ErrTable
		}
		for old < len(t.relays) && t.relays[old].RID.Compare(l.RID) < 0 {
			old++
		}
		if old < len(t.relays) && t.relays[old].Leaf == *l {
			*r, n.hashes[i] = t.relays[old], t.hashes[old]
		} else {
			*r = Relay{Leaf: *l}
			for _, a := range []netip.AddrPort{l.IPv4, l.IPv6} {
				if a.IsValid() {
					r.Addresses = append(r.Addresses, a)
				}
			}
			buf = l.Append(buf[:0])
			n.hashes[i] = leafHash(buf)
		}
		r.Policy = nil
		if l.Policy > 0 {
			r.Policy = dict.Policies[l.Policy-1]
		}
	}
	for tile := range slices.Chunk(n.hashes, TileLeafCount) {
		n.tiles = append(n.tiles, root(tile))
	}
	n.root, n.droot = root(n.tiles), t.droot
	if dict != t.dict {
		n.droot = dict.Root()
	}
	return n, nil
}

// FromGenesis computes the table of snapshot 0. It depends on the document's
// bytes alone. A founder runs, has the age GuardFull, and the bucket of its
// declared rate up to the cap for unmeasured relays. A policy that finds no place
// in its full dictionary costs its relays the exit flag, such a family is left
// out.
func FromGenesis(doc *genesis.Document) *Table {
	nid := doc.NetworkID()
	leaves := make([]Leaf, len(doc.Founders))
	for i, f := range doc.Founders {
		l := &leaves[i]
		*l = Leaf{
			RID: record.NewRID(nid, f.Identity), Onion: f.Onion,
			Flags:  Flags(f.Roles) | FlagRunning | FlagFounder,
			Bucket: BucketOf(f.DeclaredRate), Protocol: Protocol,
		}
		if limit := doc.Params.BWCap; limit > 0 {
			l.Bucket = min(l.Bucket, BucketOf(uint32(limit)))
		}
		for _, a := range f.Addresses {
			switch {
			case a.Addr().Is4() && !l.IPv4.IsValid():
				l.IPv4 = a
			case a.Addr().Is6() && !l.IPv6.IsValid():
				l.IPv6 = a
				l.Flags |= FlagIPv6
			}
		}
	}
	dict := newDictionaries(leaves, doc.Founders)
	for i, f := range doc.Founders {
		l := &leaves[i]
		l.Group = dict.group(GroupOf(l.IPv4, l.IPv6))
		l.Family = dict.family(f.Family)
		if l.Policy = dict.policy(f.Policy); l.Policy == 0 {
			l.Flags &^= FlagExit
		}
	}
	slices.SortFunc(leaves, func(a, b Leaf) int { return a.RID.Compare(b.RID) })
	t, err := NewTable(leaves, dict)
	if err != nil {
		panic("snapshot: a checked genesis document makes a table")
	}
	return t
}

// Len returns the number of relays.
func (t *Table) Len() int { return len(t.relays) }

// At returns the relay at index i, in rid order. It must not be changed.
func (t *Table) At(i int) *Relay { return &t.relays[i] }

// Index returns the index of a relay.
func (t *Table) Index(rid record.RID) (int, bool) {
	return slices.BinarySearchFunc(t.relays, rid, func(r Relay, id record.RID) int { return r.RID.Compare(id) })
}

// Relay returns a relay by name. It must not be changed.
func (t *Table) Relay(rid record.RID) (*Relay, bool) {
	i, found := t.Index(rid)
	if !found {
		return nil, false
	}
	return &t.relays[i], true
}

// DirRoot returns the root of the tree over the leaves.
func (t *Table) DirRoot() [32]byte { return t.root }

// DictRoot returns the root of the tree over the dictionaries.
func (t *Table) DictRoot() [32]byte { return t.droot }

// Dictionaries returns what the leaves point at. They must not be changed.
func (t *Table) Dictionaries() *Dictionaries { return t.dict }

// TileRoots returns the root of each tile. The slice must not be changed.
func (t *Table) TileRoots() [][32]byte { return t.tiles }
