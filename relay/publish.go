// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"crypto/ed25519"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"chive/circuit/handshake"
	"chive/directory"
	"chive/directory/record"
	"chive/internal/redact"
)

// retryKeys is how soon the key ring is asked again for what it failed at.
const retryKeys = 10 * time.Second

// maxUnsigned bounds the entry statements that wait for a signer that fails.
const maxUnsigned = 256

// errOnion says that a key ring has no onion keys to give.
var errOnion = errors.New("relay: onion keys are missing")

// keeper is who asks the key ring and signs: one goroutine, since both may take their
// time. The loop leaves it what is to be done, at most one descriptor, and a bounded
// number of entry statements and erasures, which are the machine's bounds.
type keeper struct {
	d      *replica
	wake   chan struct{}
	failed atomic.Bool // the key ring, at its last call

	mu      sync.Mutex
	wanted  *directory.Publish
	entries []*record.Entry
	erasing []uint64

	// Its goroutine's.
	onion OnionKeys
	given map[uint64]bool // committee keys that the machine has
	asked time.Time       // the onion keys
	said  *About          // what the descriptor was last asked to say
	cert  *record.Cert    // that the newest descriptor was signed under; nil: none, or the identity's own key
}

// newKeeper asks for the onion keys, which CREATE is answered to from now on. given are
// the committee keys that the machine begins with. Errors: the key ring's.
func newKeeper(d *replica, given map[uint64]ed25519.PrivateKey, now time.Time) (*keeper, error) {
	k := &keeper{d: d, wake: make(chan struct{}, 1), given: map[uint64]bool{}, asked: now, said: d.r.about()}
	for term := range given {
		k.given[term] = true
	}
	onion, err := d.r.cfg.Keys.Onion(now)
	if err == nil && !onion.valid() {
		err = errOnion
	}
	if err != nil {
		return nil, err
	}
	k.use(onion)
	return k, nil
}

// use makes a set of onion keys those that CREATE is answered to.
func (k *keeper) use(onion OnionKeys) {
	k.onion = onion
	k.d.r.onion.Store(new(onion.all()))
}

func (k *keeper) publish(p directory.Publish) {
	k.leave(func() { k.wanted = &p })
}

func (k *keeper) sign(e *record.Entry) {
	k.leave(func() { k.entries = append(k.entries, e) })
}

func (k *keeper) erase(term uint64) {
	k.leave(func() { k.erasing = append(k.erasing, term) })
}

// leave leaves something to be done. The loop does not wait.
func (k *keeper) leave(note func()) {
	k.mu.Lock()
	note()
	k.mu.Unlock()
	k.wakeUp()
}

// wakeUp has the goroutine look at what is to be done.
func (k *keeper) wakeUp() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// run does what is left until the replica ends, and looks after the onion keys. The
// clock is the wall clock: keys have lives of days.
func (k *keeper) run() {
	every := onionEvery(k.d.r.genesis.Params.OnionOverlap)
	t := time.NewTimer(every)
	defer t.Stop()
	for {
		k.changed()
		select {
		case <-k.d.ctx.Done():
			return
		case <-k.wake:
		case <-t.C:
		}
		now := k.d.r.wall().Round(0)
		err := errors.Join(k.rotate(now, every), k.eraseAll(), k.signAll(now), k.describe(now))
		k.recertify(now)
		if was := k.failed.Swap(err != nil); err != nil && !was {
			k.d.r.keyLine.Do(func() {
				if errors.Is(err, ErrUncertified) {
					k.d.r.cfg.Log.Error().EmbedObject(redact.RoleRelay).EmbedObject(redact.Event("certificates")).EmbedObject(redact.Classify(err)).
						Msg("nothing that the offline identity has certified can be used now, so nothing is signed; chive relay status says until when it was good, chive keys request renews it")
					return
				}
				k.d.r.cfg.Log.Error().EmbedObject(redact.RoleRelay).EmbedObject(redact.Event("key_ring")).EmbedObject(redact.Classify(err)).
					Msg("a key cannot be read, written or erased; check the state folder")
			})
		}
		if err != nil {
			t.Reset(min(every, retryKeys))
			continue
		}
		t.Reset(every)
	}
}

// rotate asks for the onion keys, and has others told when they have changed.
func (k *keeper) rotate(now time.Time, every time.Duration) error {
	if gone := now.Sub(k.asked); gone >= 0 && gone < every && !k.failed.Load() {
		return nil
	}
	onion, err := k.d.r.cfg.Keys.Onion(now)
	if err == nil && !onion.valid() {
		err = errOnion
	}
	if err != nil {
		return err
	}
	k.asked = now
	if k.onion.same(&onion) {
		return nil
	}
	renew := onion.Current.Public() != k.onion.Current.Public() || onion.Next.Public() != k.onion.Next.Public()
	k.use(onion)
	if renew {
		k.d.send(input{event: directory.Renew{}})
	}
	return nil
}

