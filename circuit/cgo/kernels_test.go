// SPDX-License-Identifier: BSD-3-Clause

package cgo

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
)

// use makes every machine of the test compute with one implementation.
func use(t testing.TB, i implementation) {
	before, beforePublished := selected, publishedKeys
	selected = i
	if keys := publishedWith(i); keys != nil {
		publishedKeys = keys
	}
	t.Cleanup(func() { selected, publishedKeys = before, beforePublished })
}

// implementations are all that this processor can run, the reference last.
func implementations() []implementation { return append(assembly(), standard) }

// forEach runs a test with every implementation, and skips in plain sight those
// that this processor cannot run.
func forEach(t *testing.T, run func(t *testing.T)) {
	list := implementations()
	for _, name := range append(slices.Clone(kernelNames), standard.name) {
		t.Run(name, func(t *testing.T) {
			n := slices.IndexFunc(list, func(i implementation) bool { return i.name == name })
			if n < 0 {
				t.Skipf("NOT TESTED: this processor has no %s", name)
			}
			use(t, list[n])
			run(t)
		})
	}
}

// TestEveryImplementation runs the tests of the construction with each.
func TestEveryImplementation(t *testing.T) {
	forEach(t, func(t *testing.T) {
		t.Run("function vectors", TestFunctionVectors)
		t.Run("transcript vectors", TestTranscriptVectors)
		t.Run("published vectors", TestPublishedVectors)
		t.Run("reference", TestMachinesAgreeWithReference)
		t.Run("flip", TestFlipOfAnyByteGarblesTheRest)
		t.Run("drop, replay, reorder, insert", TestDropReplayReorderInsertGarbleTheRest)
		t.Run("command", TestCommandIsPartOfTheCell)
		t.Run("directions", TestDirectionsAreIndependent)
		t.Run("growth", TestHopsAreAddedWhileTheCircuitIsInUse)
		t.Run("noise", TestUnrecognisedCellHasNoHopAndNoTag)
		t.Run("shrink", TestShrinkChangesNothingOnTheWire)
		t.Run("misuse", TestMisuseIsAPanic)
		t.Run("wipe", TestWipeClearsAndEndsUse)
		t.Run("allocations", TestForwardingAllocatesOnce)
		t.Run("memory", TestMemoryOfAMachine)
	})
}

// TestProductionUsesTheFastest fails where a processor's abilities are ignored.
func TestProductionUsesTheFastest(t *testing.T) {
	t.Logf("production computes with %s", selected.name)
	if selected.name != implementations()[0].name {
		t.Error("not the fastest")
	}
}

// pair is two implementations under the same keys, the reference second.
type pair struct{ got, want expanded }

// pairs makes each implementation a pair with a reference of its own.
func pairs(keys []byte) map[string]pair {
	m := make(map[string]pair)
	for _, i := range assembly() {
		p := pair{i.empty(), standard.empty()}
		p.got.expand(keys)
		p.want.expand(keys)
		m[i.name] = p
	}
	return m
}

// tags compares what becomes of a cell's tag in both directions, and that no
// other byte of the cell changes.
func (p pair) tags(t *testing.T, name string, chain block, c []byte) {
	t.Helper()
	for direction, move := range map[string]func(e expanded, c []byte){
		"encryptTag": func(e expanded, c []byte) { e.encryptTag(&chain, c) },
		"decryptTag": func(e expanded, c []byte) { e.decryptTag(&chain, c) },
	} {
		got, want := bytes.Clone(c), bytes.Clone(c)
		move(p.got, got)
		move(p.want, want)
		if !bytes.Equal(got, want) {
			t.Fatalf("%s: %s, payload of %d bytes", name, direction, len(c)-headerSize)
		}
	}
	if p.got.start(chain[:]) != p.want.start(chain[:]) {
		t.Fatalf("%s: start", name)
	}
}

