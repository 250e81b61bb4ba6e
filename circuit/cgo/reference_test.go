// SPDX-License-Identifier: BSD-3-Clause

package cgo

import (
	"bytes"
	"crypto/aes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
)

// model is the construction written down a second time from protocol §3,
// slowly and without this package's code: GHASH bit by bit, CTR block by block.
type model struct {
	keys, nonce, chain []byte
}

func newModel(seed *[SeedSize]byte) *model {
	return &model{bytes.Clone(seed[:128]), bytes.Clone(seed[128:]), make([]byte, 16)}
}

func modelAES(key, block []byte, decrypt bool) []byte {
	b, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	out := make([]byte, 16)
	if decrypt {
		b.Decrypt(out, block)
	} else {
		b.Encrypt(out, block)
	}
	return out
}

func xor(a, b []byte) []byte {
	out := make([]byte, len(a))
	for i := range a {
		out[i] = a[i] ^ b[i]
	}
	return out
}

// modelHash is GHASH (NIST SP 800-38D §6.4) of x and its length, xor
// AES(0^12 | 0^3 1).
func modelHash(key, x []byte) []byte {
	h := modelAES(key, make([]byte, 16), false)
	h0, h1 := binary.BigEndian.Uint64(h), binary.BigEndian.Uint64(h[8:])
	blocks := append(bytes.Clone(x), make([]byte, (16-len(x)%16)%16)...)
	blocks = binary.BigEndian.AppendUint64(blocks, uint64(len(x))*8)
	blocks = binary.BigEndian.AppendUint64(blocks, 0)
	var s0, s1 uint64
	for ; len(blocks) > 0; blocks = blocks[16:] {
		x0 := s0 ^ binary.BigEndian.Uint64(blocks)
		x1 := s1 ^ binary.BigEndian.Uint64(blocks[8:])
		v0, v1 := h0, h1
		s0, s1 = 0, 0
		for i := range 128 {
			bit := x0 >> (63 - i%64) & 1
			if i >= 64 {
				bit = x1 >> (63 - i%64) & 1
			}
			s0 ^= v0 * bit
			s1 ^= v1 * bit
			odd := v1 & 1
			v0, v1 = v0>>1^odd*0xe1<<56, v1>>1|v0<<63
		}
	}
	out := binary.BigEndian.AppendUint64(nil, s0)
	out = binary.BigEndian.AppendUint64(out, s1)
	return xor(out, modelAES(key, append(make([]byte, 15), 1), false))
}

func (m *model) prf(tag []byte, t byte, size int) []byte {
	counter := modelHash(m.keys[96:128], tag)
	counter[15] = 127 * t
	var out []byte
	for len(out) < size {
		out = append(out, modelAES(m.keys[64:96], counter, false)...)
		counter[15]++
	}
	return out[:size]
}

func (m *model) tweak(cmd byte, payload []byte) []byte {
	return modelHash(m.keys[32:64], append(append(bytes.Clone(m.chain), cmd), payload...))
}

func (m *model) encrypt(c []byte) []byte {
	h := m.tweak(c[0], c[17:])
	tag := xor(h, modelAES(m.keys[:32], xor(c[1:17], h), false))
	return append(append([]byte{c[0]}, tag...), xor(c[17:], m.prf(tag, 0, 2032))...)
}

func (m *model) decrypt(c []byte) []byte {
	payload := xor(c[17:], m.prf(c[1:17], 0, 2032))
	h := m.tweak(c[0], payload)
	tag := xor(h, modelAES(m.keys[:32], xor(c[1:17], h), true))
	return append(append([]byte{c[0]}, tag...), payload...)
}

func (m *model) update() {
	next := m.prf(m.nonce, 1, 144)
	m.keys, m.nonce = next[:128], next[128:]
}

// setTag returns c with another tag.
func setTag(c, tag []byte) []byte {
	return append(append([]byte{c[0]}, tag...), c[17:]...)
}

// TestMachinesAgreeWithReference runs a fixed random script on the machines
// and on the model of each hop and compares every byte at every hop.
func TestMachinesAgreeWithReference(t *testing.T) {
	const hopCount, steps = 3, 30
	random := rand.New(rand.NewPCG(1, 2))
	circuit := newTestCircuit(hopCount, "reference ")
	var forward, backward []*model // one each serves both ends
	for i := range hopCount {
		forward = append(forward, newModel(testSeed(fmt.Sprintf("reference hop %d forward", i))))
		backward = append(backward, newModel(testSeed(fmt.Sprintf("reference hop %d backward", i))))
	}
	for n := range steps {
		target := random.IntN(hopCount)
		c := testCell(byte(random.UintN(256)), fmt.Sprint("reference ", n))
		if random.IntN(2) == 0 {
			want := setTag(c, forward[target].nonce)
			wires := make([][]byte, target+1)
			for h := target; h >= 0; h-- {
				chain := want[1:17]
				want = forward[h].decrypt(want)
				forward[h].chain = chain
				wires[h] = want
			}
			forward[target].update()
			circuit.up.Seal(c, target)
			for h := range target + 1 {
				if !bytes.Equal(c, wires[h]) {
					t.Fatalf("step %d: forward cell before hop %d", n, h)
				}
				if circuit.forward[h].Open(c) != (h == target) {
					t.Fatalf("step %d: recognition at hop %d", n, h)
				}
			}
			continue
		}
		want := backward[target].encrypt(setTag(c, backward[target].nonce))
		backward[target].chain, backward[target].nonce = want[1:17], want[1:17]
		backward[target].update()
		circuit.backward[target].Originate(c)
		for h := target; ; h-- {
			if !bytes.Equal(c, want) {
				t.Fatalf("step %d: backward cell behind hop %d", n, h)
			}
			if h == 0 {
				break
			}
			want = backward[h-1].encrypt(want)
			backward[h-1].chain = want[1:17]
			circuit.backward[h-1].Pass(c)
		}
		if hop, _, ok := circuit.down.Open(c); !ok || hop != target {
			t.Fatalf("step %d: not opened", n)
		}
	}
}
