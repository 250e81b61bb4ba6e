// SPDX-License-Identifier: BSD-3-Clause

package record

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"testing"
	"time"

	"chive/internal/strictcbor"
)

const today = 400

func at() time.Time { return time.Unix(published, 0).UTC() }

func ridOf(purpose string) RID { return NewRID(nid(), publicKey(purpose)) }

func must[T any](v T, err error) func(t testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func voucher() *Voucher {
	return &Voucher{Sponsor: ridOf("sponsor"), Identity: publicKey("identity"), Day: today}
}

func sealedVoucher(t testing.TB) []byte {
	return must(SealVoucher(voucher(), nid(), signingKey("sponsor")))(t)
}

func entryOf(t testing.TB, d *Descriptor) *Entry {
	payload := must(d.Encode())(t)
	return &Entry{
		Entry: ridOf("entry"), Candidate: NewRID(nid(), d.Identity), Body: must(BodyDigest(payload))(t),
		Addresses: d.Addresses, Epoch: 9000,
	}
}

// candidate returns one with every part, of a descriptor with every field full.
func candidate(t testing.TB, d *Descriptor) *Candidate {
	return &Candidate{
		Descriptor: sealed(t, d), Work: &Work{Epoch: 8990, Nonce: 1<<64 - 1, Stamp: 77},
		Voucher: sealedVoucher(t), Entry: must(SealEntry(entryOf(t, d), nid(), signingKey("entry"), nil))(t),
	}
}

// extraOf returns one later addition of about size bytes.
func extraOf(t testing.TB, size int) strictcbor.Extra {
	t.Helper()
	raw := append([]byte{0xa1, 0x18, 0x40, 0x59, byte((size - 5) >> 8), byte(size - 5)}, make([]byte, size-5)...)
	if size-4 < 256 {
		raw = append([]byte{0xa1, 0x18, 0x40, 0x58, byte(size - 4)}, make([]byte, size-4)...)
	}
	if size-3 < 24 {
		raw = append([]byte{0xa1, 0x18, 0x40, 0x40 | byte(size-3)}, make([]byte, size-3)...)
	}
	var w struct{}
	extra, err := strictcbor.Unmarshal(raw, 1<<16, &w)
	if err != nil {
		t.Fatal(err)
	}
	return extra
}

// cuts reports decoding to fail at every cut and with a byte behind.
func cuts(t *testing.T, name string, b []byte, decode func([]byte) error) {
	t.Helper()
	if err := decode(b); err != nil {
		t.Errorf("%s: %v", name, err)
	}
	for n := range b {
		if decode(b[:n]) == nil {
			t.Fatalf("%s cut to %d bytes: accepted", name, n)
		}
	}
	if decode(append(bytes.Clone(b), 0)) == nil {
		t.Errorf("%s with a trailing byte: accepted", name)
	}
}

// Spec: REC-1.
func TestCandidateRoundTripAndTruncation(t *testing.T) {
	d := full(t)
	c := candidate(t, d)
	b := must(c.Encode())(t)
	t.Logf("candidate %d bytes, voucher %d, entry statement %d", len(b), len(c.Voucher), len(c.Entry))
	if got := must(DecodeCandidate(b))(t); !bytes.Equal(must(got.Encode())(t), b) {
		t.Error("encodes otherwise")
	}
	cuts(t, "candidate", b, func(b []byte) error { _, err := DecodeCandidate(b); return err })
	cuts(t, "voucher", c.Voucher, func(b []byte) error { _, _, err := OpenVoucher(b); return err })
	cuts(t, "entry", c.Entry, func(b []byte) error { _, _, err := OpenEntry(b); return err })
	o := must(OpenCandidate(b, nid(), at(), limits()))(t)
	if o.RID != ridOf("identity") || o.Work.Stamp != 77 || o.Voucher.Day != today || o.Entry.Epoch != 9000 {
		t.Errorf("read as %+v", o)
	}
	if err := o.Entry.Verify(o.EnteredBy, nid(), publicKey("entry"), at()); err != nil {
		t.Errorf("entry statement: %v", err)
	}
	if err := o.Voucher.Verify(o.VouchedBy, nid(), publicKey("sponsor"), today, at()); err != nil {
		t.Errorf("voucher: %v", err)
	}
	bare := must((&Candidate{Descriptor: sealed(t, d)}).Encode())(t)
	o = must(OpenCandidate(bare, nid(), at(), limits()))(t)
	if o.Work != nil || o.Voucher != nil || o.VouchedBy != nil || o.Entry != nil || o.EnteredBy != nil {
		t.Error("parts out of nothing")
	}
}

// The largest of every part fit together. Spec: REC-1.
func TestCandidateSizes(t *testing.T) {
	c := candidate(t, full(t))
	c.Descriptor = make([]byte, MaxDescriptorSize)
	c.Voucher, c.Entry = make([]byte, MaxVoucherSize), make([]byte, MaxEntrySize)
	c.Work.Epoch, c.Work.Stamp = 1<<64-1, 1<<64-1
	if b := must(c.Encode())(t); len(b) > MaxCandidateSize {
		t.Errorf("%d bytes", len(b))
	}
	for name, change := range map[string]func(c *Candidate){
		"no descriptor":      func(c *Candidate) { c.Descriptor = nil },
		"descriptor too big": func(c *Candidate) { c.Descriptor = make([]byte, MaxDescriptorSize+1) },
		"voucher too big":    func(c *Candidate) { c.Voucher = make([]byte, MaxVoucherSize+1) },
		"entry too big":      func(c *Candidate) { c.Entry = make([]byte, MaxEntrySize+1) },
	} {
		c := candidate(t, full(t))
		change(c)
		if _, err := c.Encode(); !errors.Is(err, ErrCandidate) {
			t.Errorf("%s: %v", name, err)
		}
		w := wireCandidate{Version: CandidateVersion, Descriptor: c.Descriptor, Voucher: c.Voucher, Entry: c.Entry}
		b := must(strictcbor.Marshal(w))(t)
		if _, err := DecodeCandidate(b); !errors.Is(err, ErrCandidate) {
			t.Errorf("%s, decoded: %v", name, err)
		}
	}
	if _, err := DecodeCandidate(make([]byte, MaxCandidateSize+1)); !errors.Is(err, strictcbor.ErrSize) {
		t.Errorf("too large: %v", err)
	}
	b := must(strictcbor.MarshalExtra(wireCandidate{Version: CandidateVersion, Descriptor: []byte{1}}, extraOf(t, 20)))(t)
	if _, err := DecodeCandidate(b); !errors.Is(err, ErrCandidate) {
		t.Errorf("additions that nobody signed: %v", err)
	}
	b = must(strictcbor.Marshal(wireCandidate{Version: 2, Descriptor: []byte{1}}))(t)
	if _, err := DecodeCandidate(b); !errors.Is(err, ErrCandidate) {
		t.Errorf("version 2: %v", err)
	}
}

// Spec: REC-2.
func TestCandidateOfStrangePartsIsRefused(t *testing.T) {
	d := full(t)
	for name, test := range map[string]struct {
		change func(c *Candidate)
		want   error
	}{
		"as it should be": {func(*Candidate) {}, nil},
		"voucher for another": {func(c *Candidate) {
			v := voucher()
			v.Identity = publicKey("other")
			c.Voucher = must(SealVoucher(v, nid(), signingKey("sponsor")))(t)
		}, ErrVoucher},
		"its own sponsor": {func(c *Candidate) {
			v := voucher()
			v.Sponsor = ridOf("identity")
			c.Voucher = must(SealVoucher(v, nid(), signingKey("identity")))(t)
		}, ErrVoucher},
		"entry about another": {func(c *Candidate) {
			e := entryOf(t, d)
			e.Candidate[0] ^= 1
			c.Entry = must(SealEntry(e, nid(), signingKey("entry"), nil))(t)
		}, ErrEntry},
		"entry about another body": {func(c *Candidate) {
			e := entryOf(t, d)
			e.Body[0] ^= 1
			c.Entry = must(SealEntry(e, nid(), signingKey("entry"), nil))(t)
		}, ErrEntry},
		"entry that dialled some": {func(c *Candidate) {
			e := entryOf(t, d)
			e.Addresses = e.Addresses[1:]
			c.Entry = must(SealEntry(e, nid(), signingKey("entry"), nil))(t)
		}, ErrEntry},
		"its own entry": {func(c *Candidate) {
			e := entryOf(t, d)
			e.Entry = ridOf("identity")
			c.Entry = must(SealEntry(e, nid(), signingKey("identity"), nil))(t)
		}, ErrEntry},
		"another's descriptor": {func(c *Candidate) {
			payload := must(d.Encode())(t)
			s := Sign(descriptorKind, nid(), signingKey("other"), payload)
			c.Descriptor = must(s.Encode())(t)
		}, ErrSignature},
	} {
		c := candidate(t, d)
		test.change(c)
		if _, err := OpenCandidate(must(c.Encode())(t), nid(), at(), limits()); !errors.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := OpenCandidate(must(candidate(t, d).Encode())(t), nid(), d.Expires, limits()); !errors.Is(err, ErrExpired) {
		t.Errorf("expired: %v", err)
	}
}

// Spec: REC-3.
func TestCandidateIsNamedByDescriptorAndVoucher(t *testing.T) {
	name := func(change func(c *Candidate)) [32]byte {
		c := candidate(t, full(t))
		change(c)
		return must(OpenCandidate(must(c.Encode())(t), nid(), at(), limits()))(t).Digest
	}
	base := name(func(*Candidate) {})
	for what, same := range map[string][32]byte{
		"another entry relay": name(func(c *Candidate) {
			e := entryOf(t, full(t))
			e.Entry = ridOf("entry 2")
			c.Entry = must(SealEntry(e, nid(), signingKey("entry 2"), nil))(t)
		}),
		"no entry relay": name(func(c *Candidate) { c.Entry = nil }),
		"other work":     name(func(c *Candidate) { c.Work.Nonce++ }),
	} {
		if same != base {
			t.Errorf("%s: another item", what)
		}
	}
	if name(func(c *Candidate) { c.Voucher = nil }) == base {
		t.Error("without its voucher: the same item")
	}
	d := full(t)
	d.Seq++
	if name(func(c *Candidate) {
		c.Descriptor, c.Entry = sealed(t, d), must(SealEntry(entryOf(t, d), nid(), signingKey("entry"), nil))(t)
	}) == base {
		t.Error("another descriptor: the same item")
	}
}

// Spec: REC-4.
func TestVoucherRules(t *testing.T) {
	v, s, err := OpenVoucher(sealedVoucher(t))
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		sponsor ed25519.PublicKey
		today   uint16
		want    error
	}{
		"on its day":       {publicKey("sponsor"), today, nil},
		"on its last":      {publicKey("sponsor"), today + VoucherDays - 1, nil},
		"a day later":      {publicKey("sponsor"), today + VoucherDays, ErrVoucher},
		"a day early":      {publicKey("sponsor"), today - 1, ErrVoucher},
		"another's":        {publicKey("other"), today, ErrVoucher},
		"of no key at all": {nil, today, ErrVoucher},
	} {
		if err := v.Verify(s, nid(), test.sponsor, test.today, at()); !errors.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	forged := *s
	forged.Signature = bytes.Repeat([]byte{1}, SignatureSize)
	if err := v.Verify(&forged, nid(), publicKey("sponsor"), today, at()); !errors.Is(err, ErrSignature) {
		t.Errorf("forged: %v", err)
	}
	if _, err := SealVoucher(v, nid(), signingKey("other")); !errors.Is(err, ErrVoucher) {
		t.Errorf("sealed with another key: %v", err)
	}
	long := voucher()
	long.Day = 65535
	base := len(must(SealVoucher(long, nid(), signingKey("sponsor")))(t))
	for size := MaxVoucherSize; size <= MaxVoucherSize+1; size++ {
		long.Extra = extraOf(t, size-base)
		b, err := SealVoucher(long, nid(), signingKey("sponsor"))
		if (err == nil) != (size == MaxVoucherSize) || (err == nil && len(b) != size) {
			t.Errorf("%d bytes: %d, %v", size, len(b), err)
		}
	}
	certified := Sign(voucherKind, nid(), signingKey("signing"), must(voucher().Encode())(t))
	certified.Cert = NewCert(nid(), signingKey("sponsor"), publicKey("signing"), at().Add(time.Hour))
	if _, _, err := OpenVoucher(must(certified.Encode())(t)); err == nil {
		t.Error("a voucher through a certificate: accepted")
	}
}

// Spec: REC-5.
func TestTombstoneRules(t *testing.T) {
	whole := func(until time.Time) *Tombstone { return &Tombstone{Identity: publicKey("identity"), Until: until} }
	key := func(until time.Time) *Tombstone {
		return &Tombstone{Identity: publicKey("identity"), Key: publicKey("signing"), Until: until}
	}
	for name, test := range map[string]struct {
		r    *Tombstone
		want error
	}{
		"identity":                 {whole(at().Add(MaxTombstoneLife)), nil},
		"identity, a second more":  {whole(at().Add(MaxTombstoneLife + time.Second)), ErrTombstone},
		"signing key":              {key(at().Add(MaxCertLife)), nil},
		"signing key, a second":    {key(at().Add(MaxCertLife + time.Second)), ErrTombstone},
		"over":                     {whole(at()), ErrExpired},
		"one second left":          {whole(at().Add(time.Second)), nil},
		"end of the year 9999, no": {whole(time.Unix(maxUnix, 0)), ErrTombstone},
	} {
		b := must(SealTombstone(test.r, nid(), signingKey("identity")))(t)
		got, _, err := OpenTombstone(b, nid(), at())
		if !errors.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil && !bytes.Equal(must(SealTombstone(got, nid(), signingKey("identity")))(t), b) {
			t.Errorf("%s: seals otherwise", name)
		}
	}
	b := must(SealTombstone(key(at().Add(time.Hour)), nid(), signingKey("identity")))(t)
	t.Logf("tombstone %d bytes", len(b))
	cuts(t, "tombstone", b, func(b []byte) error { _, _, err := OpenTombstone(b, nid(), at()); return err })
	if _, _, err := OpenTombstone(b, [32]byte{1}, at()); !errors.Is(err, ErrSignature) {
		t.Errorf("of another network: %v", err)
	}
	if _, err := SealTombstone(whole(at()), nid(), signingKey("other")); !errors.Is(err, ErrKey) {
		t.Errorf("of another's identity: %v", err)
	}
	if _, err := SealTombstone(whole(time.Unix(maxUnix+1, 0)), nid(), signingKey("identity")); !errors.Is(err, ErrTombstone) {
		t.Errorf("after 9999: %v", err)
	}
	s := Sign(tombstoneKind, nid(), signingKey("signing"), must(whole(at().Add(time.Hour)).Encode())(t))
	s.Cert = NewCert(nid(), signingKey("identity"), publicKey("signing"), at().Add(time.Hour))
	if _, _, err := OpenTombstone(must(s.Encode())(t), nid(), at()); err == nil {
		t.Error("signed through a certificate: accepted")
	}
	cert, other := &Cert{Key: publicKey("signing")}, &Cert{Key: publicKey("other")}
	until := at().Add(time.Hour)
	for name, test := range map[string]struct {
		r    *Tombstone
		id   ed25519.PublicKey
		cert *Cert
		now  time.Time
		want bool
	}{
		"identity, direct":       {whole(until), publicKey("identity"), nil, at(), true},
		"identity, certified":    {whole(until), publicKey("identity"), cert, at(), true},
		"identity, later":        {whole(until), publicKey("identity"), nil, until, false},
		"another identity":       {whole(until), publicKey("other"), nil, at(), false},
		"signing key":            {key(until), publicKey("identity"), cert, at(), true},
		"another signing key":    {key(until), publicKey("identity"), other, at(), false},
		"signing key, not asked": {key(until), publicKey("identity"), nil, at(), false},
	} {
		if got := test.r.Revokes(test.id, test.cert, test.now); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// Spec: REC-2, REC-4.
func TestEntryBounds(t *testing.T) {
	e := entryOf(t, full(t))
	cert := NewCert(nid(), signingKey("entry"), publicKey("signing"), at().Add(time.Hour))
	b := must(SealEntry(e, nid(), signingKey("signing"), cert))(t)
	t.Logf("four addresses and a certificate: %d bytes", len(b))
	got, s, err := OpenEntry(b)
	if err != nil {
		t.Fatal(err)
	}
	if err := got.Verify(s, nid(), publicKey("entry"), at()); err != nil {
		t.Error(err)
	}
	if err := got.Verify(s, nid(), publicKey("other"), at()); !errors.Is(err, ErrEntry) {
		t.Errorf("another's: %v", err)
	}
	if err := got.Verify(s, nid(), publicKey("entry"), at().Add(2*time.Hour)); !errors.Is(err, ErrCert) {
		t.Errorf("certificate over: %v", err)
	}
	for size := MaxEntrySize; size <= MaxEntrySize+1; size++ {
		e.Extra = strictcbor.Extra{}
		e.Extra = extraOf(t, size-len(must(SealEntry(e, nid(), signingKey("entry"), nil))(t))-1)
		b, err := SealEntry(e, nid(), signingKey("entry"), nil)
		if (err == nil) != (size == MaxEntrySize) {
			t.Errorf("%d bytes: %d, %v", size, len(b), err)
		}
	}
	e.Addresses = nil
	if _, err := SealEntry(e, nid(), signingKey("entry"), nil); !errors.Is(err, ErrAddress) {
		t.Errorf("no addresses: %v", err)
	}
}

// Spec: REC-1, REC-3, REC-5, REC-6.
func TestJoinVectors(t *testing.T) {
	d := typical(t)
	c := candidate(t, d)
	b := must(c.Encode())(t)
	o := must(OpenCandidate(b, nid(), at(), limits()))(t)
	r := &Tombstone{Identity: publicKey("identity"), Key: publicKey("signing"), Until: at().Add(time.Hour)}
	e := conflicting(t)
	digest := must(e.Digest())(t)
	golden(t, "join.txt", "Records of joining and leaving. Keys: SHA-256 of a purpose as seed.\nA changed line is a change of the protocol. Spec: directory §3.\n", [][2]string{
		{"voucher", hex.EncodeToString(c.Voucher)},
		{"voucher_text", hex.EncodeToString([]byte(voucherText(t).Encode()))},
		{"entry", hex.EncodeToString(c.Entry)},
		{"candidate", hex.EncodeToString(b)},
		{"candidate_digest", fmt.Sprintf("%x", o.Digest)},
		{"tombstone", hex.EncodeToString(must(SealTombstone(r, nid(), signingKey("identity")))(t))},
		{"evidence", hex.EncodeToString(must(e.Encode())(t))},
		{"evidence_digest", fmt.Sprintf("%x", digest)},
	})
}

func FuzzCandidate(f *testing.F) {
	f.Add(must(candidate(f, typical(f)).Encode())(f))
	f.Add(must(candidate(f, full(f)).Encode())(f))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := DecodeCandidate(data)
		if err != nil {
			return
		}
		if again, err := c.Encode(); err != nil || !bytes.Equal(again, data) {
			t.Fatalf("became %x: %v", again, err)
		}
		_, _ = OpenCandidate(data, nid(), at(), limits())
	})
}

func FuzzVoucherTombstoneEntry(f *testing.F) {
	c := candidate(f, full(f))
	r := &Tombstone{Identity: publicKey("identity"), Key: publicKey("signing"), Until: at().Add(time.Hour)}
	for _, b := range [][]byte{c.Voucher, c.Entry, must(SealTombstone(r, nid(), signingKey("identity")))(f)} {
		f.Add(b)
		f.Add(must(DecodeSigned(b, len(b)))(f).Payload)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		same := func(b []byte, err error) {
			if err != nil || !bytes.Equal(b, data) {
				t.Fatalf("%x became %x: %v", data, b, err)
			}
		}
		_, _, _ = OpenVoucher(data)
		_, _, _ = OpenEntry(data)
		_, _, _ = OpenTombstone(data, nid(), at())
		if v, err := DecodeVoucher(data); err == nil {
			same(v.Encode())
		}
		if e, err := DecodeEntry(data); err == nil {
			same(e.Encode())
		}
		if r, err := DecodeTombstone(data); err == nil {
			same(r.Encode())
		}
	})
}