// TestHashOfEveryLength compares with crypto/cipher's GCM for every length of
// the payload from the smallest to past production's.
func TestHashOfEveryLength(t *testing.T) {
	for name, p := range pairs(testBytes(128, "hash keys")) {
		for n := smallestPayload; n <= productionPayloadSize+2*TagSize; n++ {
			p.tags(t, name, block(testBytes(TagSize, "hash chain")), testBytes(headerSize+n, "hash cell"))
		}
	}
}

// TestHashOfExtremes covers keys and inputs of equal bytes, at which a wrong
// step of the reduction would show.
func TestHashOfExtremes(t *testing.T) {
	for _, key := range []byte{0, 0xff, 0x80, 1} {
		for name, p := range pairs(bytes.Repeat([]byte{key}, 128)) {
			for _, fill := range []byte{0, 0xff, 0x80, 1} {
				c := bytes.Repeat([]byte{fill}, headerSize+productionPayloadSize)
				p.tags(t, name, block(c), c)
			}
		}
	}
}

// TestHashOfSingleBits has one bit at every place of the input, which is a
// power of H alone, and one at every place of a block.
func TestHashOfSingleBits(t *testing.T) {
	for name, p := range pairs(testBytes(128, "bit keys")) {
		for n := range headerSize + productionPayloadSize {
			c := make([]byte, headerSize+productionPayloadSize)
			c[n] = 1 << (n / TagSize % 8)
			p.tags(t, name, block{}, c)
		}
		for n := range 8 * TagSize {
			var chain block
			chain[n/8] = 1 << (n % 8)
			p.tags(t, name, chain, make([]byte, headerSize+productionPayloadSize))
		}
	}
}

func TestRandomKeys(t *testing.T) {
	random := rand.NewChaCha8([32]byte{1})
	var keys [128]byte
	var chain block
	c := make([]byte, headerSize+smallestPayload)
	for range 1000 {
		for _, b := range [][]byte{keys[:], chain[:], c} {
			_, _ = random.Read(b)
		}
		for name, p := range pairs(keys[:]) {
			p.tags(t, name, chain, c)
			p.streams(t, name, counter{uint64(c[0]), uint64(c[1])}, 48)
		}
	}
}

// streams compares a key stream and what is beside it.
func (p pair) streams(t *testing.T, name string, first counter, size int) {
	t.Helper()
	const margin = 80
	all := testBytes(margin+size+margin, "stream")
	want := bytes.Clone(all)
	p.got.xorKeyStream(all[margin:margin+size], first)
	p.want.xorKeyStream(want[margin:margin+size], first)
	if !bytes.Equal(all, want) {
		t.Fatalf("%s: %d bytes from counter %x", name, size, first)
	}
}

// TestCounterCarries starts key streams shortly before the overflow of every
// byte of the counter, of its low half and of the whole.
func TestCounterCarries(t *testing.T) {
	random := testBytes(TagSize, "counter")
	for name, p := range pairs(testBytes(128, "carry keys")) {
		for ones := range TagSize + 1 {
			b := block(random)
			for i := TagSize - ones; i < TagSize; i++ {
				b[i] = 0xff
			}
			low := binary.BigEndian.Uint64(b[8:])
			for _, before := range []uint64{0, 1, 2, 3, 7, 8, 15, 16, 17, 31, 32, 33, 96, 126, 127, 128} {
				if before > low {
					continue
				}
				first := counter{binary.BigEndian.Uint64(b[:]), low - before}
				for _, size := range []int{16, 144, 256, 512, 2032, 2048, 2049, 4099} {
					p.streams(t, name, first, size)
				}
			}
		}
	}
}

func TestStreamOfEveryLength(t *testing.T) {
	for name, p := range pairs(testBytes(128, "length keys")) {
		for size := range 2100 {
			p.streams(t, name, counter{1 << 60, 1 << 50}, size)
		}
	}
}

