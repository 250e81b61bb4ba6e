// SPDX-License-Identifier: BSD-3-Clause

package reconcile

import "encoding/binary"

// SymbolSize is the size of a coded symbol in bytes.
const SymbolSize = 28

// Symbol is one coded symbol: the items of a set that are part of it, folded.
// Spec: protocol (REPAIR-2).
type Symbol struct {
	Sum   Item
	Check uint64
	Count int32
}

// Append appends the symbol's bytes to out.
func (s *Symbol) Append(out []byte) []byte {
	out = append(out, s.Sum[:]...)
	out = binary.BigEndian.AppendUint64(out, s.Check)
	return binary.BigEndian.AppendUint32(out, uint32(s.Count))
}

// parseSymbol reads SymbolSize bytes, every value of which is a symbol.
func parseSymbol(b []byte) Symbol {
	return Symbol{
		Sum: Item(b[:ItemSize]), Check: binary.BigEndian.Uint64(b[16:]),
		Count: int32(binary.BigEndian.Uint32(b[24:])),
	}
}

// fold adds (count 1) or takes away (count -1) an item with its check hash.
func (s *Symbol) fold(item []byte, check uint64, count int32) {
	a, b := binary.NativeEndian.Uint64(s.Sum[:8]), binary.NativeEndian.Uint64(s.Sum[8:])
	binary.NativeEndian.PutUint64(s.Sum[:8], a^binary.NativeEndian.Uint64(item))
	binary.NativeEndian.PutUint64(s.Sum[8:], b^binary.NativeEndian.Uint64(item[8:]))
	s.Check ^= check
	s.Count += count
}

// minus takes the symbol of another set away.
func (s *Symbol) minus(o *Symbol) { s.fold(o.Sum[:], o.Check, -o.Count) }

func (s *Symbol) isZero() bool { return *s == Symbol{} }

// encode returns the symbols of a set with indices from to to-1. It goes through the
// whole set, at about 2 ln(to/2 + 1) steps an item.
func encode(set *Set, k *keys, from, to uint32) []Symbol {
	out := make([]Symbol, to-from)
	for i := range set.digests {
		item := set.digests[i][:ItemSize]
		check := k.check.hash(item)
		for w := newWalk(k.index.hash(item)); w.index < to; w.next() {
			if w.index >= from {
				out[w.index-from].fold(item, check, 1)
			}
		}
	}
	return out
}

// coder yields the symbols of a set block by block. It encodes ahead, each time as
// far again as it has come, so that a set is gone through a few times at most and
// nothing is kept per item.
type coder struct {
	set   *Set
	keys  *keys
	limit uint32
	from  uint32   // index of ahead[0]
	ahead []Symbol // encoded, not yet taken
}

// take returns the next n symbols, which the coder does not touch again. The limit
// is at least n further on.
func (c *coder) take(n uint32) []Symbol {
	if start := c.from + uint32(len(c.ahead)); start < c.from+n {
		to := min(max(c.from+n, 4*start), c.limit)
		c.ahead = append(c.ahead, encode(c.set, c.keys, start, to)...)
	}
	out := c.ahead[:n:n]
	c.ahead = c.ahead[n:]
	c.from += n
	return out
}
