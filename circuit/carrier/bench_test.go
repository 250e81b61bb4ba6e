// SPDX-License-Identifier: BSD-3-Clause

package carrier

import (
	"io"
	"testing"

	"chive/circuit"
	"chive/circuit/cell"
)

// nowhere takes cells and forgets them.
type nowhere struct{}

func (nowhere) WriteCells([]byte) error { return nil }

func TestPassingAllocatesOnceACellAtMost(t *testing.T) {
	_, hops := newMachines(t, 3, circuit.DefaultParams())
	c := New(&hops[0].End, nowhere{})
	const n = 8
	cells := relayCells(n)
	put := hops[0].Backward
	allocs := testing.AllocsPerRun(100, func() {
		if err := c.Pass(cells, put); err != nil {
			t.Fatal(err)
		}
	})
	if allocs > n {
		t.Errorf("%v allocations for %d cells", allocs, n)
	}
}

func BenchmarkForward(b *testing.B) {
	_, hops := newMachines(b, 3, circuit.DefaultParams())
	c := New(&hops[0].End, nowhere{})
	const n = 8
	cells := relayCells(n)
	put := hops[0].Backward
	b.SetBytes(n * cell.Size)
	b.ReportAllocs()
	for range b.N {
		if err := c.Pass(cells, put); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPath is a download through a client and three relays with their
// carriers and goroutines, over wires in memory.
func BenchmarkPath(b *testing.B) {
	w := newPath(b, 3, circuit.DefaultParams())
	c, r := w.open()
	const piece = 256 << 10
	go func() {
		data := make([]byte, piece)
		for range b.N {
			if _, err := r.Write(data); err != nil {
				b.Error(err)
			}
		}
		_ = r.CloseWrite()
	}()
	b.SetBytes(piece)
	b.ReportAllocs()
	if n, err := io.Copy(io.Discard, c); n != int64(b.N)*piece || err != nil {
		b.Fatalf("%d bytes: %v", n, err)
	}
	b.StopTimer()
	w.close()
}
