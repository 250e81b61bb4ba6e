// SPDX-License-Identifier: BSD-3-Clause

package record

import (
	"errors"
	"math/big"
)

// ErrKey means a public key that no honest relay has: of the wrong size, not in
// canonical form, not on the curve, or of small order.
var ErrKey = errors.New("record: bad public key")

// Constants of Curve25519, never changed.
var (
	fieldP = new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	edD    = bigFrom("52036cee2b6ffe738cc740797779e89800700a4d4141d8ab75eb4dca135978a3")
	// order8Y are the y of the four points of order 8 (two, with their negatives).
	order8Y = [2]*big.Int{
		bigFrom("7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd84d3d706a17c7"),
		bigFrom("05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826"),
	}
	// order8U are the u of the points of order 8 on the Montgomery form.
	order8U = [2]*big.Int{
		bigFrom("00b8495f16056286fdb1329ceb8d09da6ac49ff1fae35616aeb8413b7c7aebe0"),
		bigFrom("57119fd0dd4e22d8868e1c58c45c44045bef839c55b1d0b1248c50a3bc959c5f"),
	}
)

func bigFrom(hex string) *big.Int {
	n, ok := new(big.Int).SetString(hex, 16)
	if !ok {
		panic("record: bad constant")
	}
	return n
}

// littleEndian reads a field element whose top bit is not part of it.
func littleEndian(key []byte) *big.Int {
	var b [KeySize]byte
	for i, c := range key {
		b[KeySize-1-i] = c
	}
	b[0] &= 0x7f
	return new(big.Int).SetBytes(b[:])
}

// CheckSigningKey refuses an Ed25519 (or VRF) public key that is not the canonical
// encoding of a point of large order. Error: ErrKey. Spec: directory §1.
func CheckSigningKey(key []byte) error {
	if len(key) != KeySize {
		return ErrKey
	}
	y := littleEndian(key)
	if y.Cmp(fieldP) >= 0 || y.Sign() == 0 || y.Cmp(order8Y[0]) == 0 || y.Cmp(order8Y[1]) == 0 {
		return ErrKey
	}
	one := big.NewInt(1)
	if y.Cmp(one) == 0 || new(big.Int).Add(y, one).Cmp(fieldP) == 0 {
		return ErrKey
	}
	// x^2 = (y^2 - 1) / (d y^2 + 1) must be a square: so must the product be.
	yy := new(big.Int).Mul(y, y)
	yy.Mod(yy, fieldP)
	v := new(big.Int).Mul(edD, yy)
	v.Add(v, one)
	u := yy.Sub(yy, one)
	u.Mul(u, v)
	u.Mod(u, fieldP)
	if big.Jacobi(u, fieldP) != 1 {
		return ErrKey
	}
	return nil
}

// CheckExchangeKey refuses an X25519 public key that is not canonical or of small
// order (on the curve or its twist). Error: ErrKey. Spec: directory §1.
func CheckExchangeKey(key []byte) error {
	if len(key) != KeySize || key[KeySize-1]&0x80 != 0 {
		return ErrKey
	}
	u := littleEndian(key)
	one := big.NewInt(1)
	if u.Cmp(fieldP) >= 0 || u.Cmp(one) <= 0 || new(big.Int).Add(u, one).Cmp(fieldP) == 0 ||
		u.Cmp(order8U[0]) == 0 || u.Cmp(order8U[1]) == 0 {
		return ErrKey
	}
	return nil
}
