// SPDX-License-Identifier: BSD-3-Clause

package directory

import (
	"hash/maphash"
	"weak"
)

// shelf holds values by name: those of now and those of the time before.
type shelf[V any] struct{ now, before map[string]V }

func (s *shelf[V]) get(name []byte) (v V, ok bool) {
	if v, ok = s.now[string(name)]; ok {
		return v, true
	}
	if v, ok = s.before[string(name)]; ok {
		s.put(name, v)
	}
	return v, ok
}

func (s *shelf[V]) put(name []byte, v V) {
	if s.now == nil {
		s.now = map[string]V{}
	}
	s.now[string(name)] = v
}

// one returns what is there under a name, which v becomes if there is nothing.
func (s *shelf[V]) one(name []byte, v V) V {
	if known, ok := s.get(name); ok {
		return known
	}
	s.put(name, v)
	return v
}

func (s *shelf[V]) turn() { s.now, s.before = nil, s.now }

// memo holds values by keys that are compared: those of now and those of the time
// before. It does what a shelf does, whose keys are bytes and need no copy to be asked.
type memo[K comparable, V any] struct{ now, before map[K]V }

func (m *memo[K, V]) get(key K) (v V, ok bool) {
	if v, ok = m.now[key]; ok {
		return v, true
	}
	if v, ok = m.before[key]; ok {
		m.put(key, v)
	}
	return v, ok
}

func (m *memo[K, V]) put(key K, v V) {
	if m.now == nil {
		m.now = map[K]V{}
	}
	m.now[key] = v
}

func (m *memo[K, V]) turn() { m.now, m.before = nil, m.now }

// one gives equal values one pointer.
func one[V comparable](m *memo[V, *V], v V) *V {
	p, known := m.get(v)
	if !known {
		p = &v
		m.put(v, p)
	}
	return p
}

// interned gives equal values one pointer while anybody holds it: unlike a memo it keeps
// nothing alive. The zero value is empty.
type interned[V comparable] struct {
	seed  maphash.Seed
	all   map[uint64]weak.Pointer[V] // by hash
	sweep int                        // size at which those that are gone are taken out
}

// leastSweep is the size below which nothing is taken out.
const leastSweep = 1 << 12

// one returns the pointer to a value like v. Two values of one hash do not both have one,
// which costs memory and nothing else.
func (m *interned[V]) one(v V) *V {
	if m.all == nil {
		m.seed, m.all, m.sweep = maphash.MakeSeed(), map[uint64]weak.Pointer[V]{}, leastSweep
	}
	hash := maphash.Comparable(m.seed, v)
	if p := m.all[hash].Value(); p != nil && *p == v {
		return p
	}
	if len(m.all) >= m.sweep {
		for hash, w := range m.all {
			if w.Value() == nil {
				delete(m.all, hash)
			}
		}
		m.sweep = max(leastSweep, 2*len(m.all))
	}
	p := &v
	m.all[hash] = weak.Make(p)
	return p
}
