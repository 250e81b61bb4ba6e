// SPDX-License-Identifier: BSD-3-Clause

package cell

import "encoding/binary"

// Type is the first byte of a relay message.
type Type byte

// Relay message types. The codes of services and boxes stand here so that
// nobody uses them twice; their bodies are defined where they are spoken.
// Spec: protocol §5.
const (
	TypeNone      Type = 0x00 // ends the messages of a cell
	TypeExtend    Type = 0x01
	TypeExtended  Type = 0x02
	TypeTruncated Type = 0x04
	TypeAck       Type = 0x05
	TypePadding   Type = 0x06
	TypeBegin     Type = 0x10
	TypeConnected Type = 0x11
	TypeData      Type = 0x12
	TypeEnd       Type = 0x13
	TypeCredit    Type = 0x14
	TypeBeginUDP  Type = 0x18
	TypeDatagram  Type = 0x19
	TypeResolve   Type = 0x1C
	TypeResolved  Type = 0x1D
	TypeBeginDir  Type = 0x20

	TypeServiceFirst Type = 0x40 // services: 0x40 to 0x4F
	TypeBoxFirst     Type = 0x50 // boxes and shards: 0x50 to 0x5F
)

// HeaderSize is the size of a message's header; MaxBody is the largest body of
// one message in one cell. Spec: protocol §5.
const (
	HeaderSize = 6
	MaxBody    = PayloadSize - HeaderSize
)

// FlagMore marks every piece but the last of a fragmented message.
const FlagMore = 1

// Message is one relay message, or one piece of a fragmented one. Body is a
// view into the payload it was read from.
type Message struct {
	Type   Type
	More   bool
	Stream uint16
	Body   []byte
}

// PutHeader writes a message header into b, which has HeaderSize bytes or more.
func PutHeader(b []byte, t Type, more bool, stream uint16, length int) {
	b[0] = byte(t)
	b[1] = 0
	if more {
		b[1] = FlagMore
	}
	binary.BigEndian.PutUint16(b[2:], stream)
	binary.BigEndian.PutUint16(b[4:], uint16(length))
}

// Next takes the first message off payload and returns the rest. ok is false
// when no message is left. ErrFormat: unknown flags, a length beyond the
// payload, or a header that is cut off.
func Next(payload []byte) (m Message, rest []byte, ok bool, err error) {
	if len(payload) == 0 || payload[0] == byte(TypeNone) {
		return Message{}, nil, false, nil
	}
	if len(payload) < HeaderSize {
		return Message{}, nil, false, ErrFormat
	}
	n := int(binary.BigEndian.Uint16(payload[4:]))
	if payload[1]&^FlagMore != 0 || n > len(payload)-HeaderSize {
		return Message{}, nil, false, ErrFormat
	}
	return Message{
		Type:   Type(payload[0]),
		More:   payload[1] == FlagMore,
		Stream: binary.BigEndian.Uint16(payload[2:]),
		Body:   payload[HeaderSize : HeaderSize+n : HeaderSize+n],
	}, payload[HeaderSize+n:], true, nil
}
