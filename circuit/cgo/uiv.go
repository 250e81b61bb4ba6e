// SPDX-License-Identifier: BSD-3-Clause

package cgo

import (
	"crypto/cipher"
	"crypto/subtle"
	"fmt"
	"io"
)

// layer is one hop's keys in one direction: the wide-block cipher UIV+ with
// its running tag, and the nonce that names this hop's next cell.
//
// The expanded keys are made by the first cell that needs them, because
// circuits are created in floods and idle for hours: a layer without them
// holds a tenth of the memory. Spec: protocol §3.
type layer struct {
	p     params         // nil after wipe
	seed  [SeedSize]byte // KB | KU | K | B | N, as long as p's keys need
	chain [TagSize]byte  // T'
	iv    [TagSize]byte  // scratch: a local one would move to the heap
	cells uint64

	// Expanded from seed: all of them or none. Dropped by update, shrink, wipe.
	kb cipher.Block  // block cipher of the tag
	u  universalHash // of the tweak, under KU
	k  cipher.Block  // key stream
	b  universalHash // of the key stream's start, under B
}

// newLayer copies seed, KB | KU | K | B | N in p's sizes.
func newLayer(p params, seed []byte) layer {
	if len(seed) != 4*p.keySize()+TagSize {
		panic("cgo: seed of a wrong size")
	}
	l := layer{p: p}
	copy(l.seed[:], seed)
	return l
}

// nonce is the part of the seed behind the keys: N.
func (l *layer) nonce() []byte {
	n := 4 * l.p.keySize()
	return l.seed[n : n+TagSize]
}

// isNonce reports in constant time whether c's tag is N.
func (l *layer) isNonce(c []byte) bool {
	return subtle.ConstantTimeCompare(c[1:headerSize], l.nonce()) == 1
}

// address makes c's tag N, so that this hop's relay or client recognises it.
func (l *layer) address(c []byte) {
	l.check(c)
	copy(c[1:headerSize], l.nonce())
}

// encrypt is what relays do: UIV+ in place, and T' becomes the new tag.
func (l *layer) encrypt(c []byte) {
	l.check(c)
	l.expand()
	l.cells++
	h := l.tweak(c)
	tag := c[1:headerSize]
	subtle.XORBytes(tag, tag, h[:])
	l.kb.Encrypt(tag, tag)
	subtle.XORBytes(tag, tag, h[:])
	l.mask(c)
	copy(l.chain[:], tag)
}

// decrypt is what clients do: the inverse of encrypt in place. T' becomes the
// tag as it was before, which is also the result: the tag that this hop's
// relay sees on the side away from the client.
func (l *layer) decrypt(c []byte) (wire [TagSize]byte) {
	l.check(c)
	l.expand()
	l.cells++
	tag := c[1:headerSize]
	copy(wire[:], tag)
	l.mask(c)
	h := l.tweak(c)
	subtle.XORBytes(tag, tag, h[:])
	l.kb.Decrypt(tag, tag)
	subtle.XORBytes(tag, tag, h[:])
	l.chain = wire
	return wire
}

// check panics on what only a fault of ours can break.
func (l *layer) check(c []byte) {
	if l.p == nil {
		panic("cgo: use after Wipe")
	}
	if len(c) != headerSize+l.p.payloadSize() {
		panic("cgo: not a whole cell")
	}
}

// tweak hashes T' | command | payload. The 17 bytes before the payload are
// just as long as T' | command, so they hold these meanwhile and the payload
// need not be copied.
func (l *layer) tweak(c []byte) [TagSize]byte {
	header := [headerSize]byte(c)
	copy(c, l.chain[:])
	c[headerSize-1] = header[0]
	h := l.u.sum(c)
	copy(c, header[:])
	return h
}

// mask xors PRF(tag, 0) into the payload of c.
func (l *layer) mask(c []byte) {
	payload := c[headerSize:]
	l.prf(c[1:headerSize], 0).XORKeyStream(payload, payload)
}

// prf returns PRF(tag, t) as a stream. tag is 16 bytes.
func (l *layer) prf(tag []byte, t byte) cipher.Stream {
	l.iv = l.b.sum(tag)
	last := &l.iv[TagSize-1]
	*last = l.p.firstCounter(*last, t)
	return cipher.NewCTR(l.k, l.iv[:])
}

// expand makes the four key schedules unless they are there.
func (l *layer) expand() {
	if l.kb != nil {
		return
	}
	n := l.p.keySize()
	l.kb = newAES(l.seed[:n])
	l.u = l.p.newHash(l.seed[n : 2*n])
	l.k = newAES(l.seed[2*n : 3*n])
	l.b = l.p.newHash(l.seed[3*n : 4*n])
}

// shrink drops what expand made.
func (l *layer) shrink() { l.kb, l.u, l.k, l.b = nil, nil, nil, nil }

// wipe clears the layer; a later use panics.
func (l *layer) wipe() { *l = layer{} }

// redact prints a machine's name instead of its keys.
func redact(s fmt.State, name string) { _, _ = io.WriteString(s, "cgo."+name+"(redacted)") }
