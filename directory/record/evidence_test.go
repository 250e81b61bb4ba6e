// SPDX-License-Identifier: BSD-3-Clause

package record

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"chive/internal/strictcbor"
)

// conflicting is evidence of two descriptors with one seq.
func conflicting(t testing.TB) *Evidence {
	t.Helper()
	a, b := typical(t), typical(t)
	b.DeclaredRate++
	return must(NewEvidence(ClassDescriptor, publicKey("identity"), sealed(t, a), sealed(t, b)))(t)
}

// ballot signs a made-up vote: epoch 1, choice 1.
func ballot(t testing.TB, label, key string, epoch, choice byte) []byte {
	t.Helper()
	s := Sign(label, nid(), signingKey(key), []byte{epoch, choice})
	return must(s.Encode())(t)
}

func rules() Rules {
	same := func(a, b []byte) error {
		if len(a) != 2 || len(b) != 2 || a[0] != b[0] {
			return ErrNoConflict
		}
		return nil
	}
	return Rules{ClassVote: {"vote", same}, ClassProposal: {"proposal", same}}
}

// Spec: REC-6.
func TestEvidenceOfTwoDescriptors(t *testing.T) {
	e := conflicting(t)
	b := must(e.Encode())(t)
	t.Logf("%d bytes", len(b))
	cuts(t, "evidence", b, func(b []byte) error { _, err := DecodeEvidence(b); return err })
	got := must(DecodeEvidence(b))(t)
	if err := got.Verify(nid(), at(), limits(), nil); err != nil {
		t.Error(err)
	}
	if again := must(got.Encode())(t); !bytes.Equal(again, b) {
		t.Error("encodes otherwise")
	}
	a, c := full(t), full(t)
	c.Contact = "x"
	large := must(NewEvidence(ClassDescriptor, publicKey("identity"), sealed(t, a), sealed(t, c)))(t)
	if err := large.Verify(nid(), at(), limits(), nil); err != nil {
		t.Errorf("the largest descriptors: %v", err)
	}
	swapped := &Evidence{Kind: e.Kind, Signer: e.Signer, First: e.Second, Second: e.First}
	if _, err := swapped.Encode(); !errors.Is(err, ErrEvidence) {
		t.Errorf("in the other order: %v", err)
	}
	other, same := typical(t), typical(t)
	other.Seq++
	if err := must(NewEvidence(ClassDescriptor, publicKey("identity"), sealed(t, same), sealed(t, other)))(t).Verify(nid(), at(), limits(), nil); !errors.Is(err, ErrNoConflict) {
		t.Errorf("two seqs: %v", err)
	}
	if _, err := NewEvidence(ClassDescriptor, publicKey("identity"), sealed(t, same), sealed(t, same)); !errors.Is(err, ErrEvidence) {
		t.Errorf("one descriptor twice: %v", err)
	}
	foreign := *e
	foreign.Signer = publicKey("other")
	if err := foreign.Verify(nid(), at(), limits(), nil); !errors.Is(err, ErrEvidence) {
		t.Errorf("under another's name: %v", err)
	}
	if err := e.Verify(nid(), typical(t).Expires, limits(), nil); !errors.Is(err, ErrExpired) {
		t.Errorf("after its time: %v", err)
	}
}

