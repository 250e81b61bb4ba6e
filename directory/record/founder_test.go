// SPDX-License-Identifier: BSD-3-Clause

package record

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"
)

func founderFile(t testing.TB, f *Founder) []byte {
	t.Helper()
	b, err := f.SignFile(signingKey("identity"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestFounderFileRoundTrip(t *testing.T) {
	for name, f := range map[string]*Founder{"typical": founder(t), "full": fullFounder(t)} {
		b := founderFile(t, f)
		got, err := ParseFounderFile(b)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !bytes.Equal(founderFile(t, got), b) {
			t.Errorf("%s: signs to another file", name)
		}
		record, err := got.Encode()
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: record %d bytes, file %d", name, len(record), len(b))
		for n := range b {
			if _, err := ParseFounderFile(b[:n]); err == nil {
				t.Fatalf("%s cut to %d bytes: accepted", name, n)
			}
		}
		for n := range record {
			if _, err := DecodeFounder(record[:n]); err == nil {
				t.Fatalf("%s record cut to %d bytes: accepted", name, n)
			}
		}
		if _, err := ParseFounderFile(append(bytes.Clone(b), 0)); err == nil {
			t.Errorf("%s with a trailing byte: accepted", name)
		}
	}
}

func TestFounderFileOfAnotherHandIsRefused(t *testing.T) {
	f := founder(t)
	if _, err := f.SignFile(signingKey("other")); !errors.Is(err, ErrKey) {
		t.Errorf("signed with another key: %v", err)
	}
	payload, err := f.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		s    Signed
		want error
	}{
		"another signer": {Sign(founderKind, [32]byte{}, signingKey("other"), payload), ErrSignature},
		"another kind":   {Sign("descriptor", [32]byte{}, signingKey("identity"), payload), ErrSignature},
		"a network":      {Sign(founderKind, nid(), signingKey("identity"), payload), ErrSignature},
		"algorithm 2":    {Signed{Alg: 2, Signature: make([]byte, 64), Payload: payload}, ErrAlgorithm},
	} {
		b, err := test.s.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseFounderFile(b); !errors.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFounderBounds(t *testing.T) {
	for name, test := range map[string]struct {
		change func(f *Founder)
		want   error
	}{
		"as it should be":     {func(*Founder) {}, nil},
		"no family":           {func(f *Founder) { f.Family = nil }, nil},
		"no identity":         {func(f *Founder) { f.Identity = nil }, ErrKey},
		"zero onion key":      {func(f *Founder) { f.Onion = [32]byte{} }, ErrKey},
		"zero VRF key":        {func(f *Founder) { f.VRF = [32]byte{} }, ErrKey},
		"zero committee key":  {func(f *Founder) { f.Committee[1] = [32]byte{} }, ErrKey},
		"bad family":          {func(f *Founder) { f.Family = make([]byte, 32) }, ErrKey},
		"no address":          {func(f *Founder) { f.Addresses = nil }, ErrAddress},
		"long policy":         {func(f *Founder) { f.Policy = append(f.Policy, PortRange{UDP, 1, 1}) }, ErrPolicy},
		"exit without policy": {func(f *Founder) { f.Policy = nil }, ErrFounder},
		"policy without exit": {func(f *Founder) { f.Roles = RoleGuard }, ErrFounder},
		"unknown role":        {func(f *Founder) { f.Roles |= 1 << 7 }, ErrFounder},
	} {
		f := fullFounder(t)
		test.change(f)
		b, err := f.Encode()
		if !errors.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil && len(b) > MaxFounderSize-64 {
			t.Errorf("%s: %d bytes leave no room for additions", name, len(b))
		}
	}
}

func TestFounderVectors(t *testing.T) {
	golden(t, "founder.txt", "Founders' files. Keys: SHA-256 of a purpose as seed.\nA changed line is a change of the protocol. Spec: directory §2.\n", [][2]string{
		{"typical", hex.EncodeToString(founderFile(t, founder(t)))},
		{"full", hex.EncodeToString(founderFile(t, fullFounder(t)))},
	})
}

func FuzzFounder(f *testing.F) {
	for _, x := range []*Founder{founder(f), fullFounder(f)} {
		f.Add(founderFile(f, x))
		b, err := x.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if x, err := ParseFounderFile(data); err == nil {
			if _, err := x.Encode(); err != nil {
				t.Fatal(err)
			}
		}
		x, err := DecodeFounder(data)
		if err != nil {
			return
		}
		again, err := x.Encode()
		if err != nil || !bytes.Equal(again, data) {
			t.Fatalf("%x became %x: %v", data, again, err)
		}
	})
}
