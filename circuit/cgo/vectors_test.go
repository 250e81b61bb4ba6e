// SPDX-License-Identifier: BSD-3-Clause

package cgo

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"crypto/sha3"
)

var update = flag.Bool("update", false, "write testdata/vectors/*.txt anew")

// vectorFile collects name = hex lines and compares them with a golden file.
type vectorFile struct {
	text strings.Builder
}

func (v *vectorFile) note(line string) { fmt.Fprintf(&v.text, "# %s\n", line) }

func (v *vectorFile) put(name string, value []byte) {
	fmt.Fprintf(&v.text, "%s = %s\n", name, hex.EncodeToString(value))
}

// check compares line by line, so that a failure names the vector.
func (v *vectorFile) check(t *testing.T, name string) {
	t.Helper()
	path := filepath.Join("testdata", "vectors", name)
	if *update {
		if err := os.WriteFile(path, []byte(v.text.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	golden, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Split(string(golden), "\n")
	got := strings.Split(v.text.String(), "\n")
	for i := range max(len(want), len(got)) {
		if i >= len(want) || i >= len(got) || want[i] != got[i] {
			t.Fatalf("%s: line %d differs", name, i+1)
		}
	}
}

// testBytes is the fixed filler of vectors and tests: n bytes of SHAKE256 over
// "chive cgo test v1" and name.
func testBytes(n int, name string) []byte {
	out := make([]byte, n)
	x := sha3.NewSHAKE256()
	_, _ = x.Write([]byte("chive cgo test v1" + name))
	_, _ = x.Read(out)
	return out
}

func testSeed(name string) *[SeedSize]byte { return (*[SeedSize]byte)(testBytes(SeedSize, name)) }

// testCell has command cmd, a tag to be overwritten, and a payload of name's
// filler.
func testCell(cmd byte, name string) []byte {
	return append([]byte{cmd, 15: 0xff, 16: 0xff}, testBytes(productionPayloadSize, name)...)
}

// TestFunctionVectors fixes the single functions under production parameters.
func TestFunctionVectors(t *testing.T) {
	var v vectorFile
	v.note("Functions of circuit/cgo under production parameters. Spec: protocol §3.")
	v.note("fill(n, s) is SHAKE256(\"chive cgo test v1\" | s)[:n]; keys is fill(144, \"keys\"): KB | KU | K | B | N.")
	v.note("tweak is T' 16 | command 1, the running tag and the command byte.")
	seed := testSeed("keys")
	v.put("keys", seed[:])

	for _, x := range [][]byte{nil, {0}, testBytes(16, "hash 16"), testBytes(2049, "hash 2049")} {
		h := newGHASH(seed[32:64])
		sum := h.sum(x)
		v.put(fmt.Sprintf("uh.%d", len(x)), sum[:])
	}
	v.note("uh.n: UH(KU, x), x of n bytes: empty; one zero byte; fill(n, \"hash n\")")

	l := newLayer(production{}, seed[:])
	l.expand()
	tag := testBytes(16, "prf tag")
	v.put("prf.tag", tag)
	for n, size := range []int{productionPayloadSize, SeedSize} {
		out := make([]byte, size)
		l.keys.xorKeyStream(out, l.counter(tag, byte(n)))
		v.put(fmt.Sprintf("prf.%d", n), out)
	}

	for i, cmd := range []byte{0, 3, 4, 255} {
		name := fmt.Sprintf("uiv.%d", i)
		l := newLayer(production{}, seed[:])
		copy(l.chain[:], testBytes(16, name+" chain"))
		c := append(append([]byte{cmd}, testBytes(16, name+" tag")...), testBytes(productionPayloadSize, name)...)
		v.put(name+".tweak", append(bytes.Clone(l.chain[:]), cmd))
		v.put(name+".in", c[1:])
		l.encrypt(c)
		v.put(name+".out", c[1:])
	}

	for i := range 3 {
		l.update()
		v.put(fmt.Sprintf("update.%d", i+1), l.seed[:])
	}
	v.note("update.n: keys after n times UPDATE")
	v.check(t, "functions.txt")
}

// TestTranscriptVectors fixes a circuit of three hops: cells to and from every
// hop, with all bytes as the client's neighbour sees them and hashes further on.
func TestTranscriptVectors(t *testing.T) {
	var v vectorFile
	v.note("Three hops, production parameters. Spec: protocol §3.")
	v.note("fill(n, s) is SHAKE256(\"chive cgo test v1\" | s)[:n].")
	v.note("Seed of hop h is fill(144, \"hop h forward\") or fill(144, \"hop h backward\"). Payload of cell n is fill(2032, its name).")
	v.note("forward.n: hop, command; tag, as that hop receives it; link.h.hash, SHA3-256 of the cell (2049 bytes) as hop h receives it;")
	v.note("link.0 is that cell whole. The tag of hop h, plain and nonces follow from these.")
	v.note("backward.n: hop, command; tag, as that hop sends it; link.h.hash and link.0 the cell as hop h sends it.")
	circuit := newTestCircuit(3, "")
	digest := func(c []byte) []byte { h := sha3.Sum256(c); return h[:] }

	for n, step := range []struct {
		hop int
		cmd byte
	}{{0, 4}, {1, 4}, {2, 4}, {2, 3}, {0, 3}, {2, 3}, {1, 3}} {
		name := fmt.Sprintf("forward.%d", n)
		v.put(name+".hop", []byte{byte(step.hop)})
		v.put(name+".command", []byte{step.cmd})
		c := testCell(step.cmd, name)
		plain := bytes.Clone(c[headerSize:])
		tag := circuit.up.Seal(c, step.hop)
		v.put(name+".tag", tag[:])
		if n < 3 {
			v.put(name+".link.0", c)
		}
		for h := range step.hop + 1 {
			v.put(fmt.Sprintf("%s.link.%d.hash", name, h), digest(c))
			if h == step.hop && !bytes.Equal(c[1:headerSize], tag[:]) {
				t.Fatalf("%s: the tag Seal told is not the one that arrives", name)
			}
			if circuit.forward[h].Open(c) != (h == step.hop) {
				t.Fatalf("%s: wrong recognition at hop %d", name, h)
			}
		}
		if !bytes.Equal(c[headerSize:], plain) {
			t.Fatalf("%s: payload", name)
		}
	}
	for n, step := range []struct {
		hop int
		cmd byte
	}{{0, 3}, {1, 3}, {2, 3}, {2, 3}, {0, 3}, {2, 3}, {1, 3}} {
		name := fmt.Sprintf("backward.%d", n)
		v.put(name+".hop", []byte{byte(step.hop)})
		v.put(name+".command", []byte{step.cmd})
		c := testCell(step.cmd, name)
		plain := bytes.Clone(c[headerSize:])
		circuit.backward[step.hop].Originate(c)
		v.put(name+".tag", c[1:headerSize])
		tag := [TagSize]byte(c[1:headerSize])
		for h := step.hop; h >= 0; h-- {
			if h < step.hop {
				circuit.backward[h].Pass(c)
			}
			v.put(fmt.Sprintf("%s.link.%d.hash", name, h), digest(c))
		}
		if n < 3 {
			v.put(name+".link.0", c)
		}
		hop, told, ok := circuit.down.Open(c)
		if hop != step.hop || told != tag || !ok || !bytes.Equal(c[headerSize:], plain) {
			t.Fatalf("%s: not opened as sent", name)
		}
	}
	v.check(t, "transcript.txt")
}

// testCircuit is both ends of a circuit.
type testCircuit struct {
	up       ClientForward
	down     ClientBackward
	forward  []*RelayForward
	backward []*RelayBackward
}

// newTestCircuit has the given number of hops and fixed seeds that differ by
// name.
func newTestCircuit(hops int, name string) *testCircuit {
	t := &testCircuit{}
	for i := range hops {
		t.extend(testSeed(fmt.Sprintf("%shop %d forward", name, i)), testSeed(fmt.Sprintf("%shop %d backward", name, i)))
	}
	return t
}

func (t *testCircuit) extend(forward, backward *[SeedSize]byte) {
	t.up.AddHop(forward)
	t.down.AddHop(backward)
	t.forward = append(t.forward, NewRelayForward(forward))
	t.backward = append(t.backward, NewRelayBackward(backward))
}
