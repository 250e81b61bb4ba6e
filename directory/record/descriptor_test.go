// SPDX-License-Identifier: BSD-3-Clause

package record

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"chive/internal/strictcbor"
)

func TestDescriptorRoundTrip(t *testing.T) {
	for name, d := range map[string]*Descriptor{"typical": typical(t), "full": full(t)} {
		b := sealed(t, d)
		t.Logf("%s: %d bytes", name, len(b))
		got, s, err := OpenDescriptor(b, nid(), d.Published, limits())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		again, err := got.Encode()
		if err != nil || !bytes.Equal(again, s.Payload) {
			t.Errorf("%s: encodes otherwise: %v", name, err)
		}
		whole, err := s.Encode()
		if err != nil || !bytes.Equal(whole, b) {
			t.Errorf("%s: signed form differs: %v", name, err)
		}
	}
}

func TestDescriptorThatIsTooLargeIsNotSealed(t *testing.T) {
	d := full(t)
	cert := NewCert(nid(), signingKey("identity"), publicKey("signing"), d.Published.Add(MaxCertLife))
	if _, err := SealDescriptor(d, nid(), signingKey("signing"), cert); !errors.Is(err, ErrDescriptor) {
		t.Errorf("every field full, and a certificate: %v", err)
	}
	d.Contact = d.Contact[:100]
	b, err := SealDescriptor(d, nid(), signingKey("signing"), cert)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := OpenDescriptor(b, nid(), d.Published, limits()); err != nil {
		t.Error(err)
	}
}

func TestDescriptorTruncationAndTrailingByte(t *testing.T) {
	d := full(t)
	b := sealed(t, d)
	for n := range b {
		if _, _, err := OpenDescriptor(b[:n], nid(), d.Published, limits()); err == nil {
			t.Fatalf("cut to %d bytes: accepted", n)
		}
	}
	if _, _, err := OpenDescriptor(append(bytes.Clone(b), 0), nid(), d.Published, limits()); err == nil {
		t.Error("trailing byte: accepted")
	}
	payload, err := d.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for n := range payload {
		if _, err := DecodeDescriptor(payload[:n]); err == nil {
			t.Fatalf("payload cut to %d bytes: accepted", n)
		}
	}
}

