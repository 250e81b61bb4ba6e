// SPDX-License-Identifier: BSD-3-Clause

package cgo

import "testing"

// BenchmarkLayer measures each move on one cell of 2049 bytes. Seal and the
// client's Open work on three layers.
func BenchmarkLayer(b *testing.B) { benchmarkMoves(b) }

// BenchmarkImplementation is BenchmarkLayer with each implementation.
func BenchmarkImplementation(b *testing.B) {
	for _, i := range implementations() {
		b.Run(i.name, func(b *testing.B) {
			use(b, i)
			benchmarkMoves(b)
		})
	}
}

func benchmarkMoves(b *testing.B) {
	const last = 2
	run := func(name string, move func(c *testCircuit, cell []byte)) {
		b.Run(name, func(b *testing.B) {
			c := newTestCircuit(last+1, "")
			cell := testCell(3, "")
			b.SetBytes(int64(len(cell)))
			b.ReportAllocs()
			for b.Loop() {
				move(c, cell)
			}
		})
	}
	run("RelayOpen", func(c *testCircuit, cell []byte) { c.forward[0].Open(cell) })
	run("RelayPass", func(c *testCircuit, cell []byte) { c.backward[0].Pass(cell) })
	run("RelayOriginate", func(c *testCircuit, cell []byte) { c.backward[last].Originate(cell) })
	run("RelayExpand", func(c *testCircuit, _ []byte) { c.backward[0].Shrink(); c.backward[0].layer.expand() })
	run("ClientSeal3", func(c *testCircuit, cell []byte) { c.up.Seal(cell, last) })
	// Not recognised, with the refusal taken back.
	run("ClientOpen3Noise", func(c *testCircuit, cell []byte) { c.down.lost = false; c.down.Open(cell) })
	// Both ends, because the one opens only what the other has made.
	run("ForwardRecognised3", func(c *testCircuit, cell []byte) {
		c.up.Seal(cell, last)
		if c.deliverForward(cell) != last {
			b.Fatal("not recognised")
		}
	})
	run("BackwardRecognised3", func(c *testCircuit, cell []byte) {
		c.backward[last].Originate(cell)
		c.backward[1].Pass(cell)
		c.backward[0].Pass(cell)
		if _, _, ok := c.down.Open(cell); !ok {
			b.Fatal("not opened")
		}
	})
}
