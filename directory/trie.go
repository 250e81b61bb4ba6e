// SPDX-License-Identifier: BSD-3-Clause

package directory

import (
	"bytes"
	"iter"
	"slices"
)

// trie holds descriptors by one of their digests (trieKey), in its order. It is
// persistent: a change copies the branches above what changed and leaves the old trie
// as it was. Its shape follows from what is in it, so that through a Catalog machines
// that hold the same descriptors hold the same branches, whatever the order in which
// they came. It is not safe for use by several goroutines.
//
// Keys are even: a relay makes its identity and its descriptor itself and can choose
// some bits of their digests, at the price of one level of depth for each 4 bits.
type trie struct {
	root trieLink
	by   trieKey
}

// trieKey is what a trie is in order of.
type trieKey uint8

const (
	byRID    trieKey = iota // 16 bytes
	byDigest                // 32 bytes
)

// trieWidth is the number of links of a branch: one for each value of 4 bits.
// bunchSize is up to how many descriptors are held side by side, without a branch.
const (
	trieWidth = 16
	bunchSize = 64
)

// trieLink is a bunch of descriptors, a branch over more than a bunch holds, or nothing.
type trieLink struct {
	branch *trieBranch
	bunch  *trieBunch
}

// trieBranch is immutable. More than bunchSize descriptors are below it.
type trieBranch struct {
	links [trieWidth]trieLink
	len   int
}

// trieBunch is immutable. Its keys lie side by side, because what is done most with all
// descriptors is to go through their digests: that of one that a neighbour announces is
// looked for under the link's key.
type trieBunch struct {
	descs []*descriptor // 1 to bunchSize, keys rising
	keys  [][32]byte    // of descs, zeros behind
}

// bunchOf is what a bunch follows from.
type bunchOf struct {
	descs [bunchSize]*descriptor // nil behind the last
	by    trieKey
}

func newBunch(of *bunchOf) *trieBunch {
	n := slices.Index(of.descs[:], nil)
	if n < 0 {
		n = bunchSize
	}
	b := &trieBunch{descs: slices.Clone(of.descs[:n]), keys: make([][32]byte, n)}
	for i, d := range b.descs {
		copy(b.keys[i][:], of.by.of(d))
	}
	return b
}

// search returns where a key is, or would be.
func (b *trieBunch) search(key []byte) (int, bool) {
	return slices.BinarySearchFunc(b.keys, key, func(k [32]byte, key []byte) int { return bytes.Compare(k[:len(key)], key) })
}

func (l trieLink) empty() bool { return l.branch == nil && l.bunch == nil }

// count is how many descriptors are below a link.
func (l trieLink) count() int {
	switch {
	case l.branch != nil:
		return l.branch.len
	case l.bunch != nil:
		return len(l.bunch.descs)
	}
	return 0
}

// of returns a descriptor's key; it is the descriptor's.
func (k trieKey) of(d *descriptor) []byte {
	if k == byRID {
		return d.rid[:]
	}
	return d.digest[:]
}

// step is the link of a branch at a depth that a key is below.
func step(key []byte, depth int) int {
	b := key[depth/2]
	if depth%2 == 0 {
		return int(b >> 4)
	}
	return int(b & 15)
}

// get returns what is held under a key, or nil.
func (t *trie) get(key []byte) *descriptor {
	l := t.root
	for depth := 0; l.branch != nil; depth++ {
		l = l.branch.links[step(key, depth)]
	}
	if l.bunch == nil {
		return nil
	}
	if i, found := l.bunch.search(key); found {
		return l.bunch.descs[i]
	}
	return nil
}

func (t *trie) len() int { return t.root.count() }

// put holds a descriptor in the place of the one of the same key.
func (t *trie) put(c *Catalog, d *descriptor) {
	if after, known := c.changed(change{*t, d}); known {
		*t = after
		return
	}
	before := *t
	t.root = t.with(c, t.root, 0, d)
	c.change(change{before, d}, *t)
}

