// SPDX-License-Identifier: BSD-3-Clause

package cgo

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"unsafe"
)

// deliverForward seals for hop and runs the cell along the path; it reports
// which hop recognised it, or -1.
func (t *testCircuit) deliverForward(c []byte) int {
	for h, r := range t.forward {
		if r.Open(c) {
			return h
		}
	}
	return -1
}

func TestHopsAreAddedWhileTheCircuitIsInUse(t *testing.T) {
	c := &testCircuit{}
	for n := range 8 {
		name := fmt.Sprint("grow ", n)
		c.extend(testSeed(name+"f"), testSeed(name+"b"))
		for hop := range n + 1 {
			cell := testCell(4, name)
			plain := bytes.Clone(cell[headerSize:])
			c.up.Seal(cell, hop)
			if got := c.deliverForward(cell); got != hop || !bytes.Equal(cell[headerSize:], plain) {
				t.Fatalf("%d hops: cell for hop %d came to %d", n+1, hop, got)
			}
			c.backward[hop].Originate(cell)
			for h := hop - 1; h >= 0; h-- {
				c.backward[h].Pass(cell)
			}
			if got, _, ok := c.down.Open(cell); !ok || got != hop || !bytes.Equal(cell[headerSize:], plain) {
				t.Fatalf("%d hops: cell of hop %d came from %d", n+1, hop, got)
			}
		}
	}
}

func TestUnrecognisedCellHasNoHopAndNoTag(t *testing.T) {
	c := newTestCircuit(3, "")
	hop, tag, ok := c.down.Open(testCell(3, "noise"))
	if hop != -1 || tag != [TagSize]byte{} || ok {
		t.Fatal("noise was opened")
	}
	var empty ClientBackward
	if hop, _, ok := empty.Open(testCell(3, "noise")); hop != -1 || ok {
		t.Fatal("a client without hops opened a cell")
	}
}

func TestShrinkChangesNothingOnTheWire(t *testing.T) {
	plain, shrunk := newTestCircuit(2, ""), newTestCircuit(2, "")
	for n := range 4 {
		for hop := range 2 {
			a, b := testCell(3, fmt.Sprint(n)), testCell(3, fmt.Sprint(n))
			plain.up.Seal(a, hop)
			shrunk.up.Seal(b, hop)
			for _, r := range shrunk.forward {
				r.Shrink()
			}
			if plain.deliverForward(a) != hop || shrunk.deliverForward(b) != hop || !bytes.Equal(a, b) {
				t.Fatal("forward")
			}
			for _, r := range shrunk.backward {
				r.Shrink()
			}
			plain.backward[hop].Originate(a)
			shrunk.backward[hop].Originate(b)
			for h := hop - 1; h >= 0; h-- {
				plain.backward[h].Pass(a)
				shrunk.backward[h].Pass(b)
			}
			if !bytes.Equal(a, b) {
				t.Fatal("backward")
			}
		}
	}
}

func TestCellsAreCounted(t *testing.T) {
	c := newTestCircuit(3, "")
	for n := range uint64(3) {
		cell := testCell(3, "")
		c.up.Seal(cell, 2)
		c.deliverForward(cell)
		c.backward[2].Originate(cell)
		c.backward[1].Pass(cell)
		c.backward[0].Pass(cell)
		c.down.Open(cell)
		for name, got := range map[string]uint64{
			"client forward": c.up.Cells(), "client backward": c.down.Cells(),
			"relay forward": c.forward[1].Cells(), "relay backward": c.backward[1].Cells(),
			"relay forward, own": c.forward[2].Cells(), "relay backward, own": c.backward[2].Cells(),
		} {
			if got != n+1 {
				t.Fatalf("%s: %d cells, want %d", name, got, n+1)
			}
		}
	}
}

func mustPanic(t *testing.T, what string, f func()) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Errorf("no panic: %s", what)
		}
	}()
	f()
}

