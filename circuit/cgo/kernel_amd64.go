// SPDX-License-Identifier: BSD-3-Clause

//go:build !purego

package cgo

import (
	"crypto/subtle"
	"encoding/binary"
	"math/bits"
	"unsafe"
)

// kernel is expanded keys for the assembly, without pointers, so that expand
// replaces them in place and wipe clears all there is.
//
// The assembly hashes as POLYVAL (RFC 8452 §3): it reads blocks as little-endian
// polynomials and multiplies them as a*b*x^-128. GHASH is the same on reversed
// blocks with x times the reversed key (RFC 8452, appendix A), so H below is
// x times the reversed AES_KU(0). Neither KU's nor B's schedule is kept: each
// encrypts two blocks and no more.
type kernel struct {
	round    [15][2]block // round keys 0 ... 14, each of KB and of K
	powers   [10]block    // H^16, H^12, H^8, H^7 ... H^1 of KU
	tweakEnd block        // what the tag of GCM adds to GHASH under KU
	startH   block        // H^2 of B
	startEnd block        // the length's share of GHASH under B, and as tweakEnd
	order    block        // shuffle of a block before and after it is hashed
	rounds   int          // 14 with AES-256
	level    level        // which instructions to use
}

// lastBlocks are the two last blocks of a hash's input.
type lastBlocks [2 * TagSize]byte

//go:noescape
func expandKeys(k *kernel, keys *[4 * productionKeySize]byte)

// expandPowers makes powers from its last one.
//
//go:noescape
func expandPowers(k *kernel)

//go:noescape
func encryptTag(k *kernel, tag, h *block)

//go:noescape
func decryptTag(k *kernel, tag, h *block)

//go:noescape
func hashStart(k *kernel, tag *block) (high, low uint64)

// hashAESNI hashes chain, so many whole blocks at cell + 16, 7 or more, and the
// last ones. For the first byte of the whole blocks it takes the cell's first.
//
//go:noescape
func hashAESNI(k *kernel, out, chain *block, cell *byte, blocks int, last *lastBlocks)

//go:noescape
func hashVAES(k *kernel, out, chain *block, cell *byte, blocks int, last *lastBlocks)

//go:noescape
func hashAVX512(k *kernel, out, chain *block, cell *byte, blocks int, last *lastBlocks)

// streamAESNI xors the key stream into so many whole blocks at dst. The low
// half of the counter must not overflow between them.
//
//go:noescape
func streamAESNI(k *kernel, high, low uint64, dst *byte, blocks int)

//go:noescape
func streamVAES(k *kernel, high, low uint64, dst *byte, blocks int)

//go:noescape
func streamAVX512(k *kernel, high, low uint64, dst *byte, blocks int)

func (k *kernel) expand(keys []byte) {
	expandKeys(k, (*[4 * productionKeySize]byte)(keys))
	expandPowers(k)
}

func (k *kernel) encryptTag(chain *block, c []byte) {
	var h block
	k.tweak(&h, chain, c)
	encryptTag(k, (*block)(c[1:]), &h)
}

func (k *kernel) decryptTag(chain *block, c []byte) {
	var h block
	k.tweak(&h, chain, c)
	decryptTag(k, (*block)(c[1:]), &h)
}

// tweak puts UH(KU, chain | command | payload) of the cell c into h.
func (k *kernel) tweak(h, chain *block, c []byte) {
	blocks, last := lastOf(c)
	binary.BigEndian.PutUint64(last[TagSize:], uint64(len(c))*8)
	k.hash(h, chain, c, blocks, &last)
}

// lastOf returns what the hash over T' | command | payload of the cell c has
// behind its whole blocks: a block that may be partial, and room for the length.
// blocks is the number of whole ones between T' and these.
func lastOf(c []byte) (blocks int, last lastBlocks) {
	whole := (len(c) - 1) / TagSize
	copy(last[:TagSize], c[whole*TagSize:])
	return whole - 1, last
}

func (k *kernel) hash(h, chain *block, c []byte, blocks int, last *lastBlocks) {
	switch k.level {
	case levelAVX512:
		hashAVX512(k, h, chain, unsafe.SliceData(c), blocks, last)
	case levelVAES:
		hashVAES(k, h, chain, unsafe.SliceData(c), blocks, last)
	default:
		hashAESNI(k, h, chain, unsafe.SliceData(c), blocks, last)
	}
}

func (k *kernel) start(tag []byte) (first counter) {
	first.high, first.low = hashStart(k, (*block)(tag))
	return first
}

func (k *kernel) xorKeyStream(dst []byte, first counter) {
	for len(dst) >= TagSize {
		n := beforeCarry(first.low, len(dst)/TagSize)
		k.stream(dst, first, n)
		dst = dst[n*TagSize:]
		var carry uint64
		first.low, carry = bits.Add64(first.low, uint64(n), 0)
		first.high += carry
	}
	if len(dst) > 0 {
		var rest block
		k.stream(rest[:], first, 1)
		subtle.XORBytes(dst, dst, rest[:])
	}
}

// beforeCarry is how many of the next blocks have counters that differ in the
// low half only. In production always all, whatever the key, because the last
// byte starts at 0 or 127 and ends below 255: the branch goes one way, except that
// a counter whose low half is zero, one of 2^56, takes the other to the same result.
func beforeCarry(low uint64, blocks int) int {
	if left := -low; left != 0 && left < uint64(blocks) { // 0 stands for 2^64
		return int(left)
	}
	return blocks
}

func (k *kernel) stream(dst []byte, first counter, blocks int) {
	switch k.level {
	case levelAVX512:
		streamAVX512(k, first.high, first.low, unsafe.SliceData(dst), blocks)
	case levelVAES:
		streamVAES(k, first.high, first.low, unsafe.SliceData(dst), blocks)
	default:
		streamAESNI(k, first.high, first.low, unsafe.SliceData(dst), blocks)
	}
}

func (k *kernel) wipe() {
	use := k.level
	*k = kernel{}
	k.level = use
}