// TestSteadyStateDoesNotAllocate covers whole trips: sealed or originated,
// passed on, recognised, and every layer's UPDATE.
func TestSteadyStateDoesNotAllocate(t *testing.T) {
	if len(assembly()) == 0 {
		t.Skip("NOT TESTED: no assembly for this processor")
	}
	for _, i := range assembly() {
		t.Run(i.name, func(t *testing.T) {
			use(t, i)
			const last = 2
			c := newTestCircuit(last+1, "")
			cell := testCell(3, "")
			for name, trip := range map[string]func(){
				"relay's Open":  func() { c.forward[0].Open(cell) },
				"Pass":          func() { c.backward[0].Pass(cell) },
				"Originate":     func() { c.backward[1].Originate(cell) },
				"Seal":          func() { c.up.Seal(cell, last) },
				"client's Open": func() { c.down.lost = false; c.down.Open(cell) },
			} {
				if n := testing.AllocsPerRun(50, trip); n != 0 {
					t.Errorf("%s: %v allocations", name, n)
				}
			}
			c = newTestCircuit(last+1, "")
			if n := testing.AllocsPerRun(50, func() {
				c.up.Seal(cell, last)
				if c.deliverForward(cell) != last {
					t.Fatal("not recognised")
				}
				c.backward[last].Originate(cell)
				c.backward[1].Pass(cell)
				c.backward[0].Pass(cell)
				if _, _, ok := c.down.Open(cell); !ok {
					t.Fatal("not opened")
				}
			}); n != 0 {
				t.Errorf("there and back: %v allocations", n)
			}
		})
	}
}

// using is production's parameters with one implementation.
type using struct {
	production
	implementation
}

func (u using) newKeys() expanded { return u.empty() }

// FuzzKernels runs a script of moves on layers that differ by implementation
// only and compares all that a layer holds, and then single functions with
// lengths and counters that production does not have.
func FuzzKernels(f *testing.F) {
	f.Add([]byte("seed"), []byte("cell"), []byte{0, 1, 2, 3, 4, 5, 2, 0}, uint64(1), uint64(2), uint16(2032))
	f.Add([]byte{0xff}, []byte{0xff}, []byte{2, 2, 0, 1, 0, 1, 3, 0}, ^uint64(0), ^uint64(3), uint16(777))
	f.Add([]byte{}, []byte{}, []byte{}, uint64(0), ^uint64(100), uint16(0))
	f.Fuzz(func(t *testing.T, seed, filler, script []byte, high, low uint64, length uint16) {
		// Short inputs are repeated, so that the fuzzer reaches every byte.
		stretch := func(b []byte, n int) []byte {
			if len(b) == 0 {
				return make([]byte, n)
			}
			return bytes.Repeat(b, n/len(b)+1)[:n]
		}
		keys := stretch(seed, SeedSize)
		list := implementations()
		layers := make([]layer, len(list))
		cells := make([][]byte, len(list))
		for i := range list {
			layers[i] = newLayer(using{implementation: list[i]}, keys)
			cells[i] = stretch(filler, headerSize+productionPayloadSize)
		}
		reference := len(list) - 1
		for n, action := range script[:min(len(script), 24)] {
			for i := range list {
				l, c := &layers[i], cells[i]
				switch action % 8 {
				case 0, 1:
					l.encrypt(c)
				case 2, 3:
					l.decrypt(c)
				case 4:
					l.update()
				case 5:
					l.shrink()
				case 6:
					l.address(c)
				case 7:
					copy(l.nonce(), c[1:headerSize])
				}
				c[int(action)*8] ^= action
			}
			want := &layers[reference]
			for i := range list {
				got := &layers[i]
				if !bytes.Equal(cells[i], cells[reference]) || got.seed != want.seed || got.chain != want.chain || got.cells != want.cells {
					t.Fatalf("%s: step %d, action %d", list[i].name, n, action%8)
				}
			}
		}
		for name, p := range pairs(keys[:SeedSize-TagSize]) {
			size := int(length) % 4200
			p.streams(t, name, counter{high, low}, size)
			p.tags(t, name, block(stretch(script, TagSize)), stretch(filler, headerSize+max(size, smallestPayload)))
		}
	})
}
