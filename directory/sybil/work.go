// SPDX-License-Identifier: BSD-3-Clause

package sybil

import (
	"encoding/binary"
	"errors"
	"math/bits"

	"golang.org/x/crypto/argon2"

	"chive/directory/genesis"
	"chive/directory/record"
)

// Costs of one try of the work, and how old its salt may be.
// Spec: directory §2 (stamp; work), §7.
const (
	WorkPasses    = 1
	WorkMemoryKiB = 8 << 10
	SaltDays      = 30
)

var (
	// ErrSalt means work salted with a beacon that is too old, or of the future.
	ErrSalt = errors.New("sybil: salt not of this time")
	// ErrStamp means a missing or wrong stamp.
	ErrStamp = errors.New("sybil: bad stamp")
	// ErrWork means work with too few zero bits.
	ErrWork = errors.New("sybil: too little work")
)

// A Challenge is what one identity has to solve under one beacon.
type Challenge struct {
	salt      [32]byte
	epoch     uint64
	stampBits int
	workBits  int
}

// NewChallenge returns the challenge of an identity, salted with the beacon of the
// snapshot of an epoch. Spec: protocol §7 (ADM-1).
func NewChallenge(p genesis.Params, nid [record.NetworkIDSize]byte, identity []byte, epoch uint64, beacon [32]byte) Challenge {
	return Challenge{
		salt:  record.Hash("work", nid[:], identity, binary.BigEndian.AppendUint64(nil, epoch), beacon[:]),
		epoch: epoch, stampBits: p.StampBits, workBits: p.WorkBits,
	}
}

// Needed reports whether a network asks for work at all.
func Needed(p genesis.Params) bool { return p.StampBits > 0 || p.WorkBits > 0 }

// CheckSalt refuses work whose salt is older than SaltDays or not made yet, at the
// epoch now. Error: ErrSalt. Spec: protocol §7 (ADM-2).
func CheckSalt(p genesis.Params, salt, now uint64) error {
	if salt > now || now-salt > SaltDays*uint64(max(p.Day, 1)) {
		return ErrSalt
	}
	return nil
}

// CheckStamp verifies the stamp, for the price of a hash. nil passes where no stamp
// is asked for. Error: ErrStamp.
func (c *Challenge) CheckStamp(w *record.Work) error {
	if c.stampBits == 0 {
		return nil
	}
	if w == nil || w.Epoch != c.epoch || !c.stamped(w.Nonce, w.Stamp) {
		return ErrStamp
	}
	return nil
}

// Bits returns the zero bits of the work, for the price of one Argon2id: some
// milliseconds and 8 MiB. It counts above what is asked for too, since more work is
// evicted later.
func (c *Challenge) Bits(w *record.Work) int {
	if w == nil || w.Epoch != c.epoch {
		return 0
	}
	return c.bits(w.Nonce)
}

// Verify verifies stamp, then work, and computes nothing dear before the stamp
// holds or where no work is asked for. Errors: ErrStamp, ErrWork.
func (c *Challenge) Verify(w *record.Work) error {
	if err := c.CheckStamp(w); err != nil {
		return err
	}
	if c.workBits > 0 && c.Bits(w) < c.workBits {
		return ErrWork
	}
	return nil
}

func (c *Challenge) stamped(nonce, stamp uint64) bool {
	h := record.Hash("stamp", c.salt[:], binary.BigEndian.AppendUint64(nil, nonce), binary.BigEndian.AppendUint64(nil, stamp))
	return leadingZeros(h) >= c.stampBits
}

func (c *Challenge) bits(nonce uint64) int {
	key := argon2.IDKey(binary.BigEndian.AppendUint64(nil, nonce), c.salt[:], WorkPasses, WorkMemoryKiB, 1, 32)
	return leadingZeros([32]byte(key))
}

func leadingZeros(h [32]byte) int {
	zeros := 0
	for at := 0; at < len(h); at += 8 {
		word := binary.BigEndian.Uint64(h[at:])
		zeros += bits.LeadingZeros64(word)
		if word != 0 {
			break
		}
	}
	return zeros
}
