// SPDX-License-Identifier: BSD-3-Clause

package reconcile

import (
	"crypto/sha3"
	"encoding/binary"

	"github.com/dchest/siphash"
)

// NonceSize and KeySize are in bytes.
const (
	NonceSize = 16
	KeySize   = 16
)

// labelRepair begins the derivation of a session's keys.
const labelRepair = "chive repair v1"

// sipKey is a key of SipHash-2-4 as the two words it is used as.
type sipKey [2]uint64

func newSipKey(b []byte) sipKey {
	return sipKey{binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])}
}

func (k sipKey) hash(b []byte) uint64 { return siphash.Hash(k[0], k[1], b) }

// keys of one session. Nobody else can know them beforehand, so that no item can be
// made that spoils a session.
type keys struct {
	check sipKey // of an item, inside symbols
	index sipKey // of an item: which symbols it is in
	sum   sipKey // of an item, inside sums
}

// deriveKeys mixes the link's handshake and both nonces.
// Spec: protocol (REPAIR-2).
func deriveKeys(handshake [32]byte, opener, responder [NonceSize]byte) keys {
	x := sha3.NewSHAKE256()
	_, _ = x.Write([]byte(labelRepair)) // hashes do not fail
	_, _ = x.Write(handshake[:])
	_, _ = x.Write(opener[:])
	_, _ = x.Write(responder[:])
	var b [3 * KeySize]byte
	_, _ = x.Read(b[:])
	return keys{check: newSipKey(b[:16]), index: newSipKey(b[16:32]), sum: newSipKey(b[32:])}
}
