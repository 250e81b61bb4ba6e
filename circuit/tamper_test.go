// SPDX-License-Identifier: BSD-3-Clause

package circuit

import (
	"bytes"
	"errors"
	"testing"

	"chive/circuit/cell"
)

// T28: whatever a relay on the way does to a cell, the circuit ends at the next
// cell that crosses it, and no byte of it reaches a stream.

// between is a circuit of three hops with a stream, and one data cell ready to
// cross the middle hop in one direction.
type between struct {
	*path
	c, r *Stream
	up   bool
}

func newBetween(t tester, up bool) *between {
	w := newPath(t, 3, DefaultParams())
	b := &between{path: w, up: up}
	b.c, b.r = w.stream()
	return b
}

// far is the stream's end that is being sent to.
func (b *between) far() *Stream {
	if b.up {
		return b.r
	}
	return b.c
}

func (b *between) send(p string) {
	b.t.Helper()
	s := b.c
	if !b.up {
		s = b.r
	}
	if n, err := s.Put([]byte(p)); n != len(p) || err != nil {
		b.t.Fatalf("%d, %v", n, err)
	}
}

// toMiddle brings every cell that is on its way to the middle hop, which takes
// them off its link.
func (b *between) toMiddle() (cells [][]byte) {
	b.t.Helper()
	link := &b.path.up[1]
	if b.up {
		for b.clientWrites() {
		}
		for len(b.path.up[0]) > 0 {
			if _, err := b.hopReads(0); err != nil {
				b.t.Fatal(err)
			}
		}
	} else {
		link = &b.down[2]
		for b.hopWrites(2) {
		}
	}
	for len(*link) > 0 {
		cells = append(cells, deliver(link))
	}
	return cells
}

// fromMiddle puts cells back onto that link and carries on.
func (b *between) fromMiddle(cells ...[]byte) error {
	for _, c := range cells {
		if b.up {
			b.path.up[1] = append(b.path.up[1], c...)
		} else {
			b.down[2] = append(b.down[2], c...)
		}
	}
	return b.run()
}

func directions(t *testing.T, f func(t *testing.T, up bool)) {
	t.Run("away from the client", func(t *testing.T) { f(t, true) })
	t.Run("towards the client", func(t *testing.T) { f(t, false) })
}

// ends checks that the circuit ended with ErrProtocol and the program got
// exactly want.
func (b *between) ends(what string, err error, want string) {
	b.t.Helper()
	if !errors.Is(err, ErrProtocol) {
		b.t.Fatalf("%s: %v", what, err)
	}
	if got := take(b.t, b.far()); string(got) != want {
		b.t.Fatalf("%s: %q reached the stream, not %q", what, got, want)
	}
}

func TestEveryFlippedByteEndsTheCircuit(t *testing.T) {
	directions(t, func(t *testing.T, up bool) {
		step := 7
		if testing.Short() {
			step = 97
		}
		for at := 0; at < cell.Size; at += step {
			if at > 40 && at%step != 0 {
				continue
			}
			b := newBetween(t, up)
			b.send("secret")
			c := b.toMiddle()
			c[0][at] ^= 1 << (at % 8)
			b.ends("a changed byte", b.fromMiddle(c[0]), "")
		}
		for at := range 1 + cell.TagSize { // command and tag: every byte
			b := newBetween(t, up)
			b.send("secret")
			c := b.toMiddle()
			c[0][at] ^= 0x80
			b.ends("a changed byte of the head", b.fromMiddle(c[0]), "")
		}
	})
}

func TestAnotherCommandEndsTheCircuit(t *testing.T) {
	directions(t, func(t *testing.T, up bool) {
		for cmd := range 256 {
			if cell.Command(cmd) == cell.Relay || cell.Command(cmd) == cell.Padding {
				continue // PADDING drops the cell: see below
			}
			b := newBetween(t, up)
			b.send("secret")
			c := b.toMiddle()
			c[0][0] = byte(cmd)
			b.ends("another command", b.fromMiddle(c[0]), "")
		}
	})
}