func TestMisuseIsAPanic(t *testing.T) {
	for _, size := range []int{0, 1, 16, 17, 2048, 2050} {
		c := newTestCircuit(1, "")
		cell := make([]byte, size)
		mustPanic(t, "RelayForward.Open", func() { c.forward[0].Open(cell) })
		mustPanic(t, "RelayBackward.Originate", func() { c.backward[0].Originate(cell) })
		mustPanic(t, "RelayBackward.Pass", func() { c.backward[0].Pass(cell) })
		mustPanic(t, "ClientForward.Seal", func() { c.up.Seal(cell, 0) })
		mustPanic(t, "ClientBackward.Open", func() { c.down.Open(cell) })
	}
	c := newTestCircuit(2, "")
	cell := testCell(3, "")
	mustPanic(t, "hop 2 of 2", func() { c.up.Seal(cell, 2) })
	mustPanic(t, "hop -1", func() { c.up.Seal(cell, -1) })
	mustPanic(t, "short seed", func() { newLayer(production{}, make([]byte, SeedSize-1)) })
}

func TestWipeClearsAndEndsUse(t *testing.T) {
	c := newTestCircuit(2, "")
	cell := testCell(3, "")
	c.up.Seal(cell, 1)
	c.deliverForward(cell)
	layers := []*layer{c.up.hops[0], c.down.hops[1], &c.forward[0].layer, &c.backward[1].layer}
	c.up.Wipe()
	c.down.Wipe()
	for i := range 2 {
		c.forward[i].Wipe()
		c.backward[i].Wipe()
	}
	for i, l := range layers {
		if *l != (layer{}) {
			t.Errorf("layer %d is not empty", i)
		}
	}
	mustPanic(t, "Open", func() { c.forward[0].Open(cell) })
	mustPanic(t, "Originate", func() { c.backward[0].Originate(cell) })
	mustPanic(t, "Pass", func() { c.backward[0].Pass(cell) })
	mustPanic(t, "Seal", func() { c.up.Seal(cell, 0) })
	if _, _, ok := c.down.Open(cell); ok {
		t.Error("a wiped client opened a cell")
	}
}

func TestPrintingShowsNoKey(t *testing.T) {
	c := newTestCircuit(1, "")
	for _, v := range []any{&c.up, c.up, &c.down, c.down, c.forward[0], *c.forward[0], c.backward[0], *c.backward[0]} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
			if out := fmt.Sprintf(verb, v); !strings.HasSuffix(out, "(redacted)") {
				t.Errorf("%T prints under %s", v, verb)
			}
		}
	}
}

// TestForwardingAllocatesOnce covers the moves of a relay that passes cells on
// and of a client's outer layers, at most once with any implementation: the
// standard library's counter mode has a state.
func TestForwardingAllocatesOnce(t *testing.T) {
	c := newTestCircuit(1, "")
	cell := testCell(3, "")
	if n := testing.AllocsPerRun(100, func() { c.forward[0].Open(cell) }); n > 1 {
		t.Errorf("Open: %v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() { c.backward[0].Pass(cell) }); n > 1 {
		t.Errorf("Pass: %v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() { c.down.lost = false; c.down.Open(cell) }); n > 1 {
		t.Errorf("client's Open: %v allocations", n)
	}
}

// heapPerMachine is the live heap that machineCount machines hold, for each.
func heapPerMachine(create func() *RelayForward) uint64 {
	const machineCount = 2000
	machines := make([]*RelayForward, machineCount)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range machines {
		machines[i] = create()
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(machines)
	return (after.HeapAlloc - before.HeapAlloc) / machineCount
}

// TestMemoryOfAMachine holds the figures of the package comment: small while
// idle, below 3 KB in use.
func TestMemoryOfAMachine(t *testing.T) {
	const idleLimit, activeLimit = 320, 3000
	if size := unsafe.Sizeof(RelayForward{}); size > idleLimit {
		t.Errorf("a machine has %d bytes", size)
	}
	seed := testSeed("memory")
	cell := testCell(3, "")
	idle := heapPerMachine(func() *RelayForward { return NewRelayForward(seed) })
	active := heapPerMachine(func() *RelayForward {
		r := NewRelayForward(seed)
		r.Open(cell)
		return r
	})
	shrunk := heapPerMachine(func() *RelayForward {
		r := NewRelayForward(seed)
		r.Open(cell)
		r.Shrink()
		return r
	})
	t.Logf("new %d, in use %d, shrunk %d bytes", idle, active, shrunk)
	if idle > idleLimit || shrunk > idleLimit || active > activeLimit {
		t.Errorf("new %d, in use %d, shrunk %d bytes", idle, active, shrunk)
	}
}
