// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"cmp"
	"crypto/ed25519"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"chive/circuit/handshake"
	"chive/directory/vrf"
	"chive/internal/store"
	"chive/relay"
)

// Committee keys are few: those of the terms that lists in force have, and of the
// three to come. A network that stands still for long makes more, of which those in
// the middle can never be used.
const (
	maxCommitteeKeys  = 32
	keptCommitteeKeys = 8 // the oldest: of the lists that are in force while it stands still
)

// keyRing is the relay's keys on disk as the role uses them. Every change is durable
// before it is told, and a kill leaves each file old, new, or on its way out. It
// belongs to the relay's goroutine, and its state folder is locked.
//
// Spec: security KEY-3, KEY-4; directory §3.
type keyRing struct {
	*relayKeys
	files         *keyFiles
	rand          io.Reader
	life, overlap time.Duration
	began         time.Time // of the network: a clock before it is wrong, and rotates nothing
	// named reports whether the newest list of relays names this onion key for us.
	named func(public [32]byte) bool

	secret *vrf.SecretKey
	ready  map[int]*handshake.OnionKey // by serial
}

// openRing reads the keys and finishes what a kill has interrupted. The caller holds
// the lock, and wipes the ring.
func (s *State) openRing(rand io.Reader, began time.Time, life, overlap time.Duration) (*keyRing, error) {
	if err := s.finishErasing(); err != nil {
		return nil, err
	}
	keys, err := s.loadKeys()
	if err != nil {
		return nil, err
	}
	r := s.newRing(keys, rand)
	r.began, r.life, r.overlap = began, life, overlap
	return r, nil
}

// newRing makes a ring of keys that are not rotated.
func (s *State) newRing(keys *relayKeys, rand io.Reader) *keyRing {
	return &keyRing{
		relayKeys: keys, files: knownFiles(keys), rand: rand, named: func([32]byte) bool { return false },
		ready: map[int]*handshake.OnionKey{}, secret: vrf.NewSecretKey(&keys.vrf.seed),
	}
}

// finishErasing destroys what a kill has left of keys: on their way out, or half
// written.
func (s *State) finishErasing() error {
	folder := s.path(keysFolder)
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil // loading them says what is wrong
	}
	for _, e := range entries {
		name := e.Name()
		ours := strings.HasPrefix(name, committeePrefix) || strings.HasPrefix(name, onionPrefix) || name == requestedFile+store.ErasedSuffix
		if !ours {
			continue
		}
		path := filepath.Join(folder, name)
		whole, erased := strings.CutSuffix(path, store.ErasedSuffix)
		switch {
		case erased:
			err = store.Erase(whole)
		case !strings.HasSuffix(name, keySuffix):
			err = store.Erase(path)
		}
		if err != nil {
			return fileFault(path, "key file", err)
		}
	}
	return nil
}

// Format prints nothing of the keys, whatever the verb (KEY-5).
func (r *keyRing) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("keys(redacted)")) }

// wipe clears the keys, as far as Go lets it (KEY-7).
func (r *keyRing) wipe() {
	r.relayKeys.wipe()
	r.secret.Wipe()
}

// VRF implements relay.Keyring.
func (r *keyRing) VRF() *vrf.SecretKey { return r.secret }

// Onion implements relay.Keyring. A key whose life is over is replaced by its
// successor, which has been in the relay's descriptor for as long, and gets a new
// successor.
func (r *keyRing) Onion(now time.Time) (relay.OnionKeys, error) {
	if err := r.rotate(now.UTC().Truncate(time.Second)); err != nil {
		return relay.OnionKeys{}, err
	}
	at := r.onion.current()
	keys := relay.OnionKeys{Current: r.handshakeKey(r.onion[at]), Next: r.handshakeKey(r.onion[at-1])}
	for _, k := range r.onion[at+1:] {
		keys.Previous = append(keys.Previous, r.handshakeKey(k))
	}
	return keys, nil
}

// handshakeKey gives the same key each time it is asked.
func (r *keyRing) handshakeKey(k onionKey) *handshake.OnionKey {
	if r.ready[k.serial] == nil {
		r.ready[k.serial] = handshake.NewOnionKey(&k.seed)
	}
	return r.ready[k.serial]
}

