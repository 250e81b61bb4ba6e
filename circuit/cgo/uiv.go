// SPDX-License-Identifier: BSD-3-Clause

package cgo

import (
	"crypto/subtle"
	"fmt"
	"io"
)

// layer is one hop's keys in one direction: the wide-block cipher UIV+ with
// its running tag, and the nonce that names this hop's next cell.
//
// The expanded keys are made by the first cell that needs them, because
// circuits are created in floods and idle for hours: a layer without them
// holds a third of the memory or less. Spec: protocol §3.
type layer struct {
	p     params         // nil after wipe
	seed  [SeedSize]byte // KB | KU | K | B | N, as long as p's keys need
	chain block          // T'
	cells uint64
	keys  expanded // from seed; nil until the first cell, and after shrink
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
	l.keys.encryptTag(&l.chain, c)
	l.mask(c)
	copy(l.chain[:], c[1:headerSize])
}

// decrypt is what clients do: the inverse of encrypt in place. T' becomes the
// tag as it was before, which is also the result: the tag that this hop's
// relay sees on the side away from the client.
func (l *layer) decrypt(c []byte) (wire block) {
	l.check(c)
	l.expand()
	l.cells++
	copy(wire[:], c[1:headerSize])
	l.mask(c)
	l.keys.decryptTag(&l.chain, c)
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

// mask xors PRF(tag, 0) into the payload of c.
func (l *layer) mask(c []byte) {
	l.keys.xorKeyStream(c[headerSize:], l.counter(c[1:headerSize], 0))
}

// counter returns the first counter block of PRF(tag, t). tag is 16 bytes.
func (l *layer) counter(tag []byte, t byte) counter {
	first := l.keys.start(tag)
	first.low = first.low&^0xff | uint64(l.p.firstCounter(byte(first.low), t))
	return first
}

// expand makes the expanded keys unless they are there.
func (l *layer) expand() {
	if l.keys == nil {
		l.keys = l.p.newKeys()
		l.keys.expand(l.seed[:4*l.p.keySize()])
	}
}

// shrink wipes and drops the expanded keys.
func (l *layer) shrink() {
	if l.keys != nil {
		l.keys.wipe()
		l.keys = nil
	}
}

// wipe clears the layer; a later use panics.
func (l *layer) wipe() {
	l.shrink()
	*l = layer{}
}

// redact prints a machine's name instead of its keys.
func redact(s fmt.State, name string) { _, _ = io.WriteString(s, "cgo."+name+"(redacted)") }
