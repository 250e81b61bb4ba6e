// SPDX-License-Identifier: BSD-3-Clause

package handshake

import (
	"crypto/ecdh"
	"crypto/sha3"
	"crypto/subtle"
	"fmt"
	"io"
)

// Labels. None is the beginning of another. Spec: protocol §4.
const (
	labelMessage = "chive hy1 msg v1"
	labelMAC     = "chive hy1 mac v1"
	labelKeys    = "chive hy1 keys v1"
	labelVerify  = "chive hy1 verify v1"
	labelAuth    = "chive hy1 auth v1"
	authRole     = "server" // ends AUTH's input
)

// SeedSize is the size in bytes of one direction's seed for circuit/cgo.
const SeedSize = 144

// Keys is what a finished handshake leaves to both sides.
// Spec: protocol §4.
type Keys struct {
	Forward  [SeedSize]byte // seed of the layer away from the client
	Backward [SeedSize]byte // seed of the layer towards the client
	Binding  [32]byte       // names this handshake in later proofs
}

// Wipe clears the keys.
func (k *Keys) Wipe() { *k = Keys{} }

// Format prints no key under any verb.
func (k Keys) Format(s fmt.State, _ rune) { redact(s, "Keys") }

// OnionKey is a relay's X25519 key for circuit handshakes. It does not change
// after NewOnionKey, so goroutines may share it. Spec: protocol §4.
type OnionKey struct {
	private *ecdh.PrivateKey
	public  [pointSize]byte
}

// NewOnionKey makes the key whose private half is seed. The seed stays the
// caller's to wipe.
func NewOnionKey(seed *[32]byte) *OnionKey {
	k := &OnionKey{private: newPrivateKey(seed)}
	copy(k.public[:], k.private.PublicKey().Bytes())
	return k
}

// Public is B, which the relay's descriptor carries.
func (k *OnionKey) Public() [32]byte { return k.public }

// Format prints no key under any verb.
func (k OnionKey) Format(s fmt.State, _ rune) { redact(s, "OnionKey") }

func redact(s fmt.State, name string) { _, _ = io.WriteString(s, "handshake."+name+"(redacted)") }

// messageKeys is k1, and with it what protects the client's message.
type messageKeys struct {
	stream [MessageSize]byte
	mac    [macSize]byte
}

// clientKeys derives k1 from the shared secret of X and B.
func clientKeys(bx []byte, c create) (k messageKeys) {
	out := kdf(MessageSize+macSize, labelMessage, bx, c.id, c.x, c.onion, c.ek)
	copy(k.stream[:], out)
	copy(k.mac[:], out[MessageSize:])
	clear(out)
	return k
}

// sum is the MAC of a CREATE.
func (k *messageKeys) sum(c create) [macSize]byte {
	return hash(labelMAC, k.mac[:], c.id, c.onion, c.x, c.ek, c.cm)
}

// sharedSecrets are the three that enter the circuit's keys.
type sharedSecrets struct {
	xy, xb, ss []byte
}

// circuitKeys derives everything that both sides compute alike at the end:
// the keys, the relay's key stream, and the hash that AUTH is made from.
func circuitKeys(s sharedSecrets, c create, d created) (k *Keys, stream [MessageSize]byte, verify [macSize]byte) {
	secret := [][]byte{s.xy, s.xb, s.ss, c.id, c.onion, c.x, c.ek, d.y, d.ct}
	k = &Keys{}
	out := kdf(2*SeedSize+len(k.Binding)+MessageSize, labelKeys, secret...)
	rest := out[copy(k.Forward[:], out):]
	rest = rest[copy(k.Backward[:], rest):]
	rest = rest[copy(k.Binding[:], rest):]
	copy(stream[:], rest)
	clear(out)
	return k, stream, hash(labelVerify, secret...)
}

// authSum is AUTH.
func authSum(verify *[macSize]byte, c create, d created) [macSize]byte {
	return hash(labelAuth, verify[:], c.id, c.onion, d.y, d.ct, c.x, c.ek, c.mac, d.sm, []byte(authRole))
}

// hash is H over a label and parts of fixed length.
func hash(label string, parts ...[]byte) (out [macSize]byte) {
	h := sha3.New256()
	_, _ = h.Write([]byte(label)) // hashes do not fail
	for _, p := range parts {
		_, _ = h.Write(p)
	}
	h.Sum(out[:0])
	return out
}

// kdf is the first n bytes of KDF over a label and parts of fixed length.
func kdf(n int, label string, parts ...[]byte) []byte {
	x := sha3.NewSHAKE256()
	_, _ = x.Write([]byte(label))
	for _, p := range parts {
		_, _ = x.Write(p)
	}
	out := make([]byte, n)
	_, _ = x.Read(out)
	return out
}

// newPrivateKey reads every 32 bytes as an X25519 private key (RFC 7748 §5).
func newPrivateKey(seed *[32]byte) *ecdh.PrivateKey {
	k, err := ecdh.X25519().NewPrivateKey(seed[:])
	if err != nil {
		panic("handshake: X25519 refuses 32 bytes")
	}
	return k
}

// exchange is X25519. For a point of low order it gives zeros and ok = 0, so
// that the caller goes on to its one comparison of a MAC and fails there.
func exchange(private *ecdh.PrivateKey, point []byte) (shared []byte, ok int) {
	public, err := ecdh.X25519().NewPublicKey(point)
	if err != nil {
		panic("handshake: X25519 refuses 32 bytes")
	}
	shared, err = private.ECDH(public)
	if err != nil {
		return make([]byte, pointSize), 0
	}
	return shared, 1
}

// equal compares in constant time: 1 or 0.
func equal(a, b []byte) int { return subtle.ConstantTimeCompare(a, b) }