// rotate makes the successor current when that is due, sees to it that there is a
// successor, and erases the keys that are over.
func (r *keyRing) rotate(now time.Time) error {
	if !now.Before(r.began) && r.onion[r.onion.current()].due(now, r.life) {
		if err := r.succeed(now); err != nil {
			return err
		}
	}
	if r.onion.current() == 0 {
		if err := r.addSuccessor(now); err != nil {
			return err
		}
	}
	for _, old := range r.onion.over(now, r.overlap, r.named) {
		if err := r.erase(onionName(old.serial), old.secretKey); err != nil {
			return err
		}
		delete(r.ready, old.serial)
		r.onion = slices.DeleteFunc(r.onion, func(k onionKey) bool { return k.serial == old.serial })
	}
	return nil
}

// succeed makes the successor the current key.
func (r *keyRing) succeed(now time.Time) error {
	if r.onion.current() == 0 { // of a version that had none
		if err := r.addSuccessor(now); err != nil {
			return err
		}
	}
	next := r.onion[r.onion.current()-1]
	active := *next.secretKey
	active.active = now
	err := saveKey(filepath.Join(r.folder, onionName(next.serial)), &active)
	clear(active.seed[:])
	if err == nil {
		next.active = now
	}
	return err
}

// addSuccessor makes a key behind the current one. A current key whose file does not
// say so yet, as those of older versions, is said to be current first.
func (r *keyRing) addSuccessor(now time.Time) error {
	current := r.onion[0]
	if current.active.IsZero() {
		current.active = current.created
		if err := saveKey(filepath.Join(r.folder, onionName(current.serial)), current.secretKey); err != nil {
			current.active = time.Time{}
			return err
		}
	}
	next := onionKey{&secretKey{use: useOnion, created: now}, current.serial + 1}
	if err := writeKey(filepath.Join(r.folder, onionName(next.serial)), next.secretKey, r.rand); err != nil {
		return err
	}
	r.files.add(onionName(next.serial))
	r.onion = append(onionKeys{next}, r.onion...)
	return nil
}

// erase destroys a key and its file.
func (r *keyRing) erase(name string, k *secretKey) error {
	path := filepath.Join(r.folder, name)
	r.files.drop(name)
	if err := store.Erase(path); err != nil {
		return fileFault(path, "key file", err)
	}
	clear(k.seed[:])
	return nil
}

// Committee implements relay.Keyring.
func (r *keyRing) Committee() (map[uint64]ed25519.PrivateKey, error) {
	out := make(map[uint64]ed25519.PrivateKey, len(r.committee))
	for _, k := range r.committee {
		out[k.term] = k.signing()
	}
	return out, nil
}

// NewCommittee implements relay.Keyring. A term has one key, ever.
func (r *keyRing) NewCommittee(term uint64) (ed25519.PrivateKey, error) {
	for _, k := range r.committee {
		if k.term == term {
			return k.signing(), nil
		}
	}
	if len(r.committee) >= maxCommitteeKeys {
		if err := r.EraseCommittee(r.committee[keptCommitteeKeys].term); err != nil {
			return nil, err
		}
	}
	k := &secretKey{use: useCommittee, term: term, created: time.Now().UTC().Truncate(time.Second)}
	if err := writeKey(filepath.Join(r.folder, committeeName(term)), k, r.rand); err != nil {
		return nil, err
	}
	r.files.add(committeeName(term))
	r.committee = append(r.committee, k)
	slices.SortFunc(r.committee, func(a, b *secretKey) int { return cmp.Compare(a.term, b.term) })
	return k.signing(), nil
}

// EraseCommittee implements relay.Keyring.
func (r *keyRing) EraseCommittee(term uint64) error {
	at := slices.IndexFunc(r.committee, func(k *secretKey) bool { return k.term == term })
	if at < 0 {
		return nil
	}
	if err := r.erase(committeeName(term), r.committee[at]); err != nil {
		return err
	}
	r.committee = slices.Delete(r.committee, at, at+1)
	return nil
}

// founderKeys returns the public keys of the first terms, which a founder's record
// has, and makes them where there are none.
func (r *keyRing) founderKeys() (keys [founderTerms][32]byte, err error) {
	for term := range keys {
		k, err := r.NewCommittee(uint64(term))
		if err != nil {
			return keys, err
		}
		keys[term] = [32]byte(k.Public().(ed25519.PublicKey))
		clear(k)
	}
	return keys, nil
}
