// SPDX-License-Identifier: BSD-3-Clause

// Package handshake is the circuit handshake hy1: ntor v3 with an ephemeral
// ML-KEM-768 added. X25519 with the relay's onion key authenticates the relay;
// X25519 and ML-KEM together give secrecy, so that the keys stay secret while
// either of the two holds. The client stays anonymous.
//
// The package makes and checks messages. It does not carry them, does not know
// what the two sides negotiate in CM and SM, and does no I/O. A Client and a
// Filter belong to one goroutine at a time; Respond may run many times at once
// with the same onion keys. Key erasure is best effort: what this package
// holds is cleared, but Go may have copied it and the standard library's keys
// cannot be cleared.
//
// # CREATE, 1380 bytes
//
//	offset  bytes  field
//	     0      2  type, 1 (2 is reserved)
//	     2      2  length of what follows, 1376
//	     4     32  ID: rid of the relay (16), 16 zero bytes
//	    36     32  B: the relay's X25519 onion key
//	    68     32  X: the client's ephemeral X25519 key
//	   100   1184  ek: the client's ephemeral ML-KEM-768 encapsulation key
//	  1284     64  enc(CM): the client's message
//	  1348     32  MAC
//
// # CREATED, 1220 bytes
//
//	offset  bytes  field
//	     0      2  type, 1
//	     2      2  length of what follows, 1216
//	     4     32  Y: the relay's ephemeral X25519 key
//	    36   1088  ct: ML-KEM-768 ciphertext
//	  1124     32  AUTH
//	  1156     64  enc(SM): the relay's message
//
// In a cell both are followed by zeros, which the caller takes off. CM is
// encrypted to the onion key alone and readable to whoever learns that key
// later; nothing secret goes into it.
//
// # Keys
//
// H is SHA3-256, KDF is SHAKE256, | joins the bytes; every field has a fixed
// length. Labels are the bytes between the quotes and none is the beginning
// of another. Bx is X25519 of the pair B, X, and so on; ss is the shared key
// of ML-KEM (32).
//
//	k1     = KDF("chive hy1 msg v1" | Bx | ID | X | B | ek), 96 bytes:
//	         stream 64, MAC key 32
//	enc(CM) = CM xor stream
//	MAC    = H("chive hy1 mac v1" | MAC key | ID | B | X | ek | enc(CM))
//
//	secret = Xy | Xb | ss | ID | B | X | ek | Y | ct         2528 bytes
//	keys   = KDF("chive hy1 keys v1" | secret), 384 bytes:
//	         forward seed 144, backward seed 144, circuit binding 32, stream 64
//	enc(SM) = SM xor stream
//	verify = H("chive hy1 verify v1" | secret)
//	AUTH   = H("chive hy1 auth v1" | verify | ID | B | Y | ct | X | ek | MAC |
//	           enc(SM) | "server")
//
// This is ntor v3's way with two differences: its MAC is hashed the same way
// (label, key, text), but its AES-CTR under a key used once is here the KDF's
// own output as key stream. The seeds' layout is circuit/cgo's.
//
// # Checks
//
// The relay refuses, in this order: a wrong size, type, length or ID; a B that
// is none of its keys; an X of low order or a wrong MAC; an ek that is no
// ML-KEM-768 key (FIPS 203, section 7.2). The client refuses a wrong size,
// type or length; a Y of low order or a wrong AUTH. The unknown key has an
// error of its own, since B is public and the client may have an outdated
// descriptor. All other faults share one error, and on the wire one reason.
// MAC and AUTH are compared in constant time.
//
// Randomness: the client reads 96 bytes, x (32) and the ML-KEM seed d | z (64);
// the relay reads 32 bytes, y. Encapsulation takes the system's randomness,
// because the standard library offers nothing else outside tests.
//
// # Replays
//
// A replayed CREATE gives nobody a key, but costs the relay a handshake and
// can mark a relay's answer time. Filter remembers H(key | X | ek), keyed per
// filter, in two bounded generations.
//
// Spec: protocol §4
package handshake
