// SPDX-License-Identifier: BSD-3-Clause

package vrf

import (
	"crypto/sha512"
	"encoding/binary"
	"errors"

	"filippo.io/edwards25519"
)

const (
	suite         = 0x03 // ECVRF-EDWARDS25519-SHA512-TAI
	challengeSize = 16
	maxTries      = 256 // of try-and-increment; half of all tries find a point
)

// Second bytes of the hashes' inputs. Spec: RFC 9381 §5.4.1.1, §5.4.3, §5.2.
const (
	domainPoint     = 0x01
	domainChallenge = 0x02
	domainOutput    = 0x03
	domainEnd       = 0x00
)

// ErrProof means bytes that are not a proof, or not one of this key for this
// input. There is no finer error.
var ErrProof = errors.New("vrf: bad proof")

// Prove returns the proof for alpha, always the same one. Work that depends on the
// secret takes a time that does not; alpha, at any length, is public.
// Spec: directory §1 (VRF), RFC 9381 §5.1.
func (k *SecretKey) Prove(alpha []byte) [ProofSize]byte {
	h, err := encodeToCurve(k.public, alpha)
	if err != nil {
		panic("vrf: none of 256 hashes is a point")
	}
	y, err := new(edwards25519.Point).SetBytes(k.public[:])
	if err != nil {
		panic("vrf: a key's own public point does not decode")
	}
	gamma := new(edwards25519.Point).ScalarMult(k.x, h)
	n := k.nonce(h)
	u := new(edwards25519.Point).ScalarBaseMult(n)
	v := new(edwards25519.Point).ScalarMult(n, h)
	c := challenge(y, h, gamma, u, v)
	s := new(edwards25519.Scalar).MultiplyAdd(short(&c), k.x, n)
	n.Set(edwards25519.NewScalar())

	var proof [ProofSize]byte
	copy(proof[:32], gamma.Bytes())
	copy(proof[32:48], c[:])
	copy(proof[48:], s.Bytes())
	return proof
}

// Verify checks a proof and returns the output it proves: what ProofToHash returns
// for it. Errors: ErrKey for a key that CheckKey refuses, ErrProof for everything
// else. Spec: directory §1 (VRF), RFC 9381 §5.3, with validate_key.
func Verify(key PublicKey, alpha []byte, proof [ProofSize]byte) ([OutputSize]byte, error) {
	y, err := decodeKey(key)
	if err != nil {
		return [OutputSize]byte{}, ErrKey
	}
	p, err := decodeProof(&proof)
	if err != nil {
		return [OutputSize]byte{}, ErrProof
	}
	h, err := encodeToCurve(key, alpha)
	if err != nil {
		return [OutputSize]byte{}, ErrProof
	}
	minus := new(edwards25519.Scalar).Negate(short(&p.c))
	u := new(edwards25519.Point).VarTimeDoubleScalarBaseMult(minus, y, p.s)
	v := new(edwards25519.Point).VarTimeMultiScalarMult(
		[]*edwards25519.Scalar{p.s, minus}, []*edwards25519.Point{h, p.gamma})
	if challenge(y, h, p.gamma, u, v) != p.c {
		return [OutputSize]byte{}, ErrProof
	}
	return outputOf(p.gamma), nil
}

// ProofToHash returns the output of a proof that is known to be good: one's own, or
// one that Verify has accepted. It checks the form alone. Error: ErrProof.
// Spec: RFC 9381 §5.2.
func ProofToHash(proof [ProofSize]byte) ([OutputSize]byte, error) {
	p, err := decodeProof(&proof)
	if err != nil {
		return [OutputSize]byte{}, ErrProof
	}
	return outputOf(p.gamma), nil
}

// Fraction returns an output as a fraction of 2^64: its first 8 bytes, big-endian.
// With u = Fraction(output) / 2^64, the integer part of n*u is the high word of
// math/bits.Mul64(n, Fraction(output)); no floating point is needed to delay a
// proposal by it. Lower outputs have fractions that are lower or equal, so that
// whoever orders outputs compares all their bytes.
// Spec: directory §6 (one epoch, 3), protocol (COM-1).
func Fraction(output [OutputSize]byte) uint64 { return binary.BigEndian.Uint64(output[:8]) }

// parts of a proof.
type parts struct {
	gamma *edwards25519.Point
	c     [challengeSize]byte
	s     *edwards25519.Scalar
}

// decodeProof reads a proof: gamma in canonical form, s below the order.
// Spec: RFC 9381 §5.4.4.
func decodeProof(proof *[ProofSize]byte) (parts, error) {
	gamma, err := decodePoint(proof[:32])
	if err != nil {
		return parts{}, ErrProof
	}
	s, err := new(edwards25519.Scalar).SetCanonicalBytes(proof[48:])
	if err != nil {
		return parts{}, ErrProof
	}
	return parts{gamma: gamma, c: [challengeSize]byte(proof[32:48]), s: s}, nil
}

// encodeToCurve hashes the key and alpha to a point of the prime-order group: the
// first of 256 hashes that is a point, times the cofactor.
// Spec: RFC 9381 §5.4.1.1.
func encodeToCurve(key PublicKey, alpha []byte) (*edwards25519.Point, error) {
	hash := sha512.New()
	var sum [sha512.Size]byte
	for try := range maxTries {
		hash.Reset()
		hash.Write([]byte{suite, domainPoint})
		hash.Write(key[:])
		hash.Write(alpha)
		hash.Write([]byte{byte(try), domainEnd})
		p, err := decodePoint(hash.Sum(sum[:0])[:32])
		if err != nil {
			continue
		}
		if p.MultByCofactor(p); !isIdentity(p) {
			return p, nil
		}
	}
	return nil, ErrProof
}

// nonce derives the one-time secret of a proof from the key and the point, as
// RFC 8032 does from a message. Spec: RFC 9381 §5.4.2.2.
func (k *SecretKey) nonce(h *edwards25519.Point) *edwards25519.Scalar {
	hash := sha512.New()
	hash.Write(k.prefix[:])
	hash.Write(h.Bytes())
	var sum [sha512.Size]byte
	hash.Sum(sum[:0])
	defer clear(sum[:])
	return reduced(&sum)
}

// challenge hashes five points. Spec: RFC 9381 §5.4.3.
func challenge(points ...*edwards25519.Point) [challengeSize]byte {
	hash := sha512.New()
	hash.Write([]byte{suite, domainChallenge})
	for _, p := range points {
		hash.Write(p.Bytes())
	}
	hash.Write([]byte{domainEnd})
	return [challengeSize]byte(hash.Sum(nil)[:challengeSize])
}

// outputOf hashes Gamma without its component of small order, which a signer could
// choose. Spec: RFC 9381 §5.2.
func outputOf(gamma *edwards25519.Point) [OutputSize]byte {
	hash := sha512.New()
	hash.Write([]byte{suite, domainOutput})
	hash.Write(new(edwards25519.Point).MultByCofactor(gamma).Bytes())
	hash.Write([]byte{domainEnd})
	return [OutputSize]byte(hash.Sum(nil))
}
