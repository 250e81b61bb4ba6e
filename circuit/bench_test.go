// SPDX-License-Identifier: BSD-3-Clause

package circuit

import (
	"testing"

	"chive/circuit/cell"
)

// BenchmarkForward is one relay's work for one cell that it passes on.
func BenchmarkForward(b *testing.B) {
	for _, run := range []struct {
		name string
		one  func(w *path, c []byte)
	}{
		{"away", passAway}, {"towards", passTowards},
	} {
		b.Run(run.name, func(b *testing.B) {
			w := newPath(b, 2, DefaultParams())
			c := relayCell()
			b.SetBytes(cell.Size)
			b.ReportAllocs()
			for range b.N {
				run.one(w, c)
			}
		})
	}
}

func passAway(w *path, c []byte) {
	if pass, err := w.hops[0].Forward(w.now, c); !pass || err != nil {
		w.t.Fatalf("%v, %v", pass, err)
	}
}

func passTowards(w *path, c []byte) {
	h := w.hops[0]
	if err := h.Backward(c); err != nil {
		w.t.Fatal(err)
	}
	h.Recycle(w.now, h.Take(w.now))
}

func TestPassingACellAllocatesOnceAtMost(t *testing.T) {
	w := newPath(t, 2, DefaultParams())
	c := relayCell()
	for name, one := range map[string]func(*path, []byte){"away": passAway, "towards": passTowards} {
		if n := testing.AllocsPerRun(200, func() { one(w, c) }); n > 1 {
			t.Errorf("%s: %v allocations a cell", name, n)
		}
	}
}

func TestAnIdleCircuitHoldsNoBuffers(t *testing.T) {
	w := newPath(t, 3, DefaultParams())
	c, r := w.stream()
	w.put(c, r, pattern(200000, 1))
	w.put(r, c, pattern(200000, 2))
	for _, err := range []error{c.CloseSend(), r.CloseSend()} {
		if err != nil {
			t.Fatal(err)
		}
	}
	w.gone(c, r)
	for i, e := range []*End{&w.o.End, &w.hops[0].End, &w.hops[1].End, &w.hops[2].End} {
		if e.out.first != nil || e.out.last != nil || e.blocked != nil || e.events != nil || e.Held() != 0 {
			t.Errorf("end %d holds something", i)
		}
	}
}
