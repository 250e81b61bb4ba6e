// SPDX-License-Identifier: BSD-3-Clause

// Package vrf is the verifiable random function of RFC 9381 in its suite
// ECVRF-EDWARDS25519-SHA512-TAI (suite string 0x03): the holder of a secret key
// turns an input, alpha, into 64 bytes that nobody can foresee, and into a proof
// with which everybody can check that no other bytes were possible. The committee
// decides with it who proposes a snapshot, and draws the beacon from it.
//
// It is not a signature scheme and has no other suites. Inputs are public: the
// try-and-increment step takes longer for some of them. Whatever depends on the
// secret key runs in constant time; verification does not.
//
//	seed       32  as in Ed25519 (RFC 8032): SHA-512 gives the scalar x and a nonce prefix
//	public key 32  Y = xB, the canonical encoding of a point of large order
//	proof      80  Gamma 32 | c 16 | s 32, the integers little-endian
//	output     64  SHA-512(3 | 3 | 8 Gamma | 0)
//
// A key of a VRF is made for it alone: the same seed would also be an Ed25519 key,
// and the two nonces are derived alike.
//
// Functions keep no state. A SecretKey may be used by any number of goroutines
// until it is wiped.
//
// Spec: directory §1 (VRF), protocol (COM-1).
package vrf
