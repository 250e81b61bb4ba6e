// SPDX-License-Identifier: BSD-3-Clause

package reconcile

// maxPeelSteps bounds the work of one session: symbols changed or looked at.
// 1,500 differences, about the most that 2,048 symbols can carry, take some 25,000.
const maxPeelSteps = 1 << 16

// difference is an item that one side alone has.
type difference struct {
	item  Item
	check uint64
	sign  int32 // 1: only the peer has it, -1: only we
	walk  walk  // at the first index that is not received yet
}

// decoder holds the peer's symbols minus ours, and peels differences off them: a
// symbol with one item left gives that item away, and this takes it out of all its
// other symbols.
type decoder struct {
	set     *Set
	keys    *keys
	symbols []Symbol // at most MaxSymbolCount
	found   []difference
	seen    map[Item]bool
	queue   []uint32 // symbols that may have one item left
	steps   int
}

func newDecoder(set *Set, k *keys) *decoder {
	return &decoder{set: set, keys: k, seen: make(map[Item]bool)}
}

// add takes the next symbols, the peer's and ours, and reports whether nothing is
// left in any. Error: ErrPoisoned for symbols that no set has.
func (d *decoder) add(theirs, ours []Symbol) (bool, error) {
	first := uint32(len(d.symbols))
	for i := range theirs {
		s := theirs[i]
		s.minus(&ours[i])
		d.symbols = append(d.symbols, s)
		d.queue = append(d.queue, first+uint32(i))
	}
	for i := range d.found {
		d.takeOut(&d.found[i])
	}
	if err := d.peel(); err != nil {
		return false, err
	}
	// Every item is part of symbol 0: once that is empty, all must be.
	if !d.symbols[0].isZero() {
		return false, nil
	}
	for i := range d.symbols {
		if !d.symbols[i].isZero() {
			return false, ErrPoisoned
		}
	}
	return true, nil
}

// takeOut takes a difference out of the symbols received since it was last taken out.
func (d *decoder) takeOut(f *difference) {
	for ; f.walk.index < uint32(len(d.symbols)); f.walk.next() {
		s := &d.symbols[f.walk.index]
		s.fold(f.item[:], f.check, -f.sign)
		if s.Count == 1 || s.Count == -1 {
			d.queue = append(d.queue, f.walk.index)
		}
		d.steps++
	}
}

func (d *decoder) peel() error {
	for len(d.queue) > 0 {
		i := d.queue[len(d.queue)-1]
		d.queue = d.queue[:len(d.queue)-1]
		if d.steps++; d.steps > maxPeelSteps {
			return ErrPoisoned
		}
		s := d.symbols[i]
		if s.Count != 1 && s.Count != -1 || d.keys.check.hash(s.Sum[:]) != s.Check {
			continue
		}
		if err := d.accept(s); err != nil {
			return err
		}
		// An item that is not part of the symbol it came from would stay there.
		if !d.symbols[i].isZero() {
			return ErrPoisoned
		}
	}
	return nil
}

// accept takes the one item of a symbol as found, if it can be a difference at all.
func (d *decoder) accept(s Symbol) error {
	_, have := d.set.find(s.Sum)
	if d.seen[s.Sum] || have != (s.Count == -1) || len(d.found) >= MaxSymbolCount {
		return ErrPoisoned
	}
	d.seen[s.Sum] = true
	f := difference{item: s.Sum, check: s.Check, sign: s.Count, walk: newWalk(d.keys.index.hash(s.Sum[:]))}
	d.takeOut(&f)
	d.found = append(d.found, f)
	return nil
}