func TestDescriptorSizeBound(t *testing.T) {
	d := full(t)
	for size := MaxDescriptorSize; size <= MaxDescriptorSize+1; size++ {
		d.Extra = strictcbor.Extra{}
		base := len(sealed(t, d))
		// One pair: 2 bytes of key, a head of 1 or 2, the rest.
		fill := size - base - 4
		var w struct{}
		raw := append([]byte{0xa1, 0x18, 0x40, 0x58, byte(fill)}, make([]byte, fill)...)
		if fill < 24 {
			raw = append([]byte{0xa1, 0x18, 0x40, 0x40 | byte(fill+1)}, make([]byte, fill+1)...)
		}
		extra, err := strictcbor.Unmarshal(raw, 2000, &w)
		if err != nil {
			t.Fatal(err)
		}
		d.Extra = extra
		payload, err := d.Encode()
		if err != nil {
			t.Fatal(err)
		}
		signed := Sign(descriptorKind, nid(), signingKey("identity"), payload)
		b, err := signed.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if len(b) != size {
			t.Fatalf("made %d bytes, wanted %d", len(b), size)
		}
		_, _, err = OpenDescriptor(b, nid(), d.Published, limits())
		if size == MaxDescriptorSize && err != nil {
			t.Errorf("%d bytes: %v", size, err)
		}
		if size > MaxDescriptorSize && !errors.Is(err, strictcbor.ErrSize) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

func TestDescriptorBounds(t *testing.T) {
	for name, test := range map[string]struct {
		change func(d *Descriptor)
		want   error
	}{
		"no identity":           {func(d *Descriptor) { d.Identity = nil }, ErrKey},
		"zero VRF key":          {func(d *Descriptor) { d.VRF = [32]byte{} }, ErrKey},
		"zero onion key":        {func(d *Descriptor) { d.Onion = [32]byte{} }, ErrKey},
		"zero next onion key":   {func(d *Descriptor) { d.NextOnion = [32]byte{1} }, ErrKey},
		"four committee keys":   {func(d *Descriptor) { d.Committee = append(d.Committee, CommitteeKey{2000, publicKey("x")}) }, ErrDescriptor},
		"terms out of order":    {func(d *Descriptor) { d.Committee[0].Term = 1001 }, ErrDescriptor},
		"bad committee key":     {func(d *Descriptor) { d.Committee[2].Key = make([]byte, 32) }, ErrKey},
		"no address":            {func(d *Descriptor) { d.Addresses = nil }, ErrAddress},
		"bad policy":            {func(d *Descriptor) { d.Policy[0].First = 0 }, ErrPolicy},
		"exit without policy":   {func(d *Descriptor) { d.Policy = nil }, ErrDescriptor},
		"policy without exit":   {func(d *Descriptor) { d.Roles = RoleGuard }, ErrDescriptor},
		"unknown role":          {func(d *Descriptor) { d.Roles |= 1 << 5 }, ErrDescriptor},
		"bad family key":        {func(d *Descriptor) { d.Family.Key = make([]byte, 32) }, ErrKey},
		"short family word":     {func(d *Descriptor) { d.Family.Signature = d.Family.Signature[1:] }, ErrFamily},
		"expired when made":     {func(d *Descriptor) { d.Expires = d.Published }, ErrDescriptor},
		"before 1970":           {func(d *Descriptor) { d.Published = time.Unix(-1, 0) }, ErrDescriptor},
		"after 9999":            {func(d *Descriptor) { d.Expires = time.Unix(maxUnix+1, 0) }, ErrDescriptor},
		"long versions":         {func(d *Descriptor) { d.Versions = append(d.Versions, 1) }, ErrDescriptor},
		"long software":         {func(d *Descriptor) { d.Software += "s" }, ErrDescriptor},
		"long nickname":         {func(d *Descriptor) { d.Nickname += "n" }, ErrDescriptor},
		"long contact":          {func(d *Descriptor) { d.Contact += "c" }, ErrDescriptor},
		"as it should be":       {func(*Descriptor) {}, nil},
		"nothing but must-have": {func(d *Descriptor) { *d = *typical(t); d.Versions, d.Software, d.Nickname = nil, "", "" }, nil},
	} {
		d := full(t)
		test.change(d)
		if err := d.Check(); !errors.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := d.Encode(); !errors.Is(err, test.want) {
			t.Errorf("%s, encoded: %v", name, err)
		}
	}
}

// Spec: DIR-5.
func TestDescriptorOfAnotherNetworkSignerOrTime(t *testing.T) {
	d := full(t)
	b, now := sealed(t, d), d.Published
	other := nid()
	other[0] ^= 1
	if _, _, err := OpenDescriptor(b, other, now, limits()); !errors.Is(err, ErrSignature) {
		t.Errorf("other network: %v", err)
	}
	payload, err := d.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]Signed{
		"another kind":   Sign("vote", nid(), signingKey("identity"), payload),
		"another signer": Sign("descriptor", nid(), signingKey("other"), payload),
	} {
		if err := s.Verify("descriptor", nid(), d.Identity, now); !errors.Is(err, ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, alg := range []byte{0, 2, 255} {
		s := Sign("descriptor", nid(), signingKey("identity"), payload)
		s.Alg = alg
		if err := s.Verify("descriptor", nid(), d.Identity, now); !errors.Is(err, ErrAlgorithm) {
			t.Errorf("algorithm %d: %v", alg, err)
		}
	}
	l := limits()
	for name, test := range map[string]struct {
		now  time.Time
		life time.Duration
		want error
	}{
		"just ahead enough":    {d.Published.Add(-l.Ahead), l.Life, nil},
		"a second too far":     {d.Published.Add(-l.Ahead - time.Second), l.Life, ErrAhead},
		"last second":          {d.Expires.Add(-time.Second), l.Life, nil},
		"over":                 {d.Expires, l.Life, ErrExpired},
		"life one second over": {d.Published, l.Life - time.Second, ErrDescriptor},
	} {
		if err := d.CheckTime(test.now, Times{Life: test.life, Ahead: l.Ahead}); !errors.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	stolen := full(t)
	stolen.Family.Signature = ed25519.Sign(signingKey("family"), []byte("another member"))
	if _, _, err := OpenDescriptor(sealed(t, stolen), nid(), now, limits()); !errors.Is(err, ErrFamily) {
		t.Errorf("family without its word: %v", err)
	}
}

// Spec: DIR-2.
func TestOfflineIdentity(t *testing.T) {
	identity, signing := signingKey("identity"), signingKey("signing")
	now := time.Unix(published, 0).UTC()
	for name, test := range map[string]struct {
		change func(s *Signed)
		want   error
	}{
		"as it should be":  {func(*Signed) {}, nil},
		"without the word": {func(s *Signed) { s.Cert = nil }, ErrSignature},
		"over":             {func(s *Signed) { s.Cert = NewCert(nid(), identity, publicKey("signing"), now) }, ErrCert},
		"longest":          {func(s *Signed) { s.Cert = NewCert(nid(), identity, publicKey("signing"), now.Add(MaxCertLife)) }, nil},
		"too long": {func(s *Signed) {
			s.Cert = NewCert(nid(), identity, publicKey("signing"), now.Add(MaxCertLife+time.Second))
		}, ErrCert},
		"another's word":     {func(s *Signed) { s.Cert = NewCert(nid(), signing, publicKey("signing"), now.Add(time.Hour)) }, ErrCert},
		"for another key":    {func(s *Signed) { s.Cert = NewCert(nid(), identity, publicKey("other"), now.Add(time.Hour)) }, ErrSignature},
		"for a bad key":      {func(s *Signed) { s.Cert.Key = make([]byte, 32) }, ErrCert},
		"of another network": {func(s *Signed) { s.Cert = NewCert([32]byte{1}, identity, publicKey("signing"), now.Add(time.Hour)) }, ErrCert},
	} {
		s := Sign("descriptor", nid(), signing, []byte("payload"))
		s.Cert = NewCert(nid(), identity, publicKey("signing"), now.Add(time.Hour))
		test.change(&s)
		if err := s.Verify("descriptor", nid(), publicKey("identity"), now); !errors.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
		if s.Cert == nil {
			continue
		}
		b, err := s.Encode()
		if err != nil {
			t.Fatal(err)
		}
		back, err := DecodeSigned(b, len(b))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := back.Verify("descriptor", nid(), publicKey("identity"), now); !errors.Is(err, test.want) {
			t.Errorf("%s, decoded: %v", name, err)
		}
		for n := range b {
			if _, err := DecodeSigned(b[:n], len(b)); err == nil {
				t.Fatalf("%s cut to %d bytes: accepted", name, n)
			}
		}
	}
}

func TestSignedArrayForm(t *testing.T) {
	sig := strings.Repeat("00", 64)
	for name, text := range map[string]string{
		"two elements":    "82" + "01" + "5840" + sig,
		"five elements":   "85" + "01" + "5840" + sig + "4101" + "80" + "80",
		"short signature": "83" + "01" + "583f" + sig[2:] + "4101",
		"long signature":  "83" + "01" + "5841" + sig + "00" + "4101",
		"algorithm 256":   "83" + "190100" + "5840" + sig + "4101",
		"empty cert":      "84" + "01" + "5840" + sig + "4101" + "80",
		"short cert key":  "84" + "01" + "5840" + sig + "4101" + "83" + "4101" + "00" + "5840" + sig,
		"cert after 9999": "84" + "01" + "5840" + sig + "4101" + "83" + "5820" + sig[:64] + "1bffffffffffffffff" + "5840" + sig,
		"map":             "a0",
	} {
		if _, err := DecodeSigned(unhex(t, text), 1000); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestBodyDigestIgnoresWhenADescriptorSpeaks(t *testing.T) {
	digest := func(change func(*Descriptor)) [32]byte {
		d := full(t)
		change(d)
		b, err := d.Encode()
		if err != nil {
			t.Fatal(err)
		}
		h, err := BodyDigest(b)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	base := digest(func(*Descriptor) {})
	if base != digest(func(d *Descriptor) {
		d.Seq++
		d.Published, d.Expires = d.Published.Add(time.Hour), d.Expires.Add(time.Hour)
	}) {
		t.Error("a republication has another body")
	}
	if base == digest(func(d *Descriptor) { d.DeclaredRate-- }) {
		t.Error("another rate has the same body")
	}
}

// Spec: DIR-5.
func TestOrderOfDescriptors(t *testing.T) {
	a, b := []byte("a"), []byte("b")
	if use, conflict := Newer(1, a, 2, b); !use || conflict {
		t.Error("the higher seq must win")
	}
	if use, conflict := Newer(2, a, 1, b); use || conflict {
		t.Error("the lower seq must lose")
	}
	if use, conflict := Newer(1, a, 1, a); use || conflict {
		t.Error("the same descriptor is no news")
	}
	use1, conflict1 := Newer(1, a, 1, b)
	use2, conflict2 := Newer(1, b, 1, a)
	if !conflict1 || !conflict2 || use1 == use2 {
		t.Error("of two with one seq both sides must use the same, and know")
	}
}

// Spec: DIR-3.
func TestDescriptorVectors(t *testing.T) {
	rid := NewRID(nid(), publicKey("identity"))
	lines := [][2]string{
		{"network_id", fmt.Sprintf("%x", nid())},
		{"identity", hex.EncodeToString(publicKey("identity"))},
		{"rid", fmt.Sprintf("%x", rid)},
	}
	for _, v := range []struct {
		name string
		d    *Descriptor
	}{{"typical", typical(t)}, {"full", full(t)}} {
		payload, err := v.d.Encode()
		if err != nil {
			t.Fatal(err)
		}
		body, err := BodyDigest(payload)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, [2]string{v.name + "_descriptor", hex.EncodeToString(sealed(t, v.d))},
			[2]string{v.name + "_body_digest", fmt.Sprintf("%x", body)},
			[2]string{v.name + "_item_digest", fmt.Sprintf("%x", ItemDigest(ClassDescriptor, payload))})
	}
	golden(t, "descriptor.txt", "Signed descriptors, and what names them. Keys: SHA-256 of a purpose as seed.\nA changed line is a change of the protocol. Spec: directory §3.\n", lines)
}

func FuzzDescriptor(f *testing.F) {
	f.Add(sealed(f, typical(f)))
	f.Add(sealed(f, full(f)))
	f.Fuzz(func(t *testing.T, data []byte) {
		if s, err := DecodeSigned(data, MaxDescriptorSize); err == nil {
			again, err := s.Encode()
			if err != nil || !bytes.Equal(again, data) {
				t.Fatalf("signed form differs: %v", err)
			}
			data = s.Payload
		}
		d, err := DecodeDescriptor(data)
		if err != nil {
			return
		}
		again, err := d.Encode()
		if err != nil || !bytes.Equal(again, data) {
			t.Fatalf("%x became %x: %v", data, again, err)
		}
		if _, err := BodyDigest(data); err != nil {
			t.Fatal(err)
		}
		_ = d.CheckTime(time.Unix(published, 0), limits())
	})
}
