// SPDX-License-Identifier: BSD-3-Clause

//go:build !purego

package cgo

import (
	"math/bits"
	"reflect"
	"testing"
)

// kernelNames are all implementations in assembly, fastest first.
var kernelNames = []string{"AVX-512", "VAES", "AES-NI"}

// publishedWith makes keys of the published vectors' parameters for i, or nil.
func publishedWith(i implementation) func() expanded {
	if _, ok := i.empty().(*kernel); !ok {
		return nil
	}
	return func() expanded { return &publishedKernel{*i.empty().(*kernel)} }
}

// publishedKernel runs the assembly on AES-128 and POLYVAL, which differ from
// AES-256 and GHASH by the number of rounds, the order of bytes, and what is
// added at the end. Only what makes the keys is not production's.
type publishedKernel struct{ kernel }

func (p *publishedKernel) expand(keys []byte) {
	use := p.level
	p.kernel = kernel{level: use, rounds: 10, startH: block(keys[48:])}
	for i, key := range [][]byte{keys[:16], keys[32:48]} {
		for r, round := range schedule128(key) {
			p.round[r][i] = round
		}
	}
	p.powers[len(p.powers)-1] = block(keys[16:32])
	for i := range p.order {
		p.order[i] = byte(i) // as it comes
	}
	expandPowers(&p.kernel)
}

func (p *publishedKernel) encryptTag(chain *block, c []byte) {
	h := p.polyval(chain, c)
	encryptTag(&p.kernel, (*block)(c[1:]), &h)
}

func (p *publishedKernel) decryptTag(chain *block, c []byte) {
	h := p.polyval(chain, c)
	decryptTag(&p.kernel, (*block)(c[1:]), &h)
}

// polyval leaves GHASH's length block out, so that the last two are the cell's.
func (p *publishedKernel) polyval(chain *block, c []byte) (h block) {
	blocks, short := lastOf(c)
	var last lastBlocks
	copy(last[:TagSize], c[blocks*TagSize:])
	copy(last[TagSize:], short[:TagSize])
	p.hash(&h, chain, c, blocks-1, &last)
	return h
}

// schedule128 is the key expansion of AES-128, FIPS 197 §5.2.
func schedule128(key []byte) (rounds [11]block) {
	var box [256]byte // S-box, over the powers of 3 and of its inverse
	for p, q := byte(1), byte(1); ; {
		p ^= p<<1 ^ byte(int8(p)>>7)&0x1b
		q ^= q << 1
		q ^= q << 2
		q ^= q << 4
		q ^= byte(int8(q)>>7) & 0x09
		box[p] = q ^ bits.RotateLeft8(q, 1) ^ bits.RotateLeft8(q, 2) ^ bits.RotateLeft8(q, 3) ^ bits.RotateLeft8(q, 4) ^ 0x63
		if p == 1 {
			break
		}
	}
	box[0] = 0x63
	rounds[0] = block(key)
	constant := byte(1)
	for r := 1; r < len(rounds); r++ {
		before := &rounds[r-1]
		word := [4]byte{box[before[13]] ^ constant, box[before[14]], box[before[15]], box[before[12]]}
		for i := range before {
			word[i%4] ^= before[i]
			rounds[r][i] = word[i%4]
		}
		constant = constant<<1 ^ byte(int8(constant)>>7)&0x1b
	}
	return rounds
}

// TestWipeClearsExpandedKeys looks at the memory that a machine let go of.
func TestWipeClearsExpandedKeys(t *testing.T) {
	for _, i := range assembly() {
		use(t, i)
		for name, drop := range map[string]func(r *RelayForward){
			"Shrink": (*RelayForward).Shrink,
			"Wipe":   (*RelayForward).Wipe,
		} {
			r := NewRelayForward(testSeed("wipe"))
			r.Open(testCell(3, ""))
			k := r.layer.keys.(*kernel)
			if k.round == [15][2]block{} || k.powers == [10]block{} {
				t.Fatal("no expanded keys")
			}
			drop(r)
			if r.layer.keys != nil || *k != (kernel{level: k.level}) {
				t.Errorf("%s: %s left expanded keys", i.name, name)
			}
		}
	}
}

// TestUpdateLeavesNoOldKey compares the state after UPDATE, made in place, with
// one that was made of the new seed alone.
func TestUpdateLeavesNoOldKey(t *testing.T) {
	for _, i := range assembly() {
		use(t, i)
		l := newLayer(production{}, testSeed("update")[:])
		l.expand()
		place := l.keys
		l.update()
		fresh := newLayer(production{}, l.seed[:])
		fresh.expand()
		if l.keys != place || *l.keys.(*kernel) != *fresh.keys.(*kernel) {
			t.Errorf("%s: expanded keys are not those of the new seed, in place", i.name)
		}
	}
}

// TestKernelIsOneBlock keeps the state what wipe can clear and doc.go says.
func TestKernelIsOneBlock(t *testing.T) {
	const limit = 768
	k := reflect.TypeFor[kernel]()
	if k.Size() > limit {
		t.Errorf("%d bytes", k.Size())
	}
	for i := range k.NumField() {
		field := k.Field(i)
		element := field.Type
		for element.Kind() == reflect.Array {
			element = element.Elem()
		}
		if kind := element.Kind(); kind != reflect.Uint8 && kind != reflect.Int {
			t.Errorf("field %s is not made of bytes or a number", field.Name)
		}
	}
}
