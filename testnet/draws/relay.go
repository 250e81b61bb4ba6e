// SPDX-License-Identifier: BSD-3-Clause

package draws

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"time"

	"chive/directory/record"
	"chive/directory/transition"
)

// side is whose relay it is.
type side byte

const (
	honest side = iota
	hostile
)

// node is one relay of the growth simulator.
type node struct {
	place
	side    side
	key     [32]byte // identity, VRF and committee key in one: nothing is signed
	rid     record.RID
	desc    *record.Descriptor
	body    [32]byte
	asked   uint64 // epoch in which it asked to be let in
	joined  uint64 // epoch in which it came; 0: founder or not yet
	told    uint64 // epoch of its last record while it waits
	salt    uint64 // epoch of its work's salt
	vouched bool
	sponsor record.RID
	work    int // bits
	seq     uint64
	serial  int // order of making
}

// seeded returns the hash of a purpose under a run's seed.
func seeded(seed uint64, purpose string, n int) [32]byte {
	b := binary.BigEndian.AppendUint64([]byte(purpose), seed)
	return sha256.Sum256(binary.BigEndian.AppendUint64(b, uint64(n)))
}

// publicKey is a key that an honest relay can have.
func publicKey(seed uint64, purpose string, n int) [32]byte {
	s := seeded(seed, purpose, n)
	return [32]byte(ed25519.NewKeyFromSeed(s[:]).Public().(ed25519.PublicKey))
}

// onionKey is one too: any number of the field of large order.
func onionKey(seed uint64, n int) [32]byte {
	s := seeded(seed, "onion", n)
	s[31] &= 0x7f
	return s
}

func (r *node) roles() record.Roles {
	roles := record.RoleGuard | record.RoleHSDir
	if r.exit {
		roles |= record.RoleExit
	}
	return roles
}

// publish makes a descriptor with the committee keys of three terms from term on, or
// without any. Nothing else of it changes.
func (r *node) publish(seed, term uint64, keys bool) error {
	r.seq++
	d := &record.Descriptor{
		Identity: r.key[:], Seq: r.seq, Published: time.Unix(int64(r.seq), 0), Expires: time.Unix(int64(r.seq)+3600, 0),
		Onion: onionKey(seed, r.serial), NextOnion: onionKey(seed, r.serial), VRF: r.key,
		Addresses: addresses(r.place), DeclaredRate: r.rate, Roles: r.roles(),
	}
	if r.exit {
		d.Policy = web
	}
	for t := range uint64(record.MaxCommitteeKeyCount) {
		if !keys {
			break
		}
		d.Committee = append(d.Committee, record.CommitteeKey{Term: term + t, Key: r.key[:]})
	}
	body, err := transition.Body(d)
	if err != nil {
		return err
	}
	r.desc, r.body = d, body
	return nil
}
