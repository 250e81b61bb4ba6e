// SPDX-License-Identifier: BSD-3-Clause

package link

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"testing"
	"time"

	"chive/internal/strictcbor"
)

func TestCertificateVectors(t *testing.T) {
	v := vectors(t, "certificate.txt")
	key := ed25519.NewKeyFromSeed(v["identity_seed"])
	nid, link := [32]byte(v["network_id"]), [32]byte(v["link_key"])
	got, err := SignCertificate(key, nid, link, time.Unix(1_800_000_000, 0))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, v["certificate"]) {
		t.Errorf("certificate = %x", got)
	}
	c, err := ParseCertificate(v["certificate"], nid)
	if err != nil {
		t.Fatal(err)
	}
	if !c.Identity.Equal(key.Public()) || c.LinkKey != link || c.NotAfter.Unix() != 1_800_000_000 || c.NetworkID != nid {
		t.Error("fields differ")
	}
	for name, b := range v {
		if len(name) > 4 && name[:4] == "bad_" {
			if _, err := ParseCertificate(b, nid); err != ErrHandshake {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func testCertificate(t testing.TB) []byte {
	t.Helper()
	b, err := SignCertificate(testKey(1), testNetwork, [32]byte{7}, time.Unix(1_800_000_000, 0))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestCertificateIsRefusedCutLengthenedAndChanged(t *testing.T) {
	b := testCertificate(t)
	if len(b) > MaxCertificateSize {
		t.Fatal("too long:", len(b))
	}
	for n := range b {
		if _, err := ParseCertificate(b[:n], testNetwork); err != ErrHandshake {
			t.Fatal("cut at", n, err)
		}
		bad := bytes.Clone(b)
		bad[n] ^= 1
		if _, err := ParseCertificate(bad, testNetwork); err != ErrHandshake {
			t.Fatal("changed at", n, err)
		}
	}
	if _, err := ParseCertificate(append(bytes.Clone(b), 0), testNetwork); err != ErrHandshake {
		t.Error("trailing byte:", err)
	}
	if _, err := ParseCertificate(b, [32]byte{9}); err != ErrHandshake {
		t.Error("other network:", err)
	}
}

// signBody signs any body, as a hostile relay might.
func signBody(t testing.TB, key ed25519.PrivateKey, body any) []byte {
	t.Helper()
	raw, err := strictcbor.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return append(ed25519.Sign(key, labelled(raw)), raw...)
}

func TestCertificateBounds(t *testing.T) {
	key := testKey(1)
	good := certificateBody{NetworkID: testNetwork[:], Identity: key.Public().(ed25519.PublicKey), LinkKey: make([]byte, 32), NotAfter: 1 << 40}
	type padded struct {
		NetworkID []byte `cbor:"0,keyasint"`
		Identity  []byte `cbor:"1,keyasint"`
		LinkKey   []byte `cbor:"2,keyasint"`
		NotAfter  uint64 `cbor:"3,keyasint"`
		Extra     []byte `cbor:"64,keyasint"`
	}
	grown := func(n int) padded {
		return padded{good.NetworkID, good.Identity, good.LinkKey, 1, make([]byte, n)}
	}
	room := MaxCertificateSize - len(signBody(t, key, grown(30))) + 30
	for _, c := range []struct {
		name string
		b    []byte
		ok   bool
	}{
		{"time at the cap", signBody(t, key, good), true},
		{"time past the cap", signBody(t, key, certificateBody{good.NetworkID, good.Identity, good.LinkKey, 1<<40 + 1}), false},
		{"short link key", signBody(t, key, certificateBody{good.NetworkID, good.Identity, make([]byte, 31), 1}), false},
		{"long link key", signBody(t, key, certificateBody{good.NetworkID, good.Identity, make([]byte, 33), 1}), false},
		{"short identity", signBody(t, key, certificateBody{good.NetworkID, good.Identity[:31], good.LinkKey, 1}), false},
		{"signed by another", signBody(t, testKey(2), good), false},
		{"largest", signBody(t, key, grown(room)), true},
		{"one more", signBody(t, key, grown(room+1)), false},
	} {
		if _, err := ParseCertificate(c.b, testNetwork); (err == nil) != c.ok {
			t.Errorf("%s (%d bytes): %v", c.name, len(c.b), err)
		}
	}
}

// Spec: protocol §1 (LINK-4)
func TestWeakIdentitiesAreRefused(t *testing.T) {
	for _, s := range []string{
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0000000000000000000000000000000000000000000000000000000000000080",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000080",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // p
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // p + 1
		"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	} {
		k, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		if !weakIdentity(k) {
			t.Error("accepted", s)
		}
	}
	// Under the neutral element R = B*1, S = 1 signs anything; the library agrees.
	var forged [64]byte
	copy(forged[:], ed25519Base)
	forged[32] = 1
	weak := make([]byte, 32)
	weak[0] = 1
	if !ed25519.Verify(weak, []byte("anything"), forged[:]) {
		t.Error("the forgery this test stands for does not work")
	}
	for n := range 50 {
		if weakIdentity(testKey(byte(n)).Public().(ed25519.PublicKey)) {
			t.Error("refused an honest key")
		}
	}
}

// ed25519Base is the encoding of the base point.
var ed25519Base = append([]byte{0x58}, bytes.Repeat([]byte{0x66}, 31)...)

func TestValidAt(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	for _, c := range []struct {
		left, skew time.Duration
		want       bool
	}{
		{time.Second, 0, true}, {0, 0, false}, {-time.Second, 0, false},
		{48 * time.Hour, 0, true}, {48*time.Hour + 1, 0, false},
		{-59 * time.Minute, time.Hour, true}, {-time.Hour, time.Hour, false},
		{49 * time.Hour, time.Hour, true}, {49*time.Hour + 1, time.Hour, false},
	} {
		cert := &Certificate{NotAfter: now.Add(c.left)}
		if got := cert.ValidAt(now, c.skew); got != c.want {
			t.Errorf("%v left, skew %v: %v", c.left, c.skew, got)
		}
	}
}

func TestNewIdentityLivesTwoDays(t *testing.T) {
	now := time.Unix(1_700_000_000, 999)
	id, err := NewIdentity(nil, testNetwork, testKey(3), now)
	if err != nil {
		t.Fatal(err)
	}
	c, err := ParseCertificate(id.certificate, testNetwork)
	if err != nil {
		t.Fatal(err)
	}
	if !c.NotAfter.Equal(id.NotAfter()) || id.NotAfter() != time.Unix(1_700_000_000+48*3600, 0) {
		t.Error(c.NotAfter, id.NotAfter())
	}
	if !c.ValidAt(now, 0) || !c.ValidAt(now.Add(47*time.Hour), 0) {
		t.Error("not valid")
	}
	if !bytes.Equal(c.LinkKey[:], id.key.PublicKey().Bytes()) || !bytes.Equal(id.Public(), c.Identity) {
		t.Error("keys differ")
	}
}

func FuzzCertificate(f *testing.F) {
	f.Add(testCertificate(f))
	for _, b := range vectors(f, "certificate.txt") {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := ParseCertificate(b, testNetwork)
		if err != nil {
			if err != ErrHandshake || c != nil {
				t.Error(err)
			}
			return
		}
		if len(b) > MaxCertificateSize || weakIdentity(c.Identity) {
			t.Error("accepted out of bounds")
		}
	})
}
