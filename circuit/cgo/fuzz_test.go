// SPDX-License-Identifier: BSD-3-Clause

package cgo

import (
	"bytes"
	"testing"
)

// FuzzMachines runs a script on a circuit of three hops: two bytes an action.
// The first chooses direction, hop, damage and wire, the second where in the
// cell. A cell arrives with its payload exactly when its direction is not
// damaged on a wire that it crosses and the client has refused no cell.
func FuzzMachines(f *testing.F) {
	f.Add([]byte{0, 0, 1, 0, 2, 0, 4, 0, 5, 0, 6, 0})
	f.Add([]byte{0x02, 0, 0x0a, 17, 0x02, 0, 0x06, 0, 0x0e, 1, 0x06, 0})
	f.Add([]byte{0x12, 0, 0x02, 0, 0x16, 0, 0x06, 0, 0x22, 0, 0x02, 0, 0x26, 0, 0x06, 0})
	f.Add([]byte{0x42, 0, 0x4a, 255, 0x82, 3, 0x8a, 200})
	f.Fuzz(func(t *testing.T, script []byte) {
		const (
			hopMask   = 0x03 // 3 counts as 2
			backward  = 0x04
			flip      = 0x08
			drop      = 0x10
			replay    = 0x20
			wireShift = 6
			steps     = 48
		)
		c := newTestCircuit(3, "fuzz ")
		// Hops from here on are out of step with the client. No hop is at 3.
		inStep := [2]int{3, 3}
		refused := false
		for n := 0; len(script) >= 2 && n < steps; n, script = n+1, script[2:] {
			action, place := script[0], int(script[1])
			hop := min(int(action&hopMask), 2)
			wire := min(int(action>>wireShift), hop) // counted from the client
			cell := testCell(action, string(script[:2]))
			plain := bytes.Clone(cell[headerSize:])
			touch := func() {
				if action&flip != 0 {
					cell[(place*place+place)%len(cell)] ^= 1 << (place % 8)
				}
			}
			if action&backward == 0 {
				c.up.Seal(cell, hop)
				deliver := func() int {
					for h := wire; h < 3; h++ {
						if c.forward[h].Open(cell) {
							return h
						}
					}
					return -1
				}
				for h := range wire {
					if c.forward[h].Open(cell) {
						t.Fatal("recognised before its hop")
					}
				}
				if action&(flip|drop) != 0 {
					inStep[0] = min(inStep[0], wire)
				}
				if action&drop != 0 {
					continue
				}
				touch()
				sent := bytes.Clone(cell)
				if got := deliver(); (got == hop) != (hop < inStep[0]) || (got >= 0 && got != hop) {
					t.Fatalf("in step below %d, cell for hop %d came to %d", inStep[0], hop, got)
				} else if got == hop && !bytes.Equal(cell[headerSize:], plain) {
					t.Fatal("payload")
				}
				if action&replay != 0 {
					inStep[0] = min(inStep[0], wire)
					cell = sent
					if deliver() >= 0 {
						t.Fatal("a replayed cell arrived")
					}
				}
				continue
			}
			c.backward[hop].Originate(cell)
			for h := hop - 1; h >= wire; h-- {
				c.backward[h].Pass(cell)
			}
			deliver := func() (int, bool) {
				for h := wire - 1; h >= 0; h-- {
					c.backward[h].Pass(cell)
				}
				got, _, ok := c.down.Open(cell)
				return got, ok
			}
			if action&(flip|drop) != 0 {
				inStep[1] = min(inStep[1], wire)
			}
			if action&drop != 0 {
				continue
			}
			touch()
			sent := bytes.Clone(cell)
			refused = refused || hop >= inStep[1]
			if got, ok := deliver(); ok == refused || (ok && got != hop) {
				t.Fatalf("in step below %d, refused %v, cell of hop %d came from %d", inStep[1], refused, hop, got)
			} else if ok && !bytes.Equal(cell[headerSize:], plain) {
				t.Fatal("payload")
			}
			if action&replay != 0 {
				refused = true
				cell = sent
				if _, ok := deliver(); ok {
					t.Fatal("a replayed cell arrived")
				}
			}
		}
	})
}
