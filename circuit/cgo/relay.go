// SPDX-License-Identifier: BSD-3-Clause

package cgo

import "fmt"

// RelayForward is a relay's machine for cells that travel away from the
// client. A cell is command | tag | payload, 2049 bytes; all methods work in
// place and panic on any other length and after Wipe. Not safe for concurrent
// use. Spec: protocol §3.
type RelayForward struct{ layer layer }

// NewRelayForward copies seed, which stays the caller's to wipe.
func NewRelayForward(seed *[SeedSize]byte) *RelayForward {
	return &RelayForward{newLayer(production{}, seed[:])}
}

// Open applies this relay's layer to a cell that came from the client's side.
// It reports true when the cell is for this relay: then the payload is
// plaintext, and keys and nonce have moved on. Otherwise the cell is to be
// passed on, with its command unchanged. Whether a cell was damaged shows only
// where it is recognised, or at the last relay where it is not.
//
// The tag that an ACK returns is the one the cell came with; a caller that
// needs it saves c[1:17] before.
// Spec: protocol §3.
func (r *RelayForward) Open(c []byte) (recognised bool) {
	r.layer.encrypt(c)
	if !r.layer.isNonce(c) {
		return false
	}
	r.layer.update()
	return true
}

// Cells is the number of cells opened. Spec: protocol §3.
func (r *RelayForward) Cells() uint64 { return r.layer.cells }

// Shrink drops the expanded keys, most of the machine's memory. The next cell
// makes them again, in a microsecond or less. For idle circuits.
func (r *RelayForward) Shrink() { r.layer.shrink() }

// Wipe clears keys and tags, as far as Go allows. Spec: protocol §3.
func (r *RelayForward) Wipe() { r.layer.wipe() }

// Format prints no key under any verb.
func (r RelayForward) Format(s fmt.State, _ rune) { redact(s, "RelayForward") }

// RelayBackward is a relay's machine for cells that travel towards the client.
// A cell is command | tag | payload, 2049 bytes; all methods work in place and
// panic on any other length and after Wipe. Cells leave in the order in which
// they went through it. Not safe for concurrent use. Spec: protocol §3.
type RelayBackward struct{ layer layer }

// NewRelayBackward copies seed, which stays the caller's to wipe.
func NewRelayBackward(seed *[SeedSize]byte) *RelayBackward {
	return &RelayBackward{newLayer(production{}, seed[:])}
}

// Originate makes a cell of this relay for the client from command and
// payload, which the caller has filled in, and moves keys and nonce on.
// c[1:17] is then the tag on the wire, which the client's ACK returns.
// Spec: protocol §3.
func (r *RelayBackward) Originate(c []byte) {
	r.layer.address(c)
	r.layer.encrypt(c)
	copy(r.layer.nonce(), c[1:headerSize])
	r.layer.update()
}

// Pass applies this relay's layer to a cell that came from the side away from
// the client. Spec: protocol §3.
func (r *RelayBackward) Pass(c []byte) { r.layer.encrypt(c) }

// Cells is the number of cells originated and passed. Spec: protocol §3.
func (r *RelayBackward) Cells() uint64 { return r.layer.cells }

// Shrink drops the expanded keys, most of the machine's memory. The next cell
// makes them again, in a microsecond or less. For idle circuits.
func (r *RelayBackward) Shrink() { r.layer.shrink() }

// Wipe clears keys and tags, as far as Go allows. Spec: protocol §3.
func (r *RelayBackward) Wipe() { r.layer.wipe() }

// Format prints no key under any verb.
func (r RelayBackward) Format(s fmt.State, _ rune) { redact(s, "RelayBackward") }
