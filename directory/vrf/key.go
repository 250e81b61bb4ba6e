// SPDX-License-Identifier: BSD-3-Clause

package vrf

import (
	"bytes"
	"crypto/sha512"
	"errors"
	"fmt"
	"io"

	"filippo.io/edwards25519"
)

// Sizes in bytes. Spec: directory §1 (VRF).
const (
	SeedSize      = 32
	PublicKeySize = 32
	ProofSize     = 80
	OutputSize    = 64
)

// PublicKey is the encoding of a point. Only CheckKey and Verify say whether it is
// one that an honest relay can have.
type PublicKey [PublicKeySize]byte

// ErrKey means a public key that is not the canonical encoding of a point on the
// curve, or one of small order.
var ErrKey = errors.New("vrf: bad public key")

// SecretKey makes proofs. It is not to be copied or compared.
type SecretKey struct {
	_      [0]func() // no ==
	x      *edwards25519.Scalar
	prefix [32]byte
	public PublicKey
}

// NewSecretKey returns the key that a seed of 32 random bytes stands for. The seed
// stays the caller's, who wipes it.
// Spec: directory §1 (VRF), RFC 9381 §5.5 (secret keys as in RFC 8032 §5.1.5).
func NewSecretKey(seed *[SeedSize]byte) *SecretKey {
	h := sha512.Sum512(seed[:])
	defer clear(h[:])
	k := &SecretKey{x: clamped(h[:32]), prefix: [32]byte(h[32:])}
	k.public = PublicKey(new(edwards25519.Point).ScalarBaseMult(k.x).Bytes())
	return k
}

// Public returns the public key.
func (k *SecretKey) Public() PublicKey { return k.public }

// Wipe clears what is secret. The key makes no valid proofs afterwards.
func (k *SecretKey) Wipe() {
	k.x.Set(edwards25519.NewScalar())
	clear(k.prefix[:])
}

// Format prints the type and nothing of the key, whatever the verb.
func (k *SecretKey) Format(s fmt.State, _ rune) {
	_, _ = io.WriteString(s, "vrf.SecretKey(redacted)")
}

// CheckKey refuses a public key that is not the canonical encoding of a point of
// large order. Error: ErrKey. Spec: directory §1, RFC 9381 §5.4.5.
func CheckKey(key PublicKey) error {
	_, err := decodeKey(key)
	return err
}

func decodeKey(key PublicKey) (*edwards25519.Point, error) {
	y, err := decodePoint(key[:])
	if err != nil || isIdentity(new(edwards25519.Point).MultByCofactor(y)) {
		return nil, ErrKey
	}
	return y, nil
}

// decodePoint reads the one encoding that a point has (RFC 8032, 5.1.3). The
// library also takes a y of p or more and the sign of x = 0.
func decodePoint(b []byte) (*edwards25519.Point, error) {
	p, err := new(edwards25519.Point).SetBytes(b)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(p.Bytes(), b) {
		return nil, ErrProof
	}
	return p, nil
}

func isIdentity(p *edwards25519.Point) bool {
	return p.Equal(edwards25519.NewIdentityPoint()) == 1
}
