// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"errors"
	"maps"
	"slices"
	"sync"

	"chive/internal/store"
)

// ErrStore says that the store could not be read when the relay started. Why, as a
// redact.Reason, is joined to it.
var ErrStore = errors.New("relay: the directory's memory cannot be read")

// Store is the directory's memory. The relay calls it from one goroutine at a time.
// *store.Table is one.
type Store interface {
	// Each calls f for each value of a bucket, in the order of keys, until f fails.
	// The slices are only valid within f. A bucket that was never written is empty.
	Each(bucket string, f func(key, value []byte) error) error
	// Put makes all writes durable, or none. It keeps no slice.
	Put(writes []Write) error
	// Damaged reports that what was stored before is lost, until the first Put has
	// succeeded: restarts in between do not make it forget.
	Damaged() bool
}

// Write puts one value of a bucket in place of the one before; nil deletes it.
type Write = store.Write

var _ Store = (*store.Table)(nil)

// MemoryStore is a Store that is forgotten with the process: for tests and testnets.
// It may be used by several goroutines, and by one relay after another. The zero
// value is empty.
type MemoryStore struct {
	mu      sync.Mutex
	buckets map[string]map[string][]byte
}

// NewMemoryStore returns an empty store.
func NewMemoryStore() *MemoryStore { return new(MemoryStore) }

// Each goes through a bucket.
func (s *MemoryStore) Each(bucket string, f func(key, value []byte) error) error {
	s.mu.Lock()
	held := maps.Clone(s.buckets[bucket])
	s.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(held)) {
		if err := f([]byte(key), held[key]); err != nil {
			return err
		}
	}
	return nil
}

// Put keeps all writes.
func (s *MemoryStore) Put(writes []Write) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.buckets == nil {
		s.buckets = map[string]map[string][]byte{}
	}
	for _, w := range writes {
		b := s.buckets[w.Bucket]
		if b == nil {
			b = map[string][]byte{}
			s.buckets[w.Bucket] = b
		}
		if w.Value == nil {
			delete(b, string(w.Key))
			continue
		}
		b[string(w.Key)] = append([]byte{}, w.Value...)
	}
	return nil
}

// Damaged is false.
func (s *MemoryStore) Damaged() bool { return false }
