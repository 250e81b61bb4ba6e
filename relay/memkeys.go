// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"crypto/ed25519"
	"io"
	"slices"
	"sync"
	"time"

	"chive/circuit/handshake"
	"chive/directory/vrf"
)

// KeySeeds are what the keys of a founder's record are made of, 32 random bytes each.
type KeySeeds struct {
	VRF, Onion [32]byte
	Committee  [2][32]byte // of the terms 0 and 1
}

// MemoryKeyring is a Keyring that is forgotten with the process: for tests and for
// testnets in one process. It may be used by several goroutines, and by one relay
// after another.
type MemoryKeyring struct {
	vrf           *vrf.SecretKey
	rand          io.Reader
	life, overlap time.Duration

	mu        sync.Mutex
	onion     []onionKey // the successor first, then the current one, then those before
	committee map[uint64]ed25519.PrivateKey
}

// onionKey is one with the time from which on it is, or was, the current one.
type onionKey struct {
	*handshake.OnionKey
	since time.Time
}

var _ Keyring = (*MemoryKeyring)(nil)

// NewMemoryKeyring makes a key ring whose keys are drawn from rand, which must be safe
// for concurrent use if the key ring is. An onion key is the current one for onionLife
// and answered to for overlap longer. Errors are rand's.
func NewMemoryKeyring(rand io.Reader, onionLife, overlap time.Duration, now time.Time) (*MemoryKeyring, error) {
	var s KeySeeds
	for _, b := range [][]byte{s.VRF[:], s.Onion[:], s.Committee[0][:], s.Committee[1][:]} {
		if _, err := io.ReadFull(rand, b); err != nil {
			return nil, err
		}
	}
	return MemoryKeyringFrom(s, rand, onionLife, overlap, now)
}

// MemoryKeyringFrom is NewMemoryKeyring with the keys of seeds, which a founder's
// record may name already.
func MemoryKeyringFrom(s KeySeeds, rand io.Reader, onionLife, overlap time.Duration, now time.Time) (*MemoryKeyring, error) {
	k := &MemoryKeyring{
		vrf: vrf.NewSecretKey(&s.VRF), rand: rand, life: onionLife, overlap: overlap,
		onion:     []onionKey{{handshake.NewOnionKey(&s.Onion), now}},
		committee: map[uint64]ed25519.PrivateKey{},
	}
	for term := range s.Committee {
		k.committee[uint64(term)] = ed25519.NewKeyFromSeed(s.Committee[term][:])
	}
	return k, k.addOnionLocked(now.Add(onionLife))
}

// addOnionLocked makes the next successor, for a time to come.
func (k *MemoryKeyring) addOnionLocked(since time.Time) error {
	var seed [32]byte
	defer clear(seed[:])
	if _, err := io.ReadFull(k.rand, seed[:]); err != nil {
		return err
	}
	k.onion = slices.Insert(k.onion, 0, onionKey{handshake.NewOnionKey(&seed), since})
	return nil
}

// VRF returns the VRF key.
func (k *MemoryKeyring) VRF() *vrf.SecretKey { return k.vrf }

// VRFPublic returns the public half of the VRF key.
func (k *MemoryKeyring) VRFPublic() [32]byte { return k.vrf.Public() }

// OnionPublic returns the public half of the current onion key.
func (k *MemoryKeyring) OnionPublic() [32]byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.onion[1].Public()
}

// CommitteePublic returns the public half of a term's key, if there is one.
func (k *MemoryKeyring) CommitteePublic(term uint64) ([32]byte, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	key, ok := k.committee[term]
	if !ok {
		return [32]byte{}, false
	}
	return public(key), true
}

// Onion returns the onion keys of a time, and makes a successor when one is due.
func (k *MemoryKeyring) Onion(now time.Time) (OnionKeys, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !now.Before(k.onion[0].since) { // the successor's time has come
		k.onion[0].since = now
		if err := k.addOnionLocked(now.Add(k.life)); err != nil {
			return OnionKeys{}, err
		}
	}
	for len(k.onion) > 2 && now.Sub(k.onion[len(k.onion)-2].since) >= k.overlap {
		k.onion = k.onion[:len(k.onion)-1]
	}
	keys := OnionKeys{Current: k.onion[1].OnionKey, Next: k.onion[0].OnionKey}
	for _, old := range k.onion[2:] {
		keys.Previous = append(keys.Previous, old.OnionKey)
	}
	return keys, nil
}

// Committee returns the committee keys.
func (k *MemoryKeyring) Committee() (map[uint64]ed25519.PrivateKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	out := make(map[uint64]ed25519.PrivateKey, len(k.committee))
	for term, key := range k.committee {
		out[term] = slices.Clone(key)
	}
	return out, nil
}

// NewCommittee returns the committee key of a term.
func (k *MemoryKeyring) NewCommittee(term uint64) (ed25519.PrivateKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if key, ok := k.committee[term]; ok {
		return slices.Clone(key), nil
	}
	var seed [32]byte
	defer clear(seed[:])
	if _, err := io.ReadFull(k.rand, seed[:]); err != nil {
		return nil, err
	}
	key := ed25519.NewKeyFromSeed(seed[:])
	k.committee[term] = key
	return slices.Clone(key), nil
}

// EraseCommittee destroys the key of a term.
func (k *MemoryKeyring) EraseCommittee(term uint64) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	clear(k.committee[term])
	delete(k.committee, term)
	return nil
}

func public(key ed25519.PrivateKey) [32]byte { return [32]byte(key.Public().(ed25519.PublicKey)) }
