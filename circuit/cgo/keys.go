// SPDX-License-Identifier: BSD-3-Clause

package cgo

// block is a tag or a hash.
type block = [TagSize]byte

// counter is a counter block, read as one big-endian number.
type counter struct{ high, low uint64 }

// expanded is what a layer computes from KB | KU | K | B before its first cell:
// key schedules and powers of the hash keys. It is the seam between the
// construction and its arithmetic: the standard library's on every system, and
// own assembly where the processor has the instructions. All implementations
// give the same results.
//
// Pointers are into cells, seeds and layers only, which are on the heap anyway;
// that of a local variable would move it there. Not safe for concurrent use.
type expanded interface {
	// expand replaces what is held by what follows from keys, KB | KU | K | B,
	// which stay the caller's.
	expand(keys []byte)
	// encryptTag replaces the tag X_L of the cell c by h ^ AES_KB(X_L ^ h), with
	// h = UH(KU, chain | command | payload). The payload has smallestPayload bytes
	// or more.
	encryptTag(chain *block, c []byte)
	// decryptTag is the inverse of encryptTag.
	decryptTag(chain *block, c []byte)
	// start returns UH(B, tag). tag is 16 bytes.
	start(tag []byte) counter
	// xorKeyStream xors AES-CTR under K into dst. The counter overflows at 2^128.
	xorKeyStream(dst []byte, first counter)
	// wipe clears what can be cleared. Only expand may follow.
	wipe()
}

// smallestPayload is below what any params have: the assembly relies on it.
const smallestPayload = 128

const _ = uint(productionPayloadSize - smallestPayload)

// implementation is one way to compute; empty makes its keys, still to be
// expanded.
type implementation struct {
	name  string
	empty func() expanded
}

// standard is the reference: it works everywhere.
var standard = implementation{"standard library", func() expanded { return &standardKeys{newHash: newGHASH} }}

// selected is what production uses: the fastest that this processor can run.
// Tests choose others.
var selected = append(assembly(), standard)[0]
