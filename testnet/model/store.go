// SPDX-License-Identifier: BSD-3-Clause

package model

import (
	"crypto/sha256"
	"iter"
	"maps"
	"slices"

	"chive/directory"
)

// blockSize is the unit in which stores share equal bytes.
const blockSize = 4096

// blocks are the bytes that stores of all relays share. Values are cut from their end,
// since two states differ at their beginning.
type blocks struct{ all map[[32]byte][]byte }

// cut returns a value as blocks, first to last.
func (b *blocks) cut(value []byte) [][]byte {
	var out [][]byte
	for end := len(value); end > 0; end -= blockSize {
		part := value[max(0, end-blockSize):end]
		name := sha256.Sum256(part)
		held, ok := b.all[name]
		if !ok {
			held = slices.Clone(part)
			b.all[name] = held
		}
		out = append(out, held)
	}
	slices.Reverse(out)
	return out
}

// base is what every relay of a network has stored before it starts: it is shared, and
// relays write beside it.
type base struct {
	keys   []string // rising
	values map[string][]byte
}

// store is one relay's durable memory. Spec: testnet §1 (DRV-7).
type store struct {
	shared *blocks
	base   *base                                    // of descriptors; nil: none
	small  [directory.BucketCount]map[string][]byte // nil value: deleted over base
	states map[string][][]byte                      // of BucketAux, in blocks
	fails  bool
}

// put carries out a Store effect and reports whether it is durable now.
func (s *store) put(e directory.Store) bool {
	if s.fails {
		return false
	}
	if e.Bucket == directory.BucketAux {
		if s.states == nil {
			s.states = map[string][][]byte{}
		}
		if e.Value == nil {
			delete(s.states, string(e.Key))
		} else {
			s.states[string(e.Key)] = s.shared.cut(e.Value)
		}
		return true
	}
	m := s.small[e.Bucket]
	if m == nil {
		m = map[string][]byte{}
		s.small[e.Bucket] = m
	}
	switch {
	case e.Value != nil:
		m[string(e.Key)] = e.Value // only read, by either side
	case e.Bucket == directory.BucketDesc && s.base != nil:
		m[string(e.Key)] = nil
	default:
		delete(m, string(e.Key))
	}
	return true
}

// saved returns what a bucket holds, by rising key.
func (s *store) saved(b directory.Bucket) iter.Seq2[[]byte, []byte] {
	return func(yield func(k, v []byte) bool) {
		if b == directory.BucketAux {
			for _, k := range slices.Sorted(maps.Keys(s.states)) {
				if !yield([]byte(k), slices.Concat(s.states[k]...)) {
					return
				}
			}
			return
		}
		own := slices.Sorted(maps.Keys(s.small[b]))
		var old []string
		if b == directory.BucketDesc && s.base != nil {
			old = s.base.keys
		}
		for len(own) > 0 || len(old) > 0 {
			var k string
			var v []byte
			switch {
			case len(own) == 0 || len(old) > 0 && old[0] < own[0]:
				k, v = old[0], s.base.values[old[0]]
				old = old[1:]
			default:
				if len(old) > 0 && old[0] == own[0] {
					old = old[1:]
				}
				k, v = own[0], s.small[b][own[0]]
				own = own[1:]
			}
			if v != nil && !yield([]byte(k), v) {
				return
			}
		}
	}
}

// clear loses everything, as a broken disk does.
func (s *store) clear() {
	s.base, s.states = nil, nil
	for b := range s.small {
		s.small[b] = nil
	}
}

// directoryStore is a state as a machine stores it.
func directoryStore(key string, value []byte) directory.Store {
	return directory.Store{Bucket: directory.BucketAux, Key: []byte(key), Value: value}
}

func (b *base) sort() { b.keys = slices.Sorted(maps.Keys(b.values)) }