func TestADroppedCellEndsTheCircuitAtTheNext(t *testing.T) {
	directions(t, func(t *testing.T, up bool) {
		for name, drop := range map[string]func(c []byte) [][]byte{
			"dropped":          func([]byte) [][]byte { return nil },
			"made PADDING":     func(c []byte) [][]byte { c[0] = byte(cell.Padding); return [][]byte{c} },
			"random instead":   func(c []byte) [][]byte { copy(c[1:], pattern(cell.BodySize, 1)); return [][]byte{c} },
			"zero instead":     func(c []byte) [][]byte { clear(c[1:]); return [][]byte{c} },
			"a second command": func(c []byte) [][]byte { c[0] = byte(cell.RelayEarly); return [][]byte{c} },
		} {
			b := newBetween(t, up)
			b.send("first")
			if err := b.fromMiddle(b.toMiddle()...); err != nil {
				t.Fatal(err)
			}
			b.send("second")
			err := b.fromMiddle(drop(b.toMiddle()[0])...)
			if err == nil {
				b.send("third")
				err = b.fromMiddle(b.toMiddle()...)
			}
			b.ends(name, err, "first")
		}
	})
}

func TestReplayedAndSwappedCellsEndTheCircuit(t *testing.T) {
	directions(t, func(t *testing.T, up bool) {
		t.Run("replayed at once", func(t *testing.T) {
			b := newBetween(t, up)
			b.send("first")
			c := b.toMiddle()
			b.ends("replay", b.fromMiddle(c[0], bytes.Clone(c[0])), "first")
		})
		t.Run("replayed later", func(t *testing.T) {
			b := newBetween(t, up)
			b.send("first")
			c := b.toMiddle()
			old := bytes.Clone(c[0])
			if err := b.fromMiddle(c...); err != nil {
				t.Fatal(err)
			}
			b.send("second")
			if err := b.fromMiddle(b.toMiddle()...); err != nil {
				t.Fatal(err)
			}
			b.ends("replay", b.fromMiddle(old), "firstsecond")
		})
		t.Run("swapped", func(t *testing.T) {
			b := newBetween(t, up)
			b.send("first")
			one := b.toMiddle()
			b.send("second")
			two := b.toMiddle()
			b.ends("swap", b.fromMiddle(two[0], one[0]), "")
		})
		t.Run("of the other direction", func(t *testing.T) {
			b := newBetween(t, up)
			b.send("first")
			c := b.toMiddle()
			b.path.up[1], b.down[2] = nil, nil
			if up {
				b.down[2] = append(b.down[2], c[0]...)
			} else {
				b.path.up[1] = append(b.path.up[1], c[0]...)
			}
			b.ends("reflection", b.run(), "")
		})
		t.Run("of another circuit", func(t *testing.T) {
			other := newBetween(t, up)
			other.send("other")
			b := newBetween(t, up)
			// The same keys, but one cell further on.
			b.send("first")
			if err := b.fromMiddle(b.toMiddle()...); err != nil {
				t.Fatal(err)
			}
			b.ends("a foreign cell", b.fromMiddle(other.toMiddle()...), "first")
		})
	})
}

func TestNothingIsReadAfterAGarbledCell(t *testing.T) {
	directions(t, func(t *testing.T, up bool) {
		b := newBetween(t, up)
		b.send("first")
		bad := b.toMiddle()
		good := bytes.Clone(bad[0])
		bad[0][100] ^= 1
		b.ends("a changed byte", b.fromMiddle(bad[0]), "")
		// An owner that overlooks the error gets nothing out of later cells.
		b.path.up[1], b.path.up[2], b.down[1], b.down[0] = nil, nil, nil, nil
		_ = b.fromMiddle(good)
		b.send("second")
		_ = b.fromMiddle(b.toMiddle()...)
		if n := b.far().Buffered(); n != 0 {
			t.Fatalf("%d bytes after the circuit ended", n)
		}
	})
}
