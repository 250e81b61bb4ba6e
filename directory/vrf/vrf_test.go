// SPDX-License-Identifier: BSD-3-Clause

package vrf

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"testing"

	"filippo.io/edwards25519"

	"chive/directory/record"
)

// The published examples, intermediate values included (COM-1).
func TestPublishedExamples(t *testing.T) {
	vs := vectors(t, "rfc9381.txt")
	for _, name := range []string{"example16", "example17", "example18"} {
		v := func(field string) []byte {
			b, ok := vs[name+"_"+field]
			if !ok {
				t.Fatalf("%s has no %s", name, field)
			}
			return b
		}
		seed := [SeedSize]byte(v("sk"))
		k := NewSecretKey(&seed)
		if pk := k.Public(); !bytes.Equal(pk[:], v("pk")) {
			t.Errorf("%s: public key %x", name, pk)
		}
		h, err := encodeToCurve(k.Public(), v("alpha"))
		if err != nil || !bytes.Equal(h.Bytes(), v("h")) {
			t.Fatalf("%s: alpha on the curve is another point (%v)", name, err)
		}
		n := k.nonce(h)
		if !bytes.Equal(n.Bytes(), v("k")) {
			t.Errorf("%s: nonce %x", name, n.Bytes())
		}
		if u := new(edwards25519.Point).ScalarBaseMult(n); !bytes.Equal(u.Bytes(), v("u")) {
			t.Errorf("%s: U %x", name, u.Bytes())
		}
		if w := new(edwards25519.Point).ScalarMult(n, h); !bytes.Equal(w.Bytes(), v("v")) {
			t.Errorf("%s: V %x", name, w.Bytes())
		}
		proof := k.Prove(v("alpha"))
		if !bytes.Equal(proof[:], v("pi")) {
			t.Errorf("%s: proof %x", name, proof)
		}
		out, err := Verify(k.Public(), v("alpha"), proof)
		if err != nil || !bytes.Equal(out[:], v("beta")) {
			t.Errorf("%s: output %x (%v)", name, out, err)
		}
		again, err := ProofToHash(proof)
		if err != nil || again != out {
			t.Errorf("%s: the proof alone gives %x (%v)", name, again, err)
		}
	}
}

// Own vectors: more tries, longer inputs, the fraction.
func TestVectors(t *testing.T) {
	var lines [][2]string
	for n, size := range []int{1, 31, 32, 64, 200, 1000} {
		k := testKey(byte(n))
		alpha := bytes.Repeat([]byte{byte(0xa0 + n)}, size)
		proof := k.Prove(alpha)
		out, err := Verify(k.Public(), alpha, proof)
		if err != nil {
			t.Fatal(err)
		}
		pk := k.Public()
		name := fmt.Sprintf("key%d_%dbytes", n, size)
		lines = append(lines,
			[2]string{name + "_pk", hex.EncodeToString(pk[:])},
			[2]string{name + "_pi", hex.EncodeToString(proof[:])},
			[2]string{name + "_beta", hex.EncodeToString(out[:])},
			[2]string{name + "_fraction", fmt.Sprintf("%016x", Fraction(out))})
	}
	golden(t, "chive.txt", "Key n: seed n, 30 zeros, 5a. Alpha: the byte a0+n, so many times.\nA changed line is a change of the protocol. Spec: directory §1.\n", lines)
}

func TestKeysAreThoseOfEd25519(t *testing.T) {
	for n := range byte(16) {
		seed := [SeedSize]byte{0: n, 31: 0x5a}
		pk := NewSecretKey(&seed).Public()
		if want := ed25519.NewKeyFromSeed(seed[:]).Public().(ed25519.PublicKey); !bytes.Equal(pk[:], want) {
			t.Errorf("key %d: %x, not %x", n, pk, want)
		}
	}
}

func TestProofsAreDeterministicAndUnlike(t *testing.T) {
	seen := make(map[[OutputSize]byte]bool)
	for n := range byte(4) {
		k := testKey(n)
		for i := range 8 {
			alpha := binary.BigEndian.AppendUint64(nil, uint64(i))
			proof := k.Prove(alpha)
			if proof != k.Prove(alpha) {
				t.Fatal("the same input has two proofs")
			}
			out, err := Verify(k.Public(), alpha, proof)
			if err != nil {
				t.Fatal(err)
			}
			if seen[out] {
				t.Fatal("two inputs have one output")
			}
			seen[out] = true
		}
	}
}

