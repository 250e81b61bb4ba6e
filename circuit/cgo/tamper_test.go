// SPDX-License-Identifier: BSD-3-Clause

package cgo

import (
	"bytes"
	"fmt"
	"testing"
)

// flow is one direction between the client and the third hop of a fresh
// circuit. Its wires are counted from the sender: wire 0 is the sender's own.
type flow struct {
	name string
	send func(c *testCircuit, cell []byte)
	move func(c *testCircuit, cell []byte, hop int) // a relay that passes it on
	path []int                                      // these relays, in order
	read func(c *testCircuit, cell []byte) bool     // at the receiver
}

func flows() []flow {
	return []flow{
		{
			name: "forward",
			send: func(c *testCircuit, cell []byte) { c.up.Seal(cell, 2) },
			move: func(c *testCircuit, cell []byte, hop int) {
				if c.forward[hop].Open(cell) {
					panic("recognised on the way")
				}
			},
			path: []int{0, 1},
			read: func(c *testCircuit, cell []byte) bool { return c.forward[2].Open(cell) },
		},
		{
			name: "backward",
			send: func(c *testCircuit, cell []byte) { c.backward[2].Originate(cell) },
			move: func(c *testCircuit, cell []byte, hop int) { c.backward[hop].Pass(cell) },
			path: []int{1, 0},
			read: func(c *testCircuit, cell []byte) bool { _, _, ok := c.down.Open(cell); return ok },
		},
	}
}

// toWire sends a cell as far as wire at, counted from the sender.
func (f flow) toWire(c *testCircuit, cell []byte, at int) {
	f.send(c, cell)
	for _, hop := range f.path[:at] {
		f.move(c, cell, hop)
	}
}

// fromWire takes it from there and reports what the receiver says.
func (f flow) fromWire(c *testCircuit, cell []byte, at int) bool {
	for _, hop := range f.path[at:] {
		f.move(c, cell, hop)
	}
	return f.read(c, cell)
}

// garbled reports that got is noise beside want: bytes of two independent
// strings agree once in 256.
func garbled(got, want []byte) bool {
	equal := 0
	for i := range got {
		if got[i] == want[i] {
			equal++
		}
	}
	return equal < len(got)/32
}

// mustGarble lets two more cells follow in order and expects neither to arrive.
func (f flow) mustGarble(t *testing.T, c *testCircuit, at int, what string, later []byte) {
	t.Helper()
	for i := range 2 {
		cell := bytes.Clone(later)
		plain := later[headerSize:]
		f.toWire(c, cell, at)
		if f.fromWire(c, cell, at) || !garbled(cell[headerSize:], plain) {
			t.Fatalf("%s, wire %d, %s: cell %d afterwards arrived", f.name, at, what, i+1)
		}
	}
}

// TestFlipOfAnyByteGarblesTheRest flips one bit of every byte of a cell on
// every wire, each on a fresh circuit.
func TestFlipOfAnyByteGarblesTheRest(t *testing.T) {
	template := testCell(3, "flip")
	plain := template[headerSize:]
	var up, down [3]*[SeedSize]byte
	for i := range up {
		up[i], down[i] = testSeed(fmt.Sprint("up ", i)), testSeed(fmt.Sprint("down ", i))
	}
	for _, f := range flows() {
		for at := range 3 {
			for i := range headerSize + productionPayloadSize {
				c := &testCircuit{}
				for h := range up {
					c.extend(up[h], down[h])
				}
				cell := bytes.Clone(template)
				f.toWire(c, cell, at)
				if !f.fromWire(c, cell, at) || !bytes.Equal(cell[headerSize:], plain) {
					t.Fatal("an untouched cell did not arrive")
				}
				copy(cell, template)
				f.toWire(c, cell, at)
				cell[i] ^= 1 << (i % 8)
				if f.fromWire(c, cell, at) || !garbled(cell[headerSize:], plain) {
					t.Fatalf("%s, wire %d: cell with byte %d changed arrived", f.name, at, i)
				}
				f.mustGarble(t, c, at, fmt.Sprint("flip at ", i), template)
			}
		}
	}
}

// TestDropReplayReorderInsertGarbleTheRest does to whole cells what the flip
// test does to bytes.
func TestDropReplayReorderInsertGarbleTheRest(t *testing.T) {
	// Cells 0, 1, 2 are sent in this order; cell 3 is made up.
	type arrival struct {
		cell int
		ok   bool
	}
	for _, test := range []struct {
		name string
		wire []arrival
	}{
		{"untouched", []arrival{{0, true}, {1, true}, {2, true}}},
		{"drop", []arrival{{0, true}, {2, false}}},
		{"drop of the first", []arrival{{1, false}, {2, false}}},
		{"replay", []arrival{{0, true}, {0, false}, {1, false}, {2, false}}},
		{"late replay", []arrival{{0, true}, {1, true}, {0, false}, {2, false}}},
		{"insert", []arrival{{0, true}, {3, false}, {1, false}, {2, false}}},
		{"reorder", []arrival{{1, false}, {0, false}, {2, false}}},
		{"reorder later", []arrival{{0, true}, {2, false}, {1, false}}},
	} {
		for _, f := range flows() {
			for at := range 3 {
				c := newTestCircuit(3, "")
				var cells, plain [4][]byte
				for i := range cells {
					cells[i] = testCell(3, fmt.Sprint("cell ", i))
					plain[i] = bytes.Clone(cells[i][headerSize:])
					if i < 3 {
						f.toWire(c, cells[i], at)
					}
				}
				intact := true
				for n, a := range test.wire {
					cell := bytes.Clone(cells[a.cell])
					if ok := f.fromWire(c, cell, at); ok != a.ok {
						t.Fatalf("%s, %s, wire %d: arrival %d is %v", test.name, f.name, at, n, ok)
					}
					if same := bytes.Equal(cell[headerSize:], plain[a.cell]); same != a.ok {
						t.Fatalf("%s, %s, wire %d: payload of arrival %d", test.name, f.name, at, n)
					}
					intact = intact && a.ok
				}
				if !intact {
					f.mustGarble(t, c, at, test.name, testCell(3, "later"))
				}
			}
		}
	}
}

// TestCommandIsPartOfTheCell proves that RELAY and RELAY_EARLY cannot be
// swapped on the way.
func TestCommandIsPartOfTheCell(t *testing.T) {
	for _, f := range flows() {
		c := newTestCircuit(3, "")
		cell := testCell(3, "")
		f.toWire(c, cell, 1)
		cell[0] = 4
		if f.fromWire(c, cell, 1) {
			t.Fatalf("%s: a cell with another command arrived", f.name)
		}
	}
}

// TestDirectionsAreIndependent proves that noise in one direction leaves the
// other one alone.
func TestDirectionsAreIndependent(t *testing.T) {
	both := flows()
	for i, f := range both {
		c := newTestCircuit(3, "")
		cell := testCell(3, "")
		f.toWire(c, cell, 1)
		cell[100] ^= 1
		f.fromWire(c, cell, 1)
		other := both[1-i]
		cell = testCell(3, "")
		other.toWire(c, cell, 1)
		if !other.fromWire(c, cell, 1) {
			t.Fatalf("%s was garbled through %s", other.name, f.name)
		}
	}
}
