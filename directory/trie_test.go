// SPDX-License-Identifier: BSD-3-Clause

package directory

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"chive/directory/record"
)

// leafOf is a descriptor of a made-up relay: rids share their first bits when few are spread.
func leafOf(n int, spread byte) descriptor {
	o := &opened{}
	binary.BigEndian.PutUint32(o.rid[12:], uint32(n)*2654435761)
	o.rid[0] = byte(n) & spread
	o.digest = record.ItemDigest(record.ClassDescriptor, o.rid[:])
	return descriptor{opened: o, inDay: 1}
}

// TestATrieHoldsWhatAMapHolds, in order, through changes of every kind, also of keys that
// have all their first bits in common.
func TestATrieHoldsWhatAMapHolds(t *testing.T) {
	for _, catalog := range []*Catalog{nil, NewCatalog()} {
		for _, spread := range []byte{0, 0x01, 0xff} {
			r := rand.New(rand.NewPCG(1, uint64(spread)))
			s := descriptors{relays: trie{by: byRID}, digests: trie{by: byDigest}}
			want := map[record.RID]*descriptor{}
			check := func() {
				t.Helper()
				var got []record.RID
				for d := range s.relays.all() {
					got = append(got, d.rid)
					if w := want[d.rid]; w == nil || w.opened != d.opened || w.inDay != d.inDay || s.newest(d.rid) != d || s.digests.get(d.digest[:]) != d {
						t.Fatal("a descriptor that was not put, or another one")
					}
				}
				if len(got) != len(want) || s.len() != len(want) || s.digests.len() != len(want) {
					t.Fatalf("%d descriptors, counted %d and %d; want %d", len(got), s.len(), s.digests.len(), len(want))
				}
				if !slices.IsSortedFunc(got, record.RID.Compare) {
					t.Fatal("not in order")
				}
				var last [32]byte
				for d := range s.digests.all() {
					if bytes.Compare(last[:], d.digest[:]) >= 0 {
						t.Fatal("digests not in order")
					}
					last = d.digest
				}
			}
			for range 2000 {
				d := leafOf(r.IntN(150), spread)
				if known := want[d.rid]; known != nil {
					d.opened = known.opened
				}
				switch {
				case r.IntN(3) > 0:
					d.inDay = r.IntN(3)
					s.set(catalog, d)
					want[d.rid] = &d
				default:
					s.remove(catalog, d.rid)
					delete(want, d.rid)
				}
				if r.IntN(40) == 0 {
					check()
				}
			}
			check()
			for rid := range want {
				s.remove(catalog, rid)
				delete(want, rid)
			}
			check()
			if !s.relays.root.empty() || !s.digests.root.empty() {
				t.Fatal("something is left of an empty trie")
			}
		}
	}
}

// TestMachinesWithEqualDescriptorsShareThem, whatever the order in which they came and
// whatever came and went between; the bound of what a catalog remembers is reached.
func TestMachinesWithEqualDescriptorsShareThem(t *testing.T) {
	catalog := NewCatalog()
	all := make([]descriptor, 300)
	for i := range all {
		all[i] = leafOf(i, 0xff)
	}
	var first *descriptors
	for seed := range uint64(80) {
		r := rand.New(rand.NewPCG(2, seed))
		s := descriptors{relays: trie{by: byRID}, digests: trie{by: byDigest}}
		for _, i := range r.Perm(len(all)) {
			s.set(catalog, all[i])
			if r.IntN(4) == 0 {
				s.remove(catalog, all[r.IntN(len(all))].rid)
			}
		}
		for _, d := range all {
			s.set(catalog, d)
		}
		if first == nil {
			first = &s
		}
		if s.relays != first.relays || s.digests != first.digests {
			t.Fatalf("seed %d: the same descriptors are held in two ways", seed)
		}
		if len(catalog.changes) > catalogChanges {
			t.Fatalf("%d changes are remembered", len(catalog.changes))
		}
	}
}

// TestATrieCanBeChangedWhileItIsRead: what goes through it sees it as it was.
func TestATrieCanBeChangedWhileItIsRead(t *testing.T) {
	s := descriptors{relays: trie{by: byRID}, digests: trie{by: byDigest}}
	for i := range 100 {
		s.set(nil, leafOf(i, 0xff))
	}
	seen := 0
	for d := range s.relays.all() {
		seen++
		s.remove(nil, d.rid)
	}
	if seen != 100 || s.len() != 0 {
		t.Fatalf("%d seen, %d left", seen, s.len())
	}
}

// TestOneBeforeIsHeldWhileVotesMayNameIt: it is what the relay said before, and only
// one of them.
func TestOneBeforeIsHeldWhileVotesMayNameIt(t *testing.T) {
	for _, catalog := range []*Catalog{nil, NewCatalog()} {
		s := descriptors{relays: trie{by: byRID}, digests: trie{by: byDigest}}
		rid := leafOf(7, 0xff).rid
		say := func(seq, body byte) descriptor {
			o := &opened{rid: rid, body: [32]byte{body}}
			o.digest = [32]byte{seq}
			return descriptor{opened: o}
		}
		for _, put := range []struct{ seq, body, before byte }{{1, 1, 0}, {2, 1, 0}, {3, 2, 1}, {4, 2, 1}, {5, 3, 2}} {
			s.put(catalog, say(put.seq, put.body))
			d := s.newest(rid)
			if d.digest[0] != put.seq || (d.replace == nil) != (put.before == 0) {
				t.Fatalf("after %d: %d is the newest", put.seq, d.digest[0])
			}
			if d.replace != nil && (d.replace.body[0] != put.before || d.replace.replace != nil) {
				t.Fatalf("after %d: the one before says %d", put.seq, d.replace.body[0])
			}
			if s.len() != 1 || s.digests.len() != 1 {
				t.Fatalf("after %d: %d descriptors of one relay", put.seq, s.digests.len())
			}
		}
	}
}

// BenchmarkDigests goes through the digests of 10,000 descriptors, as a relay does for
// every record that a neighbour announces and it does not know.
func BenchmarkDigests(b *testing.B) {
	m := &Machine{descs: descriptors{relays: trie{by: byRID}, digests: trie{by: byDigest}}}
	for i := range 10000 {
		d := leafOf(i, 0xff)
		binary.BigEndian.PutUint32(d.rid[4:], uint32(i))
		d.digest = record.ItemDigest(record.ClassDescriptor, d.rid[:])
		m.descs.set(nil, d)
	}
	var sum byte
	for b.Loop() {
		for d := range (records{m}).Digests(record.ClassDescriptor) {
			sum ^= d[0]
		}
	}
	if m.descs.len() != 10000 || sum == 1 {
		b.Fatal(m.descs.len())
	}
}
