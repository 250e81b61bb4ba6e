// SPDX-License-Identifier: BSD-3-Clause

// Package record holds what relays say about themselves and about each other: the
// name of a relay (RID), its addresses, keys and exit policy summary, the signed
// descriptor that carries them; candidates with their vouchers and entry
// statements; tombstones; evidence. Codecs and rules only: who accepts a record,
// spreads it or votes on it is decided elsewhere.
//
// A signed record is the CBOR array [alg, sig, payload, ?cert]. The signature is
// over the raw bytes "chive <kind> v1" | network id | payload; nothing is ever
// encoded anew to be verified.
//
// Descriptor payload, a map with integer keys:
//
//	0 version 1               9 addresses [[ip, port], ...] 1-4
//	1 identity 32            10 declared kbit/s u32
//	2 seq u64                11 roles, bits
//	3 published, Unix s      12 exit policy summary, 5 B an entry
//	4 expires, Unix s        13 family [key 32, signature 64]
//	5 onion key 32           14 protocol versions, <= 16 B
//	6 next onion key 32      15 software <= 32 B
//	7 VRF key 32             16 nickname <= 19 B
//	8 committee keys         17 contact <= 128 B
//	  [[term, key 32], ...]
//
// The others, maps too:
//
//	candidate  0 version, 1 descriptor, 2 work [epoch, nonce, stamp], 3 voucher, 4 entry statement
//	voucher    0 version, 1 sponsor rid 16, 2 identity 32, 3 day
//	entry      0 version, 1 entry rid 16, 2 candidate rid 16, 3 body digest 32, 4 addresses, 5 epoch
//	tombstone  0 version, 1 identity 32, 2 signing key 32, 3 until, Unix s
//	evidence   0 version, 1 kind, 2 signer 32, 3 first, 4 second
//
// Candidate and evidence hold signed records as byte strings and have no signature
// of their own; the other three are payloads of signed records.
//
// Nothing here is safe for concurrent change; values that nobody changes may be
// read by any number of goroutines.
//
// Spec: directory §1 (encoding, signatures), §3.
package record

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha3"
	"encoding/binary"
)

// NetworkIDSize, KeySize and SignatureSize are in bytes.
const (
	NetworkIDSize = 32
	KeySize       = 32
	SignatureSize = 64
)

// RIDSize is the size of a relay's name in bytes.
const RIDSize = 16

// RID names a relay everywhere outside its descriptor.
type RID [RIDSize]byte

// NewRID returns the name that the relay with this identity key has in the
// network nid: H("rid", nid, identity)[:16]. Spec: directory §3.
func NewRID(nid [NetworkIDSize]byte, identity ed25519.PublicKey) RID {
	h := Hash("rid", nid[:], identity)
	return RID(h[:RIDSize])
}

// Compare orders names as tables do: byte by byte.
func (r RID) Compare(o RID) int { return bytes.Compare(r[:], o[:]) }

// Hash is H of the specification: SHA3-256 over the label "chive <thing> v1" and
// the parts, one after another. A part of variable length is passed through Sized.
// Spec: protocol (head), directory (head).
func Hash(thing string, parts ...[]byte) [32]byte {
	h := sha3.New256()
	h.Write([]byte("chive " + thing + " v1"))
	for _, p := range parts {
		h.Write(p)
	}
	return [32]byte(h.Sum(nil))
}

// Sized returns b behind its length in 8 bytes.
func Sized(b []byte) []byte {
	out := binary.BigEndian.AppendUint64(make([]byte, 0, 8+len(b)), uint64(len(b)))
	return append(out, b...)
}
