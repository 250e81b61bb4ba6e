// SPDX-License-Identifier: BSD-3-Clause

package directory

import "iter"

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
	len  int
	by   trieKey
}

// trieKey is what a trie is in order of.
type trieKey uint8

const (
	byRID    trieKey = iota // 16 bytes
	byDigest                // 32 bytes
)

// trieWidth is the number of links of a branch: one for each value of 4 bits.
const trieWidth = 16

// trieLink is one descriptor, a branch over several, or nothing.
type trieLink struct {
	branch *trieBranch
	leaf   *descriptor
}

// trieBranch is immutable. Two descriptors at least are below it.
type trieBranch struct{ links [trieWidth]trieLink }

func (l trieLink) empty() bool { return l.branch == nil && l.leaf == nil }

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
	if l.leaf == nil || string(t.by.of(l.leaf)) != string(key) {
		return nil
	}
	return l.leaf
}

// put holds a descriptor in the place of the one of the same key.
func (t *trie) put(c *Catalog, d *descriptor) {
	if after, known := c.changed(change{*t, d}); known {
		*t = after
		return
	}
	before := *t
	if t.get(t.by.of(d)) == nil {
		t.len++
	}
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
	if l.empty() || l.leaf != nil && string(t.by.of(l.leaf)) == string(key) {
		return trieLink{leaf: d}
	}
	var b trieBranch
	if l.branch != nil {
		b = *l.branch
	} else {
		b.links[step(t.by.of(l.leaf), depth)] = l
	}
	i := step(key, depth)
	b.links[i] = t.with(c, b.links[i], depth+1, d)
	return trieLink{branch: c.branch(b)}
}

// remove forgets what is held under a key.
func (t *trie) remove(c *Catalog, key []byte) {
	if t.get(key) != nil {
		t.len--
		t.root = t.without(c, t.root, 0, key)
	}
}

func (t *trie) without(c *Catalog, l trieLink, depth int, key []byte) trieLink {
	if l.branch == nil {
		return trieLink{}
	}
	b := *l.branch
	i := step(key, depth)
	b.links[i] = t.without(c, b.links[i], depth+1, key)
	// One descriptor alone needs no branch.
	var only trieLink
	for _, l := range b.links {
		switch {
		case l.empty():
		case l.branch != nil || !only.empty():
			return trieLink{branch: c.branch(b)}
		default:
			only = l
		}
	}
	return only
}

// all goes through the descriptors in order of the keys, as they are when it begins.
func (t *trie) all() iter.Seq[*descriptor] {
	root := t.root
	return func(yield func(*descriptor) bool) { root.walk(yield) }
}

func (l trieLink) walk(yield func(*descriptor) bool) bool {
	if l.leaf != nil {
		return yield(l.leaf)
	}
	if l.branch == nil {
		return true
	}
	for _, l := range l.branch.links {
		if !l.walk(yield) {
			return false
		}
	}
	return true
}
