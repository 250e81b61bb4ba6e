// SPDX-License-Identifier: BSD-3-Clause

package cgo

import (
	"crypto/aes"
	"crypto/cipher"
)

// universalHash is almost-xor-universal over inputs of equal length. It does
// not keep x and is not safe for concurrent use.
type universalHash interface {
	sum(x []byte) block
}

// ghash is GHASH as the standard library's GCM computes it over additional
// data: with a fixed nonce and no plaintext the tag is GHASH xor a constant of
// the key, which is as universal as GHASH. It is constant time and in assembly
// where the processor has AES and carry-less multiplication.
type ghash struct {
	aead  cipher.AEAD
	nonce [12]byte // always zero
	out   block
}

// newGHASH does not keep key.
func newGHASH(key []byte) universalHash {
	aead, err := cipher.NewGCM(newAES(key))
	if err != nil {
		panic("cgo: GCM refuses AES")
	}
	return &ghash{aead: aead}
}

func (g *ghash) sum(x []byte) block {
	g.aead.Seal(g.out[:0], g.nonce[:], nil, x)
	return g.out
}

// newAES expands key, whose size is one of params and so never wrong.
func newAES(key []byte) cipher.Block {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic("cgo: AES key of a wrong size")
	}
	return block
}