// TestEvidenceUnderCertificates: what a signing key says binds the identity that has
// certified it, for as long as the certificate holds. Spec: REC-6, DIR-2.
func TestEvidenceUnderCertificates(t *testing.T) {
	end := at().Add(24 * time.Hour)
	cert := func(by, key string, end time.Time) *Cert { return NewCert(nid(), signingKey(by), publicKey(key), end) }
	under := func(d *Descriptor, key string, c *Cert) []byte {
		return must(SealDescriptor(d, nid(), signingKey(key), c))(t)
	}
	a, b := typical(t), typical(t)
	b.DeclaredRate++
	one, other := cert("identity", "signing", end), cert("identity", "signing 2", end)
	for name, c := range map[string]struct {
		a, b []byte
		at   time.Time
		want error
	}{
		"one certificate":       {under(a, "signing", one), under(b, "signing", one), at(), nil},
		"two certificates":      {under(a, "signing", one), under(b, "signing 2", other), at(), nil},
		"identity and another":  {sealed(t, a), under(b, "signing", one), at(), nil},
		"it has ended":          {sealed(t, a), under(b, "signing", one), end, ErrCert},
		"another's certificate": {sealed(t, a), under(b, "signing", cert("other", "signing", end)), at(), ErrCert},
		"for too long":          {sealed(t, a), under(b, "signing", cert("identity", "signing", at().Add(MaxCertLife+time.Second))), at(), ErrCert},
		"another key's":         {sealed(t, a), under(b, "signing 2", one), at(), ErrSignature},
	} {
		e := must(NewEvidence(ClassDescriptor, publicKey("identity"), c.a, c.b))(t)
		data := must(e.Encode())(t)
		got := must(DecodeEvidence(data))(t)
		if err := got.Verify(nid(), c.at, limits(), nil); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Another signature on the same payloads is the same item: whoever holds several keys
	// is accused once.
	first := must(NewEvidence(ClassDescriptor, publicKey("identity"), sealed(t, a), sealed(t, b)))(t)
	second := must(NewEvidence(ClassDescriptor, publicKey("identity"), under(a, "signing", one), under(b, "signing 2", other)))(t)
	if must(first.Digest())(t) != must(second.Digest())(t) {
		t.Error("two items")
	}
	if _, err := NewEvidence(ClassDescriptor, publicKey("identity"), sealed(t, a), under(a, "signing", one)); !errors.Is(err, ErrEvidence) {
		t.Errorf("one descriptor, signed with both: %v", err)
	}
	// The largest descriptors fit.
	large, larger := full(t), full(t)
	large.Contact, larger.Contact = "x", "y"
	for d, key := range map[*Descriptor]string{large: "x", larger: "y"} {
		for len(under(d, "signing", one)) < MaxDescriptorSize-2 {
			d.Contact += key
		}
	}
	e := must(NewEvidence(ClassDescriptor, publicKey("identity"), under(large, "signing", one), under(larger, "signing", one)))(t)
	t.Logf("%d bytes of %d", len(must(e.Encode())(t)), MaxEvidenceSize)
	if err := e.Verify(nid(), at(), limits(), nil); err != nil {
		t.Errorf("the largest descriptors: %v", err)
	}
}

// Spec: REC-6, REC-7.
func TestEvidenceOfOpaqueKinds(t *testing.T) {
	key := publicKey("committee")
	e := must(NewEvidence(ClassVote, key, ballot(t, "vote", "committee", 1, 1), ballot(t, "vote", "committee", 1, 2)))(t)
	if err := must(DecodeEvidence(must(e.Encode())(t)))(t).Verify(nid(), at(), limits(), rules()); err != nil {
		t.Error(err)
	}
	for name, test := range map[string]struct {
		kind byte
		a, b []byte
		want error
	}{
		"two epochs":     {ClassVote, ballot(t, "vote", "committee", 1, 1), ballot(t, "vote", "committee", 2, 2), ErrNoConflict},
		"forged":         {ClassVote, ballot(t, "vote", "committee", 1, 1), ballot(t, "vote", "other", 1, 2), ErrSignature},
		"another kind":   {ClassProposal, ballot(t, "vote", "committee", 1, 1), ballot(t, "vote", "committee", 1, 2), ErrSignature},
		"of no rule":     {ClassSignature, ballot(t, "signature", "committee", 1, 1), ballot(t, "signature", "committee", 1, 2), ErrRule},
		"of no kind":     {0, ballot(t, "vote", "committee", 1, 1), ballot(t, "vote", "committee", 1, 2), ErrRule},
		"of descriptors": {ClassDescriptor, ballot(t, "vote", "committee", 1, 1), ballot(t, "vote", "committee", 1, 2), strictcbor.ErrForm},
	} {
		e, err := NewEvidence(test.kind, key, test.a, test.b)
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Verify(nid(), at(), limits(), rules()); !errors.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	certified := must(DecodeSigned(e.First, MaxEvidenceSize))(t)
	certified.Cert = NewCert(nid(), signingKey("committee"), publicKey("signing"), at())
	through := must(NewEvidence(ClassVote, key, must(certified.Encode())(t), e.Second))(t)
	if err := through.Verify(nid(), at(), limits(), rules()); !errors.Is(err, ErrEvidence) {
		t.Errorf("through a certificate: %v", err)
	}
}

// Spec: REC-3.
func TestEvidenceIsNamedByPayloads(t *testing.T) {
	a := must(conflicting(t).Digest())(t)
	other := conflicting(t)
	s := must(DecodeSigned(other.First, MaxEvidenceSize))(t)
	s.Signature[0] ^= 1
	other.First = must(s.Encode())(t)
	if must(other.Digest())(t) != a {
		t.Error("another signature on the same payload: another item")
	}
	third := typical(t)
	third.DeclaredRate += 2
	if must(must(NewEvidence(ClassDescriptor, publicKey("identity"), conflicting(t).First, sealed(t, third)))(t).Digest())(t) == a {
		t.Error("another payload: the same item")
	}
}

func TestEvidenceBounds(t *testing.T) {
	for size := MaxEvidenceSize; size <= MaxEvidenceSize+1; size++ {
		made := func(n int) *Evidence {
			s := Sign("vote", nid(), signingKey("committee"), make([]byte, n))
			b := ballot(t, "vote", "committee", 1, 2)
			return must(NewEvidence(ClassVote, publicKey("committee"), must(s.Encode())(t), b))(t)
		}
		n := size - 300
		w := func(e *Evidence) wireEvidence {
			return wireEvidence{Version: EvidenceVersion, Kind: e.Kind, Signer: e.Signer, First: e.First, Second: e.Second}
		}
		for len(must(strictcbor.Marshal(w(made(n))))(t)) < size {
			n++
		}
		e := made(n)
		b, err := e.Encode()
		if (err == nil) != (size == MaxEvidenceSize) || (err == nil && len(b) != size) {
			t.Errorf("%d bytes: %d, %v", size, len(b), err)
		}
		if _, err := DecodeEvidence(must(strictcbor.Marshal(w(e)))(t)); (err == nil) != (size == MaxEvidenceSize) {
			t.Errorf("%d bytes, decoded: %v", size, err)
		}
	}
	e := conflicting(t)
	w := wireEvidence{Version: EvidenceVersion, Kind: e.Kind, Signer: e.Signer, First: e.First, Second: e.Second}
	if _, err := DecodeEvidence(must(strictcbor.MarshalExtra(w, extraOf(t, 20)))(t)); !errors.Is(err, ErrEvidence) {
		t.Errorf("additions that nobody signed: %v", err)
	}
	w.Version = 2
	if _, err := DecodeEvidence(must(strictcbor.Marshal(w))(t)); !errors.Is(err, ErrEvidence) {
		t.Errorf("version 2: %v", err)
	}
	e.Signer = make([]byte, 32)
	if _, err := e.Encode(); !errors.Is(err, ErrKey) {
		t.Errorf("a bad key: %v", err)
	}
}

func FuzzEvidence(f *testing.F) {
	f.Add(must(conflicting(f).Encode())(f))
	e := must(NewEvidence(ClassVote, publicKey("committee"), ballot(f, "vote", "committee", 1, 1), ballot(f, "vote", "committee", 1, 2)))(f)
	f.Add(must(e.Encode())(f))
	a, b := typical(f), typical(f)
	b.DeclaredRate++
	cert := NewCert(nid(), signingKey("identity"), publicKey("signing"), at().Add(24*time.Hour))
	under := func(d *Descriptor) []byte { return must(SealDescriptor(d, nid(), signingKey("signing"), cert))(f) }
	f.Add(must(must(NewEvidence(ClassDescriptor, publicKey("identity"), under(a), under(b)))(f).Encode())(f))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := DecodeEvidence(data)
		if err != nil {
			return
		}
		if again, err := e.Encode(); err != nil || !bytes.Equal(again, data) {
			t.Fatalf("became %x: %v", again, err)
		}
		if _, err := e.Digest(); err != nil {
			t.Fatal(err)
		}
		_ = e.Verify(nid(), at(), limits(), rules())
	})
}
