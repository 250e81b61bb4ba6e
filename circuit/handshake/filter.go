// SPDX-License-Identifier: BSD-3-Clause

package handshake

import (
	"encoding/binary"
	"io"
)

// FilterCapacity is a capacity for NewFilter: about 10 MB when both
// generations are full: the last 131,072 to 262,144 handshakes.
const FilterCapacity = 1 << 17

// labelSeen is the label of the filter's entries, which never leave it.
const labelSeen = "chive hy1 seen v1"

// Filter remembers which CREATEs one onion key has answered, so that a
// replayed one is refused. Keep one per onion key and drop it with the key: a
// replay for another key fails by itself.
//
// It is bounded: entries go into the younger of two generations, and when that
// is full it becomes the older, whose entries are forgotten. So at least the
// last capacity and at most the last 2 x capacity CREATEs are remembered. A
// flood of fresh CREATEs, each of which costs its sender a handshake, makes it
// forget sooner; that is what the bound costs.
//
// Not safe for concurrent use. Spec: protocol §4.
type Filter struct {
	key      [32]byte // secret, so that nobody can aim at a collision
	capacity int
	young    map[uint64]struct{}
	old      map[uint64]struct{}
}

// NewFilter reads 32 bytes from rand. capacity is the number of entries of one
// generation, at least 1; another number is a panic. It fails with rand's
// error.
func NewFilter(rand io.Reader, capacity int) (*Filter, error) {
	if capacity < 1 {
		panic("handshake: filter without capacity")
	}
	f := &Filter{capacity: capacity, young: map[uint64]struct{}{}}
	if err := readRandom(rand, f.key[:]); err != nil {
		return nil, err
	}
	return f, nil
}

// Seen reports whether a CREATE with the same X and ek was added and is not
// forgotten: it need not be answered. A message of a wrong size is never seen.
func (f *Filter) Seen(create []byte) bool {
	c, ok := splitCreate(create)
	return ok && f.has(f.entry(c))
}

// Add notes a CREATE that Respond has accepted, and reports whether it is
// fresh. If not, another one has been answered meanwhile, and this one's
// answer must not be sent. A message of a wrong size is never fresh.
//
// Only accepted ones belong here: otherwise anyone who has seen X and ek could
// make the relay refuse the client that they belong to.
func (f *Filter) Add(create []byte) (fresh bool) {
	c, ok := splitCreate(create)
	if !ok {
		return false
	}
	e := f.entry(c)
	if f.has(e) {
		return false
	}
	if len(f.young) >= f.capacity {
		f.old, f.young = f.young, map[uint64]struct{}{}
	}
	f.young[e] = struct{}{}
	return true
}

func (f *Filter) has(e uint64) bool {
	_, young := f.young[e]
	_, old := f.old[e]
	return young || old
}

// entry is the first 8 bytes of H(label | key | X | ek). At twice the capacity
// a fresh CREATE is taken for a seen one once in 2^46.
func (f *Filter) entry(c create) uint64 {
	h := hash(labelSeen, f.key[:], c.x, c.ek)
	return binary.BigEndian.Uint64(h[:])
}
