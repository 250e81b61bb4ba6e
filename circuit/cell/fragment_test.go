// SPDX-License-Identifier: BSD-3-Clause

package cell

import (
	"bytes"
	"errors"
	"testing"
)

// pieces returns the messages that carry body b.
func pieces(t testing.TB, kind Type, stream uint16, b []byte) []Message {
	t.Helper()
	var out []Message
	err := Fragment(kind, b, func(piece []byte, more bool) {
		out = append(out, Message{Type: kind, More: more, Stream: stream, Body: piece})
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func fragmented() []Type {
	var out []Type
	for t := range 256 {
		if FragmentLimit(Type(t)) > 0 {
			out = append(out, Type(t))
		}
	}
	return out
}

// Spec: protocol §5 (MSG-2).
func TestOnlyTheListedTypesAreEverFragmented(t *testing.T) {
	want := map[Type]int{
		0x40: 49152, 0x42: 49153, 0x46: 3968, 0x47: 3968, 0x54: 262325, 0x58: 262169,
	}
	for kind := range 256 {
		if got := FragmentLimit(Type(kind)); got != want[Type(kind)] {
			t.Errorf("type %#x: limit %d, not %d", kind, got, want[Type(kind)])
		}
	}
}

func TestFragmentsJoinToWhatTheyWere(t *testing.T) {
	for _, kind := range fragmented() {
		for _, n := range []int{0, 1, MaxBody - 1, MaxBody, MaxBody + 1, 2 * MaxBody, 2*MaxBody + 1, FragmentLimit(kind)} {
			if n > FragmentLimit(kind) {
				continue
			}
			b := make([]byte, n)
			for i := range b {
				b[i] = byte(i * 7)
			}
			var a Assembler
			parts := pieces(t, kind, 9, b)
			for i, m := range parts {
				whole, done, err := a.Add(m)
				if err != nil || done != (i == len(parts)-1) || a.Open() == done {
					t.Fatalf("type %#x, %d bytes, piece %d: done %v, open %v, %v", kind, n, i, done, a.Open(), err)
				}
				if done && (whole.Type != kind || whole.Stream != 9 || whole.More || !bytes.Equal(whole.Body, b)) {
					t.Fatalf("type %#x, %d bytes: another message came out", kind, n)
				}
			}
		}
	}
}

func TestFragmentBounds(t *testing.T) {
	none := func([]byte, bool) { t.Fatal("a refused message was cut") }
	for kind := range 256 {
		limit := max(MaxBody, FragmentLimit(Type(kind)))
		if err := Fragment(Type(kind), make([]byte, limit+1), none); !errors.Is(err, ErrSize) {
			t.Errorf("type %#x takes %d bytes", kind, limit+1)
		}
		if err := Fragment(Type(kind), make([]byte, limit), func([]byte, bool) {}); err != nil {
			t.Errorf("type %#x refuses %d bytes", kind, limit)
		}
	}
}

func TestAssemblerStopsAtTheLimit(t *testing.T) {
	for _, kind := range fragmented() {
		var a Assembler
		rest := FragmentLimit(kind)
		for rest > 0 {
			n := min(rest, MaxBody)
			rest -= n
			if _, done, err := a.Add(Message{Type: kind, More: true, Body: filled(n, 1)}); err != nil || done {
				t.Fatalf("type %#x: %v with %d bytes to go", kind, err, rest)
			}
		}
		if _, _, err := a.Add(Message{Type: kind, Body: []byte{1}}); !errors.Is(err, ErrSize) {
			t.Errorf("type %#x: a byte beyond the limit is taken", kind)
		}
	}
}

// Spec: protocol §5 (MSG-1).
func TestAssemblerRefuses(t *testing.T) {
	const kind, other = typePiece, typeHSDirPublish
	first := Message{Type: kind, More: true, Stream: 5, Body: []byte("first")}
	cases := []struct {
		name     string
		messages []Message
	}{
		{"a fragment of DATA", []Message{{Type: TypeData, More: true, Stream: 5, Body: []byte("x")}}},
		{"an empty first piece", []Message{{Type: kind, More: true, Stream: 5}}},
		{"an empty middle piece", []Message{first, {Type: kind, More: true, Stream: 5}}},
		{"an empty last piece", []Message{first, {Type: kind, Stream: 5}}},
		{"another stream", []Message{first, {Type: kind, Stream: 6, Body: []byte("x")}}},
		{"another type", []Message{first, {Type: other, Stream: 5, Body: []byte("x")}}},
		{"a second message", []Message{first, {Type: other, More: true, Stream: 5, Body: []byte("x")}}},
		{"a whole message in between", []Message{first, {Type: TypePadding}}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var a Assembler
			for i, m := range c.messages {
				_, done, err := a.Add(m)
				last := i == len(c.messages)-1
				if last && !errors.Is(err, ErrFormat) {
					t.Fatalf("taken: done %v, %v", done, err)
				}
				if !last && (err != nil || done) {
					t.Fatalf("piece %d: done %v, %v", i, done, err)
				}
			}
		})
	}
}

func TestAssembledBodiesAreTheCallers(t *testing.T) {
	buf := []byte("0123")
	var a Assembler
	if _, _, err := a.Add(Message{Type: typePiece, More: true, Body: buf}); err != nil {
		t.Fatal(err)
	}
	copy(buf, "xxxx")
	whole, done, err := a.Add(Message{Type: typePiece, Body: buf})
	if err != nil || !done || string(whole.Body) != "0123xxxx" {
		t.Fatalf("%q: the first piece was kept as a view", whole.Body)
	}
	again, done, err := a.Add(Message{Type: typePiece, Body: []byte("next")})
	if err != nil || !done || string(again.Body) != "next" || string(whole.Body) != "0123xxxx" {
		t.Fatal("the next message touches the last one's body")
	}
}
