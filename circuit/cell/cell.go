// SPDX-License-Identifier: BSD-3-Clause

package cell

import "errors"

// Sizes in bytes. Spec: protocol §2.
const (
	BodySize    = 2048               // body of every cell
	Size        = 1 + BodySize       // a whole cell on a circuit stream
	TagSize     = 16                 // tag of a RELAY or RELAY_EARLY body
	PayloadSize = BodySize - TagSize // what the layers encrypt beside the tag
)

// Command is the first byte of a cell.
type Command byte

// Commands of cells. Spec: protocol §2.
const (
	Create     Command = 1 // handshake message of the client
	Created    Command = 2 // handshake message of the relay
	Relay      Command = 3 // tag and payload under layer encryption
	RelayEarly Command = 4 // the same; the only cell that may carry EXTEND
	Destroy    Command = 5 // reason, then the stream is closed
	Padding    Command = 6 // ignored
)

// MaxRelayEarly is the number of RELAY_EARLY cells a circuit may carry away
// from the client; it bounds the length of a path. Spec: protocol §2.
const MaxRelayEarly = 8

// ErrSize says that a cell, a message or a field has a length its definition
// does not allow.
var ErrSize = errors.New("cell: a length is out of bounds")

// ErrFormat says that a message's bytes break its definition.
var ErrFormat = errors.New("cell: malformed message")

// Valid reports whether c is a command of this version.
func (c Command) Valid() bool { return c >= Create && c <= Padding }

// Payload returns the 2032 bytes of c's payload. c is a whole RELAY or
// RELAY_EARLY cell; the result is a view.
func Payload(c []byte) []byte { return c[1+TagSize : Size] }

// PutHandshake makes c, Size bytes, a CREATE or CREATED cell that carries msg
// followed by zeros. It fails with ErrSize if msg does not fit.
func PutHandshake(c []byte, cmd Command, msg []byte) error {
	if len(c) != Size || len(msg) > BodySize {
		return ErrSize
	}
	c[0] = byte(cmd)
	n := copy(c[1:], msg)
	clear(c[1+n:])
	return nil
}

// PutDestroy makes c, Size bytes, a DESTROY cell.
func PutDestroy(c []byte, reason byte) {
	c[0] = byte(Destroy)
	c[1] = reason
	clear(c[2:Size])
}