// eraseAll destroys the keys of terms that are over.
func (k *keeper) eraseAll() error {
	k.mu.Lock()
	terms := k.erasing
	k.erasing = nil
	k.mu.Unlock()
	var failed error
	for _, term := range terms {
		if err := k.d.r.cfg.Keys.EraseCommittee(term); err != nil {
			failed = err
			k.mu.Lock()
			k.erasing = append(k.erasing, term)
			k.mu.Unlock()
			continue
		}
		delete(k.given, term)
	}
	return failed
}

// signAll signs entry statements.
func (k *keeper) signAll(now time.Time) error {
	k.mu.Lock()
	entries := k.entries
	k.entries = nil
	k.mu.Unlock()
	if len(entries) == 0 {
		return nil
	}
	signer, cert, err := k.d.r.signer(now)
	if err != nil { // they are signed when the signer is back; the newest, if that takes long
		k.mu.Lock()
		k.entries = append(entries, k.entries...)
		k.entries = slices.Clone(k.entries[max(0, len(k.entries)-maxUnsigned):])
		k.mu.Unlock()
		return err
	}
	for _, e := range entries {
		// One that cannot be sealed is answered by time.
		if data, err := record.SealEntry(e, k.d.r.nid, signer, cert); err == nil {
			k.d.send(input{event: directory.EntrySigned{RID: e.Candidate, Data: data}})
		}
	}
	return nil
}

// describe makes the descriptor that is wanted, and the committee keys in it. What the
// key ring fails at is tried again, and while there is no address to publish it waits.
func (k *keeper) describe(now time.Time) error {
	k.mu.Lock()
	p := k.wanted
	k.mu.Unlock()
	if p == nil {
		return nil
	}
	about, ok := k.d.r.publishable()
	if !ok {
		return nil
	}
	signer, cert, err := k.d.r.signer(now)
	if err != nil {
		return err
	}
	keys := k.d.r.cfg.Keys
	named := map[uint64][32]byte{}
	for _, term := range p.Terms {
		key, err := keys.NewCommittee(term)
		if err != nil {
			return err
		}
		named[term] = public(key)
		if k.given[term] {
			clear(key)
			continue
		}
		k.given[term] = true
		if !k.d.send(input{event: directory.Key{Term: term, Key: key}}) {
			clear(key)
		}
	}
	d := about.describe(k.d.r.identityKey(), *p, &k.onion, keys.VRF().Public(), named)
	d.Expires = until(d.Expires, cert)
	k.cert = cert
	// An About that was checked and keys that hold make a descriptor.
	if data, err := record.SealDescriptor(d, k.d.r.nid, signer, cert); err == nil {
		k.d.send(input{event: directory.Descriptor{Data: data}})
		k.d.r.describes(about.Addresses)
		k.d.r.live.rate.Store(int64(about.Rate) + 1)
	}
	k.mu.Lock()
	if k.wanted == p {
		k.wanted = nil
	}
	k.mu.Unlock()
	return nil
}

// until is when a descriptor ends: not after the certificate that it is signed under, so
// that all judge it alike.
func until(expires time.Time, cert *record.Cert) time.Time {
	if cert != nil && cert.NotAfter.Before(expires) {
		return cert.NotAfter
	}
	return expires
}

// recertify has a descriptor made that ends later, or is signed with the new key, once
// the offline identity has certified anew.
func (k *keeper) recertify(now time.Time) {
	if k.cert == nil {
		return
	}
	_, cert, err := k.d.r.signer(now)
	if err == nil && (!cert.Key.Equal(k.cert.Key) || !cert.NotAfter.Equal(k.cert.NotAfter)) {
		k.cert = cert // once
		k.d.send(input{event: directory.Renew{}})
	}
}

// stale reports whether a descriptor of a former run ends earlier than one made now
// would: it was signed under a certificate before this one.
func (k *keeper) stale(own *record.Descriptor, now time.Time) bool {
	_, cert, err := k.d.r.signer(now)
	if err != nil || cert == nil {
		return false
	}
	k.cert = cert
	full := own.Published.Add(k.d.r.genesis.Params.DescriptorLife)
	return own.Expires.Before(until(full, cert))
}

// onionKeys returns the keys that CREATE is answered to.
func (r *Relay) onionKeys() []*handshake.OnionKey {
	if keys := r.onion.Load(); keys != nil {
		return *keys
	}
	return nil
}
