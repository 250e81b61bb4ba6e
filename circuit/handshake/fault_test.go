// SPDX-License-Identifier: BSD-3-Clause

package handshake

import (
	"bytes"
	"crypto/subtle"
	"encoding/hex"
	"testing"
)

func TestEveryTruncationIsRefused(t *testing.T) {
	f := newFixture(t)
	for n := range f.create {
		if err := f.respond(f.create[:n]); err != ErrHandshake {
			t.Fatalf("CREATE of %d bytes: %v", n, err)
		}
	}
	for n := range f.created {
		if err := f.finish(f.created[:n]); err != ErrHandshake {
			t.Fatalf("CREATED of %d bytes: %v", n, err)
		}
	}
	if err := f.respond(append(bytes.Clone(f.create), 0)); err != ErrHandshake {
		t.Fatalf("CREATE with a byte more: %v", err)
	}
	if err := f.finish(append(bytes.Clone(f.created), 0)); err != ErrHandshake {
		t.Fatalf("CREATED with a byte more: %v", err)
	}
	// The length inside must fit too, even if the size does.
	for _, delta := range []byte{1, 0xff} {
		bad := bytes.Clone(f.create)
		bad[3] += delta
		if err := f.respond(bad); err != ErrHandshake {
			t.Fatalf("CREATE with another length: %v", err)
		}
	}
}

// TestEveryBitFlipIsRefused flips one bit of every byte. Only B decides
// between the two errors.
// Spec: protocol §4 (HS-1).
func TestEveryBitFlipIsRefused(t *testing.T) {
	f := newFixture(t)
	for i := range f.create {
		bad := bytes.Clone(f.create)
		bad[i] ^= 1 << (i % 8)
		want := ErrHandshake
		if i >= 36 && i < 68 {
			want = ErrUnknownKey
		}
		if err := f.respond(bad); err != want {
			t.Fatalf("CREATE, byte %d: %v", i, err)
		}
	}
	for i := range f.created {
		bad := bytes.Clone(f.created)
		bad[i] ^= 1 << (i % 8)
		if err := f.finish(bad); err != ErrHandshake {
			t.Fatalf("CREATED, byte %d: %v", i, err)
		}
	}
	// X25519 ignores the highest bit of a point; the transcript does not.
	for _, i := range []int{68 + 31, 36 + 31} {
		bad := bytes.Clone(f.create)
		bad[i] ^= 0x80
		if err := f.respond(bad); err == nil {
			t.Fatalf("CREATE, highest bit of byte %d", i)
		}
	}
	bad := bytes.Clone(f.created)
	bad[4+31] ^= 0x80
	if err := f.finish(bad); err != ErrHandshake {
		t.Fatal("CREATED, highest bit of Y")
	}
	if err := f.respond(f.create); err != nil {
		t.Fatal("the untouched CREATE is refused")
	}
	if err := f.finish(f.created); err != nil {
		t.Fatal("the untouched CREATED is refused")
	}
}

func TestIDMustBeRidAndZeros(t *testing.T) {
	f := newFixture(t)
	for i := 4; i < 36; i++ {
		for _, value := range []byte{f.create[i] + 1, 0xff - f.create[i]} {
			bad := bytes.Clone(f.create)
			bad[i] = value
			f.seal(bad)
			if err := f.respond(bad); err != ErrHandshake {
				t.Fatalf("byte %d: %v", i, err)
			}
		}
	}
	other := f.rid
	other[0]++
	if _, _, err := Respond(testRandom(""), other, []*OnionKey{f.onion}, f.create, f.reply); err != ErrHandshake {
		t.Fatalf("another relay's CREATE: %v", err)
	}
}

// seal makes the MAC of a changed CREATE right, as its maker could have done,
// so that what lies behind the MAC is reached.
func (f *fixture) seal(message []byte) {
	c, ok := splitCreate(message)
	if !ok {
		return
	}
	bx, _ := exchange(f.onion.private, c.x)
	k := clientKeys(bx, c)
	mac := k.sum(c)
	copy(c.mac, mac[:])
}

