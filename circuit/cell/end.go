// SPDX-License-Identifier: BSD-3-Clause

package cell

import "encoding/binary"

// Directions of END. Spec: protocol §5.
const (
	EndSending byte = 1 // the sender sends no more
	EndBoth    byte = 2 // the sender takes no more either: the stream is over
)

// End ends one or both directions of a stream.
//
//	direction 1 | reason 1
//
// Spec: protocol §5.
type End struct{ Direction, Reason byte }

// Append appends e's body to dst.
func (e End) Append(dst []byte) []byte { return append(dst, e.Direction, e.Reason) }

// ParseEnd decodes an END body. An unknown reason is kept as it is.
func ParseEnd(p []byte) (End, error) {
	if len(p) != 2 {
		return End{}, ErrSize
	}
	if p[0] != EndSending && p[0] != EndBoth {
		return End{}, ErrFormat
	}
	return End{Direction: p[0], Reason: p[1]}, nil
}

// ParseTruncated decodes a TRUNCATED body, one byte: the reason.
func ParseTruncated(p []byte) (reason byte, err error) {
	if len(p) != 1 {
		return 0, ErrSize
	}
	return p[0], nil
}

// AppendCredit appends a CREDIT body, 4 bytes: n more bytes may be sent.
func AppendCredit(dst []byte, n uint32) []byte { return binary.BigEndian.AppendUint32(dst, n) }

// ParseCredit decodes a CREDIT body. Zero is ErrFormat: it would be a message
// without meaning that costs its receiver work.
func ParseCredit(p []byte) (uint32, error) {
	if len(p) != 4 {
		return 0, ErrSize
	}
	n := binary.BigEndian.Uint32(p)
	if n == 0 {
		return 0, ErrFormat
	}
	return n, nil
}

// ParseAck decodes an ACK body: the tag of the acknowledged cell.
func ParseAck(p []byte) (tag [TagSize]byte, err error) {
	if len(p) != TagSize {
		return tag, ErrSize
	}
	return [TagSize]byte(p), nil
}
