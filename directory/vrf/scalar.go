// SPDX-License-Identifier: BSD-3-Clause

package vrf

import "filippo.io/edwards25519"

// clamped returns the scalar of 32 bytes as Ed25519 reads a secret (RFC 8032,
// 5.1.5), modulo the order of the group. All points that a secret is multiplied
// with are in the prime-order group, so that the reduction changes nothing.
func clamped(b []byte) *edwards25519.Scalar {
	s, err := new(edwards25519.Scalar).SetBytesWithClamping(b)
	if err != nil {
		panic("vrf: a secret scalar has 32 bytes")
	}
	return s
}

// reduced returns the little-endian number of 64 bytes modulo the order.
func reduced(b *[64]byte) *edwards25519.Scalar {
	s, err := new(edwards25519.Scalar).SetUniformBytes(b[:])
	if err != nil {
		panic("vrf: a hash has 64 bytes")
	}
	return s
}

// short returns the scalar of a challenge, which is far below the order.
func short(c *[challengeSize]byte) *edwards25519.Scalar {
	var b [32]byte
	copy(b[:], c[:])
	s, err := new(edwards25519.Scalar).SetCanonicalBytes(b[:])
	if err != nil {
		panic("vrf: a challenge is below the order")
	}
	return s
}
