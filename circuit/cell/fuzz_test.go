// SPDX-License-Identifier: BSD-3-Clause

package cell

import (
	"bytes"
	"testing"
)

// FuzzMessages reads a payload as messages and packs them again: the same bytes
// up to where reading stopped.
func FuzzMessages(f *testing.F) {
	var all []byte
	for _, b := range vectorBodies(f) {
		f.Add(b)
		if len(all)+len(b) <= PayloadSize {
			all = append(all, b...)
		}
	}
	f.Add(all)
	f.Add([]byte{0, 1, 2, 3})
	f.Fuzz(func(t *testing.T, p []byte) {
		if len(p) > PayloadSize {
			p = p[:PayloadSize]
		}
		out, err := unpack(p)
		again := pack(out...)
		if !bytes.HasPrefix(p, again) {
			t.Fatal("packed again, the messages are other bytes")
		}
		rest := p[len(again):]
		if err == nil && len(rest) > 0 && rest[0] != byte(TypeNone) {
			t.Fatal("reading stopped before the end")
		}
		for _, m := range out {
			if m.Type == TypeNone || len(m.Body) > MaxBody {
				t.Fatal("not a message")
			}
		}
	})
}

// FuzzBody decodes a body of the type that the first byte names and encodes it
// again: the same bytes.
func FuzzBody(f *testing.F) {
	for _, b := range vectorBodies(f) {
		f.Add(append([]byte{b[0]}, b[HeaderSize:]...))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) == 0 || len(b) > 2*MaxBody {
			return
		}
		c, ok := codecOf(Type(b[0]))
		if !ok {
			return
		}
		v, err := c.decode(b[1:])
		if err != nil {
			return
		}
		if len(b)-1 > MaxBody {
			t.Fatal("a body larger than a cell is taken")
		}
		again, err := c.encode(nil, v)
		if err != nil {
			t.Fatalf("%s: decoded and not encodable: %v", c.name, err)
		}
		if !bytes.Equal(again, b[1:]) {
			t.Fatalf("%s: encoded again, it is another body", c.name)
		}
	})
}

// FuzzAssembler feeds pieces of any type and stream, a few bytes of input each:
// what comes out is what the pieces of that message hold, within its limit.
func FuzzAssembler(f *testing.F) {
	f.Add([]byte{0x54, 1, 5, 200, 0x54, 0, 5, 200})
	f.Add([]byte{0x12, 1, 5, 10})
	f.Add([]byte{0x46, 1, 0, 255, 0x46, 1, 0, 255, 0x46, 1, 0, 255})
	f.Add([]byte{0x40, 1, 1, 1, 0x06, 0, 0, 0})
	f.Fuzz(func(t *testing.T, script []byte) {
		var a Assembler
		var want []byte
		for len(script) >= 4 && len(script) < 1<<16 {
			m := Message{Type: Type(script[0]), More: script[1]&1 == 1, Stream: uint16(script[2]), Body: filled(int(script[3])*8%(MaxBody+1), script[3])}
			script = script[4:]
			whole, done, err := a.Add(m)
			if err != nil {
				return
			}
			want = append(want, m.Body...)
			if len(a.body) > FragmentLimit(a.kind) {
				t.Fatal("more is held than the limit allows")
			}
			if a.Open() == done {
				t.Fatal("a message is both done and open")
			}
			if !done {
				continue
			}
			if whole.Type != m.Type || whole.Stream != m.Stream || whole.More || !bytes.Equal(whole.Body, want) {
				t.Fatal("another message came out")
			}
			want = nil
		}
	})
}