// change is what put does to a trie.
type change struct {
	trie trie
	put  *descriptor
}

func (t *trie) with(c *Catalog, l trieLink, depth int, d *descriptor) trieLink {
	key := t.by.of(d)
	if l.branch != nil {
		b := *l.branch
		i := step(key, depth)
		before := b.links[i].count()
		b.links[i] = t.with(c, b.links[i], depth+1, d)
		b.len += b.links[i].count() - before
		return trieLink{branch: c.branch(b)}
	}
	of := bunchOf{by: t.by}
	n := 0
	if l.bunch != nil {
		n = len(l.bunch.descs)
		at, found := l.bunch.search(key)
		switch {
		case found:
			copy(of.descs[:], l.bunch.descs)
			of.descs[at] = d
			return trieLink{bunch: c.bunch(&of)}
		case n == bunchSize:
			return t.split(c, append(slices.Clone(l.bunch.descs), d), depth)
		}
		copy(of.descs[:], l.bunch.descs[:at])
		copy(of.descs[at+1:], l.bunch.descs[at:])
		n = at
	}
	of.descs[n] = d
	return trieLink{bunch: c.bunch(&of)}
}

// split makes the branch over one descriptor more than a bunch holds.
func (t *trie) split(c *Catalog, descs []*descriptor, depth int) trieLink {
	var b trieBranch
	for _, d := range descs {
		i := step(t.by.of(d), depth)
		b.links[i] = t.with(c, b.links[i], depth+1, d)
	}
	b.len = len(descs)
	return trieLink{branch: c.branch(b)}
}

// remove forgets what is held under a key.
func (t *trie) remove(c *Catalog, key []byte) {
	if t.get(key) != nil {
		t.root = t.without(c, t.root, 0, key)
	}
}

func (t *trie) without(c *Catalog, l trieLink, depth int, key []byte) trieLink {
	of := bunchOf{by: t.by}
	if l.branch == nil {
		at, _ := l.bunch.search(key)
		if len(l.bunch.descs) == 1 {
			return trieLink{}
		}
		copy(of.descs[copy(of.descs[:], l.bunch.descs[:at]):], l.bunch.descs[at+1:])
		return trieLink{bunch: c.bunch(&of)}
	}
	b := *l.branch
	i := step(key, depth)
	b.links[i] = t.without(c, b.links[i], depth+1, key)
	if b.len--; b.len > bunchSize {
		return trieLink{branch: c.branch(b)}
	}
	n := 0
	for _, l := range b.links { // so few are a bunch
		l.walk(func(d *descriptor) bool {
			of.descs[n] = d
			n++
			return true
		})
	}
	return trieLink{bunch: c.bunch(&of)}
}

// all goes through the descriptors in order of the keys, as they are when it begins.
func (t *trie) all() iter.Seq[*descriptor] {
	root := t.root
	return func(yield func(*descriptor) bool) { root.walk(yield) }
}

// keys goes through the keys in their order, zeros behind those that are shorter.
func (t *trie) keys() iter.Seq[[32]byte] {
	root := t.root
	return func(yield func([32]byte) bool) {
		root.bunches(func(b *trieBunch) bool {
			for i := range b.keys {
				if !yield(b.keys[i]) {
					return false
				}
			}
			return true
		})
	}
}

func (l trieLink) walk(yield func(*descriptor) bool) bool {
	return l.bunches(func(b *trieBunch) bool {
		for _, d := range b.descs {
			if !yield(d) {
				return false
			}
		}
		return true
	})
}

// bunches goes through all bunches below a link, and tells whether it went to the end.
func (l trieLink) bunches(yield func(*trieBunch) bool) bool {
	switch {
	case l.bunch != nil:
		return yield(l.bunch)
	case l.branch != nil:
		for _, l := range l.branch.links {
			if !l.bunches(yield) {
				return false
			}
		}
	}
	return true
}
