// SPDX-License-Identifier: BSD-3-Clause

package cell

// Codes of the messages that may be fragmented.
const (
	typeHSDirPublish Type = 0x40
	typeHSDirReply   Type = 0x42
	typeIntroduce1   Type = 0x46
	typeIntroduce2   Type = 0x47
	typeShardPut     Type = 0x54
	typeShardReply   Type = 0x58
)

// FragmentLimit returns the largest body, in bytes, of a message of type t that
// may be fragmented, and 0 for the types that never are. Spec: protocol §5.
func FragmentLimit(t Type) int {
	switch t {
	case typeIntroduce1, typeIntroduce2:
		return 3968
	case typeHSDirPublish:
		return 49152
	case typeHSDirReply:
		return 49153
	case typeShardPut:
		return 262325
	case typeShardReply:
		return 262169
	}
	return 0
}

// Assembler joins the pieces of fragmented messages of one circuit and
// direction. The zero value is ready. It holds at most one message, of at most
// that type's FragmentLimit. Not safe for concurrent use.
type Assembler struct {
	open   bool
	kind   Type
	stream uint16
	body   []byte
}

// Add takes the next message of the circuit. done is true when whole is a
// complete message: m itself if it was not fragmented, or the joined one, whose
// Body the caller owns. ErrFormat: a fragment of a type that has none, a second
// message begun while one is open, another type or stream in between. ErrSize:
// the joined body would pass its limit.
func (a *Assembler) Add(m Message) (whole Message, done bool, err error) {
	if !a.open {
		if !m.More {
			return m, true, nil
		}
		if FragmentLimit(m.Type) == 0 || len(m.Body) == 0 {
			return Message{}, false, ErrFormat
		}
		a.open, a.kind, a.stream, a.body = true, m.Type, m.Stream, nil
	}
	// An empty piece would keep a message in assembly without ever reaching
	// its limit.
	if m.Type != a.kind || m.Stream != a.stream || len(m.Body) == 0 {
		return Message{}, false, ErrFormat
	}
	if len(a.body)+len(m.Body) > FragmentLimit(a.kind) {
		return Message{}, false, ErrSize
	}
	a.body = append(a.body, m.Body...)
	if m.More {
		return Message{}, false, nil
	}
	whole = Message{Type: a.kind, Stream: a.stream, Body: a.body}
	*a = Assembler{}
	return whole, true, nil
}

// Open reports whether a message is in assembly.
func (a *Assembler) Open() bool { return a.open }

// Fragment calls put once for each piece of a message of body b: the piece and
// whether more follow. Pieces are views into b of at most MaxBody bytes.
// ErrSize: b is longer than one cell takes and its type is never fragmented, or
// b passes its type's limit.
func Fragment(t Type, b []byte, put func(piece []byte, more bool)) error {
	if len(b) > MaxBody && len(b) > FragmentLimit(t) {
		return ErrSize
	}
	for len(b) > MaxBody {
		put(b[:MaxBody], true)
		b = b[MaxBody:]
	}
	put(b, false)
	return nil
}
