// SPDX-License-Identifier: BSD-3-Clause

package cgo

import "fmt"

// ClientForward is the client's machine for cells that travel away from it.
// The zero value has no hops. A cell is command | tag | payload, 2049 bytes;
// Seal works in place and panics on any other length. Cells leave in the order
// in which they were sealed. Not safe for concurrent use. Spec: protocol §3.
type ClientForward struct {
	hops  hops
	cells uint64
}

// AddHop adds a hop behind the last one. It copies seed, which stays the
// caller's to wipe.
func (f *ClientForward) AddHop(seed *[SeedSize]byte) { f.hops.add(seed) }

// Seal makes a cell for one hop, counted from 0, from command and payload,
// which the caller has filled in. tag is the one with which the cell will
// reach that hop: what the hop's ACK returns. It panics when there is no such
// hop. Spec: protocol §3.
func (f *ClientForward) Seal(c []byte, hop int) (tag [TagSize]byte) {
	target := f.hops[hop]
	target.address(c)
	target.decrypt(c)
	target.update()
	copy(tag[:], c[1:headerSize])
	for i := hop - 1; i >= 0; i-- {
		f.hops[i].decrypt(c)
	}
	f.cells++
	return tag
}

// Cells is the number of cells sealed. Spec: protocol §3.
func (f *ClientForward) Cells() uint64 { return f.cells }

// Wipe clears keys and tags, as far as Go allows, and forgets all hops.
// Spec: protocol §3.
func (f *ClientForward) Wipe() { f.hops.wipe() }

// Format prints no key under any verb.
func (f ClientForward) Format(s fmt.State, _ rune) { redact(s, "ClientForward") }

// ClientBackward is the client's machine for cells that travel towards it. The
// zero value has no hops. A cell is command | tag | payload, 2049 bytes; Open
// works in place and panics on any other length. Not safe for concurrent use.
// Spec: protocol §3.
type ClientBackward struct {
	hops  hops
	cells uint64
	lost  bool // a cell was not recognised
}

// AddHop adds a hop behind the last one. It copies seed, which stays the
// caller's to wipe.
func (b *ClientBackward) AddHop(seed *[SeedSize]byte) { b.hops.add(seed) }

// Open takes the layers off a cell. When ok, the payload is plaintext that hop
// (counted from 0) has sent, and tag is the one with which the cell left that
// hop: what the client's ACK returns.
//
// Otherwise hop is -1, and the cell is cleared: decryption of a changed cell
// could leave parts of its plaintext, which must not be used. The circuit has
// to end; every later cell is refused and cleared likewise, because a client
// that read on after a refused cell could be led back in step.
// Spec: protocol §3.
func (b *ClientBackward) Open(c []byte) (hop int, tag [TagSize]byte, ok bool) {
	b.cells++
	if !b.lost {
		for i, l := range b.hops {
			tag = l.decrypt(c)
			if l.isNonce(c) {
				copy(l.nonce(), tag[:])
				l.update()
				return i, tag, true
			}
		}
	}
	b.lost = true
	clear(c[1:])
	return -1, [TagSize]byte{}, false
}

// Cells is the number of cells opened. Spec: protocol §3.
func (b *ClientBackward) Cells() uint64 { return b.cells }

// Wipe clears keys and tags, as far as Go allows, and forgets all hops. Later
// cells are refused. Spec: protocol §3.
func (b *ClientBackward) Wipe() {
	b.hops.wipe()
	b.lost = true
}

// Format prints no key under any verb.
func (b ClientBackward) Format(s fmt.State, _ rune) { redact(s, "ClientBackward") }

// hops are a client's layers of one direction, nearest relay first. Pointers,
// because growing a slice of layers would leave copies of keys behind.
type hops []*layer

func (h *hops) add(seed *[SeedSize]byte) {
	l := newLayer(production{}, seed[:])
	*h = append(*h, &l)
}

func (h *hops) wipe() {
	for _, l := range *h {
		l.wipe()
	}
	*h = nil
}
