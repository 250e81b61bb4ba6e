// SPDX-License-Identifier: BSD-3-Clause

package cell

import (
	"bytes"
	"errors"
	"testing"
)

// pack writes messages one behind the other.
func pack(messages ...Message) []byte {
	var p []byte
	for _, m := range messages {
		var h [HeaderSize]byte
		PutHeader(h[:], m.Type, m.More, m.Stream, len(m.Body))
		p = append(append(p, h[:]...), m.Body...)
	}
	return p
}

// unpack reads messages until none is left.
func unpack(p []byte) ([]Message, error) {
	var out []Message
	for {
		m, rest, ok, err := Next(p)
		if err != nil || !ok {
			return out, err
		}
		out, p = append(out, m), rest
	}
}

func TestPackedMessagesComeOutAsTheyWentIn(t *testing.T) {
	in := []Message{
		{Type: TypeData, Stream: 1, Body: filled(1000, 1)},
		{Type: TypePadding, Body: nil},
		{Type: TypeCredit, Stream: 65535, Body: AppendCredit(nil, 7)},
		{Type: typePiece, More: true, Stream: 3, Body: []byte("x")},
	}
	p := pack(in...)
	p = append(p, byte(TypeNone))
	p = append(p, filled(PayloadSize-len(p), 0xFF)...) // padding is never read
	out, err := unpack(p)
	if err != nil || len(out) != len(in) {
		t.Fatalf("%d of %d messages: %v", len(out), len(in), err)
	}
	for i := range in {
		a, b := in[i], out[i]
		if a.Type != b.Type || a.More != b.More || a.Stream != b.Stream || !bytes.Equal(a.Body, b.Body) {
			t.Fatalf("message %d is another", i)
		}
	}
}

// typePiece is some type that may be fragmented.
const typePiece = typeShardPut

func TestABodyIsAViewOfItsOwnBytesOnly(t *testing.T) {
	p := pack(Message{Type: TypeData, Stream: 1, Body: []byte("one")}, Message{Type: TypeData, Stream: 2, Body: []byte("two")})
	m, _, _, err := Next(p)
	if err != nil {
		t.Fatal(err)
	}
	if cap(m.Body) != len(m.Body) {
		t.Fatal("appending to a body would write into the next message")
	}
}

func TestPackingEdges(t *testing.T) {
	full := pack(Message{Type: TypeData, Stream: 1, Body: filled(MaxBody, 1)})
	head := func(n int) []byte { return pack(Message{Type: TypeData, Stream: 1, Body: filled(n, 1)})[:HeaderSize] }
	flagged := pack(Message{Type: TypeData, Stream: 1, Body: []byte("x")})
	cases := []struct {
		name string
		p    []byte
		n    int
		want error
	}{
		{"empty payload", nil, 0, nil},
		{"type 0 at once", []byte{0}, 0, nil},
		{"type 0 with anything behind", append([]byte{0}, filled(2031, 0xFF)...), 0, nil},
		{"one message fills the cell", full, 1, nil},
		{"length 1 beyond the payload", append(head(4), 1, 1, 1), 0, ErrFormat},
		{"length 65535", []byte{byte(TypeData), 0, 0, 1, 0xFF, 0xFF}, 0, ErrFormat},
		{"no body at all", pack(Message{Type: TypePadding}), 1, nil},
		{"message, then a cut header", append(pack(Message{Type: TypePadding}), byte(TypeData), 0, 0), 1, ErrFormat},
		{"message, then type 0", append(pack(Message{Type: TypePadding}), 0), 1, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			out, err := unpack(c.p)
			if len(out) != c.n || !errors.Is(err, c.want) {
				t.Fatalf("%d messages, %v", len(out), err)
			}
		})
	}
	for flags := range 256 {
		flagged[1] = byte(flags)
		m, _, _, err := Next(flagged)
		switch flags {
		case 0, FlagMore:
			if err != nil || m.More != (flags == FlagMore) {
				t.Errorf("flags %d: %v", flags, err)
			}
		default:
			if !errors.Is(err, ErrFormat) {
				t.Errorf("unknown flags %#x are taken", flags)
			}
		}
	}
	for n := 1; n < HeaderSize; n++ {
		if _, _, _, err := Next(full[:n]); !errors.Is(err, ErrFormat) {
			t.Errorf("a header cut to %d bytes is taken", n)
		}
	}
}

func TestCellsKeepNothingOfTheirBuffer(t *testing.T) {
	msg := filled(1380, 0x11)
	for _, cmd := range []Command{Create, Created} {
		c := filled(Size, 0xC7)
		if err := PutHandshake(c, cmd, msg); err != nil {
			t.Fatal(err)
		}
		if Command(c[0]) != cmd || !bytes.Equal(c[1:1+len(msg)], msg) || !bytes.Equal(c[1+len(msg):], make([]byte, BodySize-len(msg))) {
			t.Fatalf("command %d: not command, message, zeros", cmd)
		}
	}
	c := filled(Size, 0xC7)
	PutDestroy(c, 3)
	if Command(c[0]) != Destroy || c[1] != 3 || !bytes.Equal(c[2:], make([]byte, BodySize-1)) {
		t.Fatal("DESTROY is not command, reason, zeros")
	}
	var h [HeaderSize]byte
	copy(h[:], filled(HeaderSize, 0xC7))
	PutHeader(h[:], TypeEnd, false, 0x0102, 0x0304)
	if h != [HeaderSize]byte{byte(TypeEnd), 0, 1, 2, 3, 4} {
		t.Fatalf("header %x", h)
	}
}

func TestPutHandshakeBounds(t *testing.T) {
	cases := []struct {
		cell, msg int
		want      error
	}{
		{Size, 0, nil}, {Size, BodySize, nil}, {Size, BodySize + 1, ErrSize}, {Size - 1, 10, ErrSize}, {Size + 1, 10, ErrSize},
	}
	for _, c := range cases {
		if err := PutHandshake(make([]byte, c.cell), Create, make([]byte, c.msg)); !errors.Is(err, c.want) {
			t.Errorf("%d bytes into %d: %v", c.msg, c.cell, err)
		}
	}
}

func TestPayloadIsWhatTheLayersEncrypt(t *testing.T) {
	c := make([]byte, Size)
	p := Payload(c)
	if len(p) != PayloadSize || &p[0] != &c[17] {
		t.Fatal("the payload is not the 2,032 bytes behind command and tag")
	}
}
