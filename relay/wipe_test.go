// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"bytes"
	"crypto/ed25519"
	"slices"
	"sync"
	"testing"
	"time"

	"chive/directory"
	"chive/directory/genesis"
)

// watchedRing keeps the copies of committee keys that it has given away.
type watchedRing struct {
	*MemoryKeyring
	mu    sync.Mutex
	given []ed25519.PrivateKey
}

func (k *watchedRing) Committee() (map[uint64]ed25519.PrivateKey, error) {
	all, err := k.MemoryKeyring.Committee()
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, key := range all {
		k.given = append(k.given, key)
	}
	return all, err
}

func (k *watchedRing) NewCommittee(term uint64) (ed25519.PrivateKey, error) {
	key, err := k.MemoryKeyring.NewCommittee(term)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.given = append(k.given, key)
	return key, err
}

// left returns how many of the copies there are, and how many are not wiped.
func (k *watchedRing) left() (all, whole int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, key := range k.given {
		if !bytes.Equal(key, make([]byte, len(key))) {
			whole++
		}
	}
	return len(k.given), whole
}

// TestCommitteeKeysAreWipedWhenTheReplicaEnds: with the relay, or when the clock was set,
// after which the next one has its own.
func TestCommitteeKeysAreWipedWhenTheReplicaEnds(t *testing.T) {
	inCity(t, 1, genesis.Testnet(), func(t *testing.T, w *city) {
		c := w.all[0]
		watch := &watchedRing{MemoryKeyring: c.ring}
		c.keys = watch
		c.start()
		w.atEnd(2)
		all, whole := watch.left()
		if whole == 0 {
			t.Fatal("nothing to be wiped")
		}
		c.skew.Store(int64(5 * time.Second))
		pass(3 * time.Second)
		if now, left := watch.left(); now <= all || left == 0 || left > now-all {
			t.Errorf("%d of %d keys are left of the first replica and the second, %d of the first", left, now, all)
		}
		w.atEnd(4)
		if d := c.Status().Directory; d.Committee.Reason != "" || d.Head < 4 {
			t.Errorf("the second replica: %+v", d)
		}
		c.leave()
		if all, left := watch.left(); left != 0 {
			t.Errorf("%d of %d keys are left when the relay has ended", left, all)
		}
	})
}

// TestAReplicaThatNeverRanIsWiped, with the keys that the machine has not heard of.
func TestAReplicaThatNeverRanIsWiped(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		w.stop()
		if err := <-w.ended; err != nil {
			t.Fatal(err)
		}
		w.ended <- nil
		d, err := w.relay.newReplica()
		if err != nil {
			t.Fatal(err)
		}
		key := slices.Clone(ed25519.NewKeyFromSeed(make([]byte, 32)))
		d.in <- input{event: directory.Key{Term: 9, Key: key}}
		d.in <- input{event: directory.Renew{}}
		d.wipe()
		d.wipe()
		if !bytes.Equal(key, make([]byte, len(key))) {
			t.Error("a key that waited is left")
		}
		(*replica)(nil).wipe()
	})
}

// TestARestartedRelayAnswersAtOnce: it holds what clients are given, and does not tell
// them to come again an epoch later. Spec: SYNC-4.
func TestARestartedRelayAnswersAtOnce(t *testing.T) {
	inCity(t, 4, genesis.Testnet(), func(t *testing.T, w *city) {
		w.startAll()
		w.atEnd(5)
		c := w.all[1]
		before := c.serve.Load().Working(time.Now())
		c.kill()
		c.start()
		after := c.serve.Load().Working(time.Now())
		if before == nil || after == nil || after.Header().Digest() != before.Header().Digest() || after.Epoch() != 4 {
			t.Errorf("it gave %v, after the restart %v", before, after)
		}
		w.atEnd(6)
		if w.agree(w.all...) != 6 || c.serve.Load().Working(time.Now()).Epoch() != 5 {
			t.Error("and then not the next one")
		}
	})
}
