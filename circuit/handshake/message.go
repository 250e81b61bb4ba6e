// SPDX-License-Identifier: BSD-3-Clause

package handshake

import (
	"encoding/binary"
	"errors"
)

// Sizes in bytes. Spec: protocol §4.
const (
	CreateSize  = headerSize + idSize + 2*pointSize + encapsulationKeySize + MessageSize + macSize // CREATE
	CreatedSize = headerSize + pointSize + ciphertextSize + macSize + MessageSize                  // CREATED
	MessageSize = 64                                                                               // CM and SM

	headerSize           = 4 // type 2, length 2
	ridSize              = 16
	idSize               = 32
	pointSize            = 32 // X25519: keys and shared secrets
	macSize              = 32 // MAC, AUTH and every other H
	encapsulationKeySize = 1184
	ciphertextSize       = 1088
)

// typeHY1 is this handshake's type. Spec: protocol §4.
const typeHY1 = 1

// ErrHandshake is every fault of a CREATE or CREATED: a wrong size, a field
// out of place, a point of low order, a MAC that does not hold. The causes are
// not told apart on purpose.
var ErrHandshake = errors.New("handshake: message refused")

// ErrUnknownKey says that a CREATE is for an onion key that is none of the
// relay's: the client knows an outdated descriptor.
var ErrUnknownKey = errors.New("handshake: unknown onion key")

// create and created are views of the two messages' fields in the order of
// the wire.
type create struct {
	id, onion, x, ek, cm, mac []byte
}

type created struct {
	y, ct, auth, sm []byte
}

// splitCreate gives the fields of b, or false when size, type or length are
// wrong. It allocates nothing.
func splitCreate(b []byte) (c create, ok bool) {
	if len(b) != CreateSize || !hasHeader(b) {
		return create{}, false
	}
	b = b[headerSize:]
	c.id, b = cut(b, idSize)
	c.onion, b = cut(b, pointSize)
	c.x, b = cut(b, pointSize)
	c.ek, b = cut(b, encapsulationKeySize)
	c.cm, b = cut(b, MessageSize)
	c.mac, _ = cut(b, macSize)
	return c, true
}

// splitCreated does the same for the answer.
func splitCreated(b []byte) (c created, ok bool) {
	if len(b) != CreatedSize || !hasHeader(b) {
		return created{}, false
	}
	b = b[headerSize:]
	c.y, b = cut(b, pointSize)
	c.ct, b = cut(b, ciphertextSize)
	c.auth, b = cut(b, macSize)
	c.sm, _ = cut(b, MessageSize)
	return c, true
}

// newMessage returns size bytes with type and length filled in.
func newMessage(size int) []byte {
	b := make([]byte, size)
	binary.BigEndian.PutUint16(b, typeHY1)
	binary.BigEndian.PutUint16(b[2:], uint16(size-headerSize))
	return b
}

func hasHeader(b []byte) bool {
	return binary.BigEndian.Uint16(b) == typeHY1 && int(binary.BigEndian.Uint16(b[2:])) == len(b)-headerSize
}

func cut(b []byte, n int) (field, rest []byte) { return b[:n:n], b[n:] }

// identifier is ID: rid followed by zeros.
func identifier(rid [ridSize]byte) (id [idSize]byte) {
	copy(id[:], rid[:])
	return id
}
