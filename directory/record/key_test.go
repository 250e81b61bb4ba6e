// SPDX-License-Identifier: BSD-3-Clause

package record

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ed25519"
	"errors"
	"fmt"
	"math/big"
	"testing"
)

func TestHonestKeysAreAccepted(t *testing.T) {
	for i := range 200 {
		if err := CheckSigningKey(publicKey(fmt.Sprint("k", i))); err != nil {
			t.Fatalf("signing key %d: %v", i, err)
		}
		k := exchangeKey(t, fmt.Sprint("k", i))
		if err := CheckExchangeKey(k[:]); err != nil {
			t.Fatalf("exchange key %d: %v", i, err)
		}
	}
}

// le returns 32 bytes, little-endian, with the sign bit or without.
func le(n *big.Int, sign bool) []byte {
	b := n.FillBytes(make([]byte, 32))
	for i := range 16 {
		b[i], b[31-i] = b[31-i], b[i]
	}
	if sign {
		b[31] |= 0x80
	}
	return b
}

// Spec: DIR-2.
func TestSigningKeysOfSmallOrderAndOtherFormsAreRefused(t *testing.T) {
	one := big.NewInt(1)
	ys := []*big.Int{
		new(big.Int), one, new(big.Int).Sub(fieldP, one), order8Y[0], order8Y[1],
		// the same points in forms that are not canonical
		fieldP, new(big.Int).Add(fieldP, one),
	}
	for i, y := range ys {
		for _, sign := range []bool{false, true} {
			if err := CheckSigningKey(le(y, sign)); !errors.Is(err, ErrKey) {
				t.Errorf("y %d, sign %v: %v", i, sign, err)
			}
		}
	}
	// y = p + 3 is a point of large order written in a second way.
	if err := CheckSigningKey(le(new(big.Int).Add(fieldP, big.NewInt(3)), false)); !errors.Is(err, ErrKey) {
		t.Errorf("not canonical: %v", err)
	}
	for _, b := range [][]byte{nil, make([]byte, 31), make([]byte, 33)} {
		if err := CheckSigningKey(b); !errors.Is(err, ErrKey) {
			t.Errorf("%d bytes: %v", len(b), err)
		}
	}
}

// TestSmallOrderPointsAreWhatTheyAreSaidToBe: a signature of zeros verifies under
// a key of small order for about one message in eight, and under no other.
func TestSmallOrderPointsAreWhatTheyAreSaidToBe(t *testing.T) {
	sig := make([]byte, 64)
	for i, y := range order8Y {
		forged := false
		for m := range 200 {
			for _, sign := range []bool{false, true} {
				for _, r := range order8Y {
					copy(sig, le(r, sign))
					forged = forged || ed25519.Verify(le(y, false), []byte{byte(m)}, sig)
				}
			}
		}
		if !forged {
			t.Errorf("no forgery under order-8 point %d: the constant is wrong", i)
		}
	}
	// ECDH refuses the all-zero result that a point of small order gives.
	seed := bytes.Repeat([]byte{8}, 32)
	k, err := ecdh.X25519().NewPrivateKey(seed)
	if err != nil {
		t.Fatal(err)
	}
	for i, u := range order8U {
		p, err := ecdh.X25519().NewPublicKey(le(u, false))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := k.ECDH(p); err == nil {
			t.Errorf("order-8 u %d gives a secret: the constant is wrong", i)
		}
	}
}

func TestKeysOffTheCurveAreRefused(t *testing.T) {
	// Half of all y have no x. ed25519.Verify tells which: it fails to decode them.
	refused := 0
	for y := int64(2); y < 102; y++ {
		if CheckSigningKey(le(big.NewInt(y), false)) != nil {
			refused++
		}
	}
	if refused < 30 || refused > 70 {
		t.Errorf("%d of 100 refused", refused)
	}
	// RFC 8032, 7.1, test 1 is on the curve.
	if err := CheckSigningKey(unhex(t, "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")); err != nil {
		t.Error(err)
	}
}

func TestExchangeKeysOfSmallOrderAndOtherFormsAreRefused(t *testing.T) {
	one := big.NewInt(1)
	for i, u := range []*big.Int{
		new(big.Int), one, new(big.Int).Sub(fieldP, one), order8U[0], order8U[1],
		fieldP, new(big.Int).Add(fieldP, one), new(big.Int).Add(fieldP, big.NewInt(9)),
	} {
		if err := CheckExchangeKey(le(u, false)); !errors.Is(err, ErrKey) {
			t.Errorf("u %d: %v", i, err)
		}
	}
	k := exchangeKey(t, "k")
	k[31] |= 0x80
	if err := CheckExchangeKey(k[:]); !errors.Is(err, ErrKey) {
		t.Errorf("top bit: %v", err)
	}
	if err := CheckExchangeKey(k[:31]); !errors.Is(err, ErrKey) {
		t.Errorf("31 bytes: %v", err)
	}
}
