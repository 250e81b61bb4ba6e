// SPDX-License-Identifier: BSD-3-Clause

package reconcile

import (
	"bytes"
	"errors"
	"slices"
	"sort"
)

// ItemSize and DigestSize are in bytes.
const (
	ItemSize   = 16
	DigestSize = 32
)

// MaxItemCount bounds a set.
const MaxItemCount = 1 << 20

// ErrSet means a set that is larger than MaxItemCount.
var ErrSet = errors.New("reconcile: set too large")

// Digest names a record: record.ItemDigest.
type Digest = [DigestSize]byte

// Item is the part of a digest that sets are compared by: its first 16 bytes.
type Item [ItemSize]byte

// Set is a set of digests as it was at one moment. It does not change and may be
// shared by any number of sessions and goroutines.
type Set struct {
	digests []Digest // sorted, no two with one Item
}

// NewSet takes the slice over, sorts it and drops what is there twice. Error: ErrSet.
func NewSet(digests []Digest) (*Set, error) {
	if len(digests) > MaxItemCount {
		return nil, ErrSet
	}
	slices.SortFunc(digests, func(a, b Digest) int { return bytes.Compare(a[:], b[:]) })
	digests = slices.CompactFunc(digests, func(a, b Digest) bool { return Item(a[:ItemSize]) == Item(b[:ItemSize]) })
	return &Set{digests: digests}, nil
}

// Len returns the number of digests.
func (s *Set) Len() int { return len(s.digests) }

// find returns the digest that an item is part of.
func (s *Set) find(item Item) (Digest, bool) {
	i, ok := slices.BinarySearchFunc(s.digests, item, func(d Digest, item Item) int {
		return bytes.Compare(d[:ItemSize], item[:])
	})
	if !ok {
		return Digest{}, false
	}
	return s.digests[i], true
}

// bucketCount is the number of buckets of the fallback, one per first byte.
const bucketCount = 256

// bucket returns the digests whose first byte is b.
func (s *Set) bucket(b int) []Digest {
	from := sort.Search(len(s.digests), func(i int) bool { return int(s.digests[i][0]) >= b })
	to := sort.Search(len(s.digests), func(i int) bool { return int(s.digests[i][0]) > b })
	return s.digests[from:to]
}

// sums returns the keyed sum of each bucket: the items' hashes, added modulo 2^64.
// Spec: protocol (REPAIR-5).
func (s *Set) sums(k sipKey) *[bucketCount]uint64 {
	var out [bucketCount]uint64
	for i := range s.digests {
		d := &s.digests[i]
		out[d[0]] += k.hash(d[:ItemSize])
	}
	return &out
}