func TestWrongInputOrKeyRefused(t *testing.T) {
	k, other := testKey(1), testKey(2)
	alpha := []byte("propose")
	proof := k.Prove(alpha)
	for name, err := range map[string]error{
		"another input": second(Verify(k.Public(), []byte("proposf"), proof)),
		"empty input":   second(Verify(k.Public(), nil, proof)),
		"longer input":  second(Verify(k.Public(), append(bytes.Clone(alpha), 0), proof)),
		"another key":   second(Verify(other.Public(), alpha, proof)),
		"zero proof":    second(Verify(k.Public(), alpha, [ProofSize]byte{})),
	} {
		if !errors.Is(err, ErrProof) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEveryFlippedBitRefused(t *testing.T) {
	k := testKey(3)
	alpha := []byte("input")
	proof := k.Prove(alpha)
	for bit := range ProofSize * 8 {
		bad := proof
		bad[bit/8] ^= 1 << (bit % 8)
		if out, err := Verify(k.Public(), alpha, bad); !errors.Is(err, ErrProof) || out != [OutputSize]byte{} {
			t.Fatalf("bit %d: %v", bit, err)
		}
	}
	pk := k.Public()
	for bit := range PublicKeySize * 8 {
		bad := pk
		bad[bit/8] ^= 1 << (bit % 8)
		if _, err := Verify(bad, alpha, proof); err == nil {
			t.Fatalf("bit %d of the key: accepted", bit)
		}
	}
}

// order is L of RFC 8032, little-endian.
var order = func() [32]byte {
	l, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	var b [32]byte
	l.FillBytes(b[:])
	slices.Reverse(b[:])
	return b
}()

// addLE adds two little-endian numbers.
func addLE(a, b [32]byte) (sum [32]byte) {
	carry := 0
	for i := range a {
		carry += int(a[i]) + int(b[i])
		sum[i] = byte(carry)
		carry >>= 8
	}
	return sum
}

func TestScalarsOfTheOrderOrMoreRefused(t *testing.T) {
	k := testKey(4)
	proof := k.Prove(nil)
	over := proof
	sum := addLE([32]byte(proof[48:]), order) // the same scalar, another encoding
	copy(over[48:], sum[:])
	equal, most := proof, proof
	copy(equal[48:], order[:])
	copy(most[48:], bytes.Repeat([]byte{0xff}, 32))
	for name, bad := range map[string][ProofSize]byte{"s + L": over, "L": equal, "all ones": most} {
		if _, err := Verify(k.Public(), nil, bad); !errors.Is(err, ErrProof) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := ProofToHash(bad); !errors.Is(err, ErrProof) {
			t.Errorf("%s, to hash: %v", name, err)
		}
	}
}

// badPoints are encodings that are not canonical or not on the curve.
func badPoints() map[string][32]byte {
	out := make(map[string][32]byte)
	for low := 0xed; low <= 0xff; low++ { // p to 2^255 - 1, both signs
		b := [32]byte(bytes.Repeat([]byte{0xff}, 32))
		b[0] = byte(low)
		out[fmt.Sprintf("y = p+%d, sign", low-0xed)] = b
		b[31] = 0x7f
		out[fmt.Sprintf("y = p+%d", low-0xed)] = b
	}
	out["identity with a sign"] = [32]byte{0: 1, 31: 0x80}
	minusOne := [32]byte(bytes.Repeat([]byte{0xff}, 32))
	minusOne[0] = 0xec
	out["order 2 with a sign"] = minusOne
	out["y = 2, not on the curve"] = [32]byte{2}
	return out
}

// smallOrder are the eight points of small order, in canonical form.
func smallOrder(t *testing.T) [][32]byte {
	t.Helper()
	base, err := hex.DecodeString("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")
	if err != nil {
		t.Fatal(err)
	}
	p, err := new(edwards25519.Point).SetBytes(base)
	if err != nil {
		t.Fatal(err)
	}
	var out [][32]byte
	sum := edwards25519.NewIdentityPoint()
	for range 8 {
		out = append(out, [32]byte(sum.Bytes()))
		sum.Add(sum, p)
	}
	if sum.Equal(edwards25519.NewIdentityPoint()) != 1 || out[4] == out[0] {
		t.Fatal("not a generator of the points of small order")
	}
	return out
}

func TestNonCanonicalPointsRefused(t *testing.T) {
	k := testKey(5)
	proof := k.Prove(nil)
	for name, b := range badPoints() {
		if _, err := Verify(PublicKey(b), nil, proof); !errors.Is(err, ErrKey) {
			t.Errorf("key %s: %v", name, err)
		}
		if err := CheckKey(PublicKey(b)); !errors.Is(err, ErrKey) {
			t.Errorf("key %s, check: %v", name, err)
		}
		bad := proof
		copy(bad[:], b[:])
		if _, err := Verify(k.Public(), nil, bad); !errors.Is(err, ErrProof) {
			t.Errorf("gamma %s: %v", name, err)
		}
		if _, err := ProofToHash(bad); !errors.Is(err, ErrProof) {
			t.Errorf("gamma %s, to hash: %v", name, err)
		}
	}
}

func TestSmallOrderKeysRefused(t *testing.T) {
	k := testKey(6)
	proof := k.Prove(nil)
	for i, b := range smallOrder(t) {
		if err := CheckKey(PublicKey(b)); !errors.Is(err, ErrKey) {
			t.Errorf("point %d: %v", i, err)
		}
		if _, err := Verify(PublicKey(b), nil, proof); !errors.Is(err, ErrKey) {
			t.Errorf("point %d, verify: %v", i, err)
		}
	}
	if err := CheckKey(k.Public()); err != nil {
		t.Error(err)
	}
}

// What is recorded is judged by package record, what is verified here: they must
// never differ, or a relay could be recorded that can never propose.
func TestKeysAreJudgedAsByRecord(t *testing.T) {
	keys := smallOrder(t)
	for _, b := range badPoints() {
		keys = append(keys, b)
	}
	for n := range byte(64) {
		keys = append(keys, testKey(n).Public(), [32]byte{0: n, 7: 1})
	}
	for _, b := range keys {
		ours, theirs := CheckKey(PublicKey(b)), record.CheckSigningKey(b[:])
		if (ours == nil) != (theirs == nil) {
			t.Errorf("%x: %v here, %v there", b, ours, theirs)
		}
	}
}

// A signer who adds a point of small order to Gamma gains no second output: the
// challenge covers Gamma, and the output does not depend on that component.
func TestGammaWithSmallOrderPartHasTheSameOutput(t *testing.T) {
	k := testKey(7)
	proof := k.Prove(nil)
	want, err := ProofToHash(proof)
	if err != nil {
		t.Fatal(err)
	}
	gamma, err := new(edwards25519.Point).SetBytes(proof[:32])
	if err != nil {
		t.Fatal(err)
	}
	for i, b := range smallOrder(t)[1:] {
		torsion, err := new(edwards25519.Point).SetBytes(b[:])
		if err != nil {
			t.Fatal(err)
		}
		bad := proof
		copy(bad[:], new(edwards25519.Point).Add(gamma, torsion).Bytes())
		if _, err := Verify(k.Public(), nil, bad); !errors.Is(err, ErrProof) {
			t.Errorf("point %d: %v", i+1, err)
		}
		if got, err := ProofToHash(bad); err != nil || got != want {
			t.Errorf("point %d: another output (%v)", i+1, err)
		}
	}
}

func TestFraction(t *testing.T) {
	out := [OutputSize]byte{0, 1, 2, 3, 4, 5, 6, 7, 8}
	if got := Fraction(out); got != 0x0001020304050607 {
		t.Errorf("%x", got)
	}
	if got := Fraction([OutputSize]byte{}); got != 0 {
		t.Errorf("%x", got)
	}
	if got := Fraction([OutputSize]byte(bytes.Repeat([]byte{0xff}, OutputSize))); got != 1<<64-1 {
		t.Errorf("%x", got)
	}
}

func TestSecretKeyIsNotPrintedAndCanBeWiped(t *testing.T) {
	k := testKey(8)
	proof, pk := k.Prove(nil), k.Public()
	for _, verb := range []string{"%v", "%+v", "%#v", "%x", "%s"} {
		if got := fmt.Sprintf(verb, k); got != "vrf.SecretKey(redacted)" {
			t.Errorf("%s: %s", verb, got)
		}
	}
	k.Wipe()
	if k.prefix != [32]byte{} || k.x.Equal(edwards25519.NewScalar()) != 1 {
		t.Error("secrets are left")
	}
	after := k.Prove(nil)
	if _, err := Verify(pk, nil, after); !errors.Is(err, ErrProof) || after == proof {
		t.Errorf("a wiped key proves: %v", err)
	}
}

func second[A, B any](_ A, b B) B { return b }

func FuzzVerify(f *testing.F) {
	for _, name := range []string{"example16", "example17", "example18"} {
		vs := vectors(f, "rfc9381.txt")
		f.Add(vs[name+"_pk"], vs[name+"_alpha"], vs[name+"_pi"])
	}
	k := testKey(9)
	f.Fuzz(func(t *testing.T, key, alpha, proof []byte) {
		if len(key) != PublicKeySize || len(proof) != ProofSize {
			return
		}
		pk, pi := PublicKey(key), [ProofSize]byte(proof)
		if (CheckKey(pk) == nil) != (record.CheckSigningKey(key) == nil) {
			t.Fatal("keys are judged otherwise than by package record")
		}
		out, err := Verify(pk, alpha, pi)
		if err == nil {
			if again, err := ProofToHash(pi); err != nil || again != out {
				t.Fatal("a verified proof has another output")
			}
		}
		own := k.Prove(alpha)
		if _, err := Verify(k.Public(), alpha, own); err != nil {
			t.Fatal(err)
		}
	})
}

func BenchmarkProve(b *testing.B) {
	k := testKey(1)
	alpha := make([]byte, 72)
	for i := 0; b.Loop(); i++ {
		binary.BigEndian.PutUint64(alpha, uint64(i))
		k.Prove(alpha)
	}
}

func BenchmarkVerify(b *testing.B) {
	k := testKey(1)
	alpha := make([]byte, 72)
	proof := k.Prove(alpha)
	for b.Loop() {
		if _, err := Verify(k.Public(), alpha, proof); err != nil {
			b.Fatal(err)
		}
	}
}