// authenticate makes AUTH of a changed CREATED right, as far as a relay could
// have done that knows the onion key and the encapsulated secret.
func (f *fixture) authenticate(message []byte) {
	d, ok := splitCreated(message)
	if !ok {
		return
	}
	q, _ := splitCreate(f.client.message)
	xy, _ := exchange(f.client.x, d.y)
	ss, err := f.client.dk.Decapsulate(d.ct)
	if err != nil {
		panic(err)
	}
	_, _, verify := circuitKeys(sharedSecrets{xy, f.client.bx, ss}, q, d)
	auth := authSum(&verify, q, d)
	copy(d.auth, auth[:])
}

// lowOrderPoints are the points whose X25519 is zero under every private key
// (RFC 7748 §6.1): u = 0, 1, the two of order 8, p-1, p, p+1.
func lowOrderPoints(t testing.TB) (points [][32]byte) {
	t.Helper()
	for _, text := range []string{
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
		"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	} {
		b, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		p := [32]byte(b)
		points = append(points, p)
		p[31] |= 0x80
		points = append(points, p)
	}
	return points
}

func TestLowOrderPointsAreRefused(t *testing.T) {
	f := newFixture(t)
	for i, p := range lowOrderPoints(t) {
		if _, ok := exchange(f.onion.private, p[:]); ok != 0 {
			t.Fatalf("point %d is not of low order", i)
		}
		if _, _, err := Start(testRandom(""), f.rid, p, &f.cm); err != ErrHandshake {
			t.Errorf("onion key, point %d: %v", i, err)
		}
		create := bytes.Clone(f.create)
		copy(create[68:], p[:])
		f.seal(create)
		if err := f.respond(create); err != ErrHandshake {
			t.Errorf("X, point %d: %v", i, err)
		}
		created := bytes.Clone(f.created)
		copy(created[4:], p[:])
		f.authenticate(created)
		if err := f.finish(created); err != ErrHandshake {
			t.Errorf("Y, point %d: %v", i, err)
		}
	}
	// The same detour with good points succeeds, so the points are the cause.
	create := bytes.Clone(f.create)
	other := testOnionKey("other").Public()
	copy(create[68:], other[:])
	f.seal(create)
	if err := f.respond(create); err != nil {
		t.Errorf("another X: %v", err)
	}
	created := bytes.Clone(f.created)
	copy(created[4:], other[:])
	f.authenticate(created)
	if err := f.finish(created); err != nil {
		t.Errorf("another Y: %v", err)
	}
}

// TestBadEncapsulationKeyIsRefused puts a coefficient of q or more into ek
// under a right MAC (FIPS 203 §7.2).
func TestBadEncapsulationKeyIsRefused(t *testing.T) {
	f := newFixture(t)
	for _, place := range []int{0, 1149} {
		bad := bytes.Clone(f.create)
		copy(bad[100+place:], []byte{0xff, 0xff, 0xff})
		f.seal(bad)
		if err := f.respond(bad); err != ErrHandshake {
			t.Fatalf("coefficient at %d: %v", place, err)
		}
	}
}

// TestAnotherRelayCannotAnswer proves that X25519 with the onion key is what
// authenticates: everything else right, the answer of a relay without it is
// refused.
func TestAnotherRelayCannotAnswer(t *testing.T) {
	f := newFixture(t)
	impostor := testOnionKey("impostor")
	q, _ := splitCreate(f.create)
	forged := bytes.Clone(f.create)
	c, _ := splitCreate(forged)
	public := impostor.Public()
	copy(c.onion, public[:])
	bx, _ := exchange(impostor.private, c.x)
	k := clientKeys(bx, c)
	subtle.XORBytes(c.cm, f.cm[:], k.stream[:])
	mac := k.sum(c)
	copy(c.mac, mac[:])
	if bytes.Equal(q.onion, c.onion) {
		t.Fatal("not an impostor")
	}
	created, _, err := Respond(testRandom(""), f.rid, []*OnionKey{impostor}, forged, f.reply)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.finish(created); err != ErrHandshake {
		t.Fatal(err)
	}
}
