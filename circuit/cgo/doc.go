// SPDX-License-Identifier: BSD-3-Clause

// Package cgo is the layer encryption of RELAY and RELAY_EARLY cells: Counter
// Galois Onion, the construction of Tor's proposal 359 over the wide-block
// cipher UIV+. A cell that was changed, dropped, replayed or moved is not
// recognised, and neither is any later cell of that circuit and direction that
// crosses the same place, so that a relay cannot mark cells for another.
//
// The package knows cells as bytes only. It does not know streams, messages or
// circuits, does not check commands, and does no I/O. A machine belongs to one
// goroutine at a time.
//
// # The cell
//
//	offset  bytes  field
//	     0      1  command; part of the tweak, so it must not change on the way
//	     1     16  tag      (X_L, Y_L)
//	    17   2032  payload  (X_R, Y_R)
//
// # The seed of one hop and direction
//
//	offset  bytes  field
//	     0     32  KB  block cipher of the tag, AES-256
//	    32     32  KU  universal hash of the tweak
//	    64     32  K   key stream, AES-256-CTR
//	    96     32  B   universal hash of the key stream's start
//	   128     16  N   nonce: the tag of the next cell that is for this hop
//
// Beside it each direction has a running tag T' of 16 bytes, at first zero.
//
// # The functions
//
//	UH(k, x)      the GCM tag of AES-256 under key k, nonce of 12 zero bytes, no
//	              plaintext, additional data x: GHASH of x padded with zeros to
//	              16-byte blocks and of its length, xor a constant of the key
//	encrypt       h   = UH(KU, T' | command | X_R)           2049 bytes
//	              Y_L = h ^ AES_KB(X_L ^ h)
//	              Y_R = X_R ^ PRF(Y_L, 0)
//	decrypt       X_R = Y_R ^ PRF(Y_L, 0)
//	              h   = UH(KU, T' | command | X_R)
//	              X_L = h ^ AES_KB^-1(Y_L ^ h)
//	PRF(T, t)     AES-256-CTR under K; the first counter block is UH(B, T) with
//	              its last byte replaced by 127*t, counted as one 128-bit
//	              big-endian number. t = 0 gives 2032 bytes, t = 1 gives 144
//	UPDATE        KB | KU | K | B | N = PRF(N, 1)
//
// # The moves
//
// Relays always encrypt, clients always decrypt, in both directions.
//
//	RelayForward.Open        encrypt; T' = tag; if tag = N: recognised, UPDATE
//	RelayBackward.Pass       encrypt; T' = tag
//	RelayBackward.Originate  tag = N; encrypt; T' = N = tag; UPDATE
//	ClientForward.Seal       tag = N of hop i; decrypt at i, UPDATE at i; decrypt
//	                         at i-1 ... first; T' of each hop = its tag before
//	                         it decrypted
//	ClientBackward.Open      at first ... last hop: keep tag; decrypt; T' = kept;
//	                         if tag = N: recognised, N = kept, UPDATE, stop
//
// # Cells that nobody recognises
//
// Away from the client, damage turns this cell and every later one into noise
// at the next relay that did not take part in it; the last relay, which has
// nowhere to pass a cell on to, ends the circuit. Towards the client the
// relays' noise is taken off again and only the layers of the relays before
// the damage are wrong, so parts of a plaintext can survive without being
// recognised. ClientBackward therefore clears the first cell that it does not
// recognise and refuses every one after it.
//
// # Implementations
//
// What a layer computes from KB | KU | K | B before its first cell, its expanded
// keys, is behind one seam with these implementations. Production takes the
// first that the processor can run. All give the same results, in time that
// does not depend on keys or data: the assembly always, the standard library
// where it has instructions for AES.
//
//	AVX-512           amd64 with VAES, VPCLMULQDQ, AVX-512 F, BW, DQ
//	VAES              amd64 with VAES, VPCLMULQDQ, AVX2
//	AES-NI            amd64 with AES-NI, PCLMULQDQ, SSSE3
//	standard library  everywhere; the only one under the build tag purego, which
//	                  takes its own assembly away, too; and the reference that
//	                  tests hold the others to
//
// The assembly replaces expanded keys in place and allocates nothing after a
// layer's first cell. Decision 0005 says why it exists.
//
// # Key erasure
//
// UPDATE overwrites the keys that it replaces, and Wipe clears all that a
// machine holds. With the assembly this includes the expanded keys, which are
// one block of memory without pointers, and Shrink clears them before it drops
// them. Expanded keys in the standard library's hands cannot be cleared, only
// dropped, by each of the three. The assembly clears its registers, but Go may have
// copied a seed on its way here.
//
// # Limits
//
// At most [CellLimit] cells travel in one direction of one circuit. The
// machines count (Cells) and leave it to the circuit to end in time. Keys
// are expanded at the first cell, to 0.8 KB a direction with the assembly and
// about 3 KB with the standard library's schedules, and from then on by each
// UPDATE; Shrink leaves 300 bytes of it to an idle circuit.
//
// Spec: protocol §3
package cgo
