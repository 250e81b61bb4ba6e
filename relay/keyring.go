// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"crypto/ed25519"
	"errors"
	"time"

	"chive/circuit/handshake"
	"chive/directory/vrf"
)

// ErrKeys says that the key ring failed while the relay started. The key ring's own
// error is joined to it.
var ErrKeys = errors.New("relay: the keys cannot be read or made")

// Keyring holds a relay's keys but for its identity: those that change. The relay
// calls it from one goroutine at a time; it may block on the disk. An error while the
// relay runs is told in Status, and what failed is tried again.
type Keyring interface {
	// VRF returns the VRF key, which never changes.
	VRF() *vrf.SecretKey
	// Onion returns the onion keys of a time, and makes a successor when one is due,
	// which is durable before Onion returns.
	Onion(now time.Time) (OnionKeys, error)
	// Committee returns the committee keys that are kept, by term. Map and keys are
	// the caller's, who wipes them.
	Committee() (map[uint64]ed25519.PrivateKey, error)
	// NewCommittee returns the committee key of a term, which is made, and durable,
	// if there is none. The key is the caller's, who wipes it.
	NewCommittee(term uint64) (ed25519.PrivateKey, error)
	// EraseCommittee destroys the key of a term, durably. That there is none is no
	// error.
	EraseCommittee(term uint64) error
}

// OnionKeys are the keys that a relay answers CREATE to: the current one and its
// successor, both named in its descriptor, and those before that clients may still
// hold, the newest first, at most maxPrevious of them.
//
// Spec: directory §2 (onion key life; overlap), §3.
type OnionKeys struct {
	Current, Next *handshake.OnionKey
	Previous      []*handshake.OnionKey
}

// maxPrevious is how many previous onion keys are answered to; older ones are not.
const maxPrevious = 4

// all returns the keys in the order in which they are looked through.
func (k *OnionKeys) all() []*handshake.OnionKey {
	return append([]*handshake.OnionKey{k.Current, k.Next}, k.Previous[:min(len(k.Previous), maxPrevious)]...)
}

// valid reports keys that a relay can work with.
func (k *OnionKeys) valid() bool { return k.Current != nil && k.Next != nil }

// same reports whether two sets are the same keys, as far as others see.
func (k *OnionKeys) same(o *OnionKeys) bool {
	if !o.valid() || k.Current.Public() != o.Current.Public() || k.Next.Public() != o.Next.Public() || len(k.Previous) != len(o.Previous) {
		return false
	}
	for i := range k.Previous {
		if k.Previous[i].Public() != o.Previous[i].Public() {
			return false
		}
	}
	return true
}

// onionEvery is how often the key ring is asked for the onion keys.
func onionEvery(overlap time.Duration) time.Duration {
	return max(time.Second, min(time.Hour, overlap/20))
}
