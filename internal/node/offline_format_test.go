// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"testing"
	"time"
)

// offlineFiles are one of each file, for tests of form.
func offlineFiles(t testing.TB) map[string][]byte {
	t.Helper()
	identity := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, 32))
	public := [32]byte(identity.Public().(ed25519.PublicKey))
	k := &requestedKeys{nid: [32]byte{5}, name: "demo", identity: public, made: testStart.UTC().Truncate(time.Second), signing: [32]byte{2}}
	for i := range k.links {
		k.links[i] = [32]byte{3, byte(i)}
	}
	requested, err := k.encode()
	if err != nil {
		t.Fatal(err)
	}
	request, err := k.request()
	if err != nil {
		t.Fatal(err)
	}
	r, err := decodeRequest(request)
	if err != nil {
		t.Fatal(err)
	}
	a, err := r.sign(identity, 30, testStart)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := a.pack()
	if err != nil {
		t.Fatal(err)
	}
	c, err := newCertified(a, k.signing, k.links[:], 3)
	if err != nil {
		t.Fatal(err)
	}
	certified, err := c.encode()
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{
		"public": encodePublic(public), "request": request, "answer": armour(answerBlock, answer), "requested": requested, "certified": certified,
	}
}

// decodes reads a file of a kind and writes it again.
func decodes(kind string, file []byte) (again []byte, err error) {
	switch kind {
	case "public":
		k, err := decodePublic(file)
		return encodePublic(k), err
	case "request":
		r, err := decodeRequest(file)
		if err != nil {
			return nil, err
		}
		return file, errors0(r.digest == [32]byte{})
	case "answer":
		a, err := decodeAnswer(file)
		if err != nil {
			return nil, err
		}
		data, err := a.pack()
		return armour(answerBlock, data), err
	case "requested":
		k, err := decodeRequested(file)
		if err != nil {
			return nil, err
		}
		return k.encode()
	}
	c, err := decodeCertified(file)
	if err != nil {
		return nil, err
	}
	return c.encode()
}

func errors0(bad bool) error {
	if bad {
		return errOffline
	}
	return nil
}

// TestOfflineFilesHaveOneForm: they come back as they were, and cut or changed at any byte
// they are refused.
func TestOfflineFilesHaveOneForm(t *testing.T) {
	bounds := map[string]int{"public": maxPublicSize, "request": maxRequestSize, "answer": maxAnswerSize, "requested": maxRequestedSize, "certified": maxCertifiedSize}
	for kind, file := range offlineFiles(t) {
		t.Logf("%s: %d bytes of %d", kind, len(file), bounds[kind])
		if len(file) > bounds[kind] {
			t.Errorf("%s: %d bytes of %d", kind, len(file), bounds[kind])
		}
		again, err := decodes(kind, file)
		if err != nil || !bytes.Equal(again, file) {
			t.Fatalf("%s: %v", kind, err)
		}
		if _, err := decodes(kind, bytes.ReplaceAll(file, []byte("\n"), []byte("\r\n"))); err != nil {
			t.Errorf("%s with other line ends: %v", kind, err)
		}
		step := max(1, len(file)/60)
		for n := 0; n < len(file)-1; n += step {
			if _, err := decodes(kind, file[:n]); err == nil {
				t.Fatalf("%s cut to %d bytes", kind, n)
			}
			if file[n] == '\n' {
				continue
			}
			bad := bytes.Clone(file)
			bad[n] ^= 1
			if _, err := decodes(kind, bad); err == nil && kind == "request" { // what is in the others is seen when they are used
				t.Fatalf("%s changed at %d", kind, n)
			}
		}
		if _, err := decodes(kind, append(bytes.Clone(file), 'x')); err == nil {
			t.Errorf("%s and a byte", kind)
		}
		if _, err := decodes(kind, append(make([]byte, bounds[kind]), file...)); err == nil {
			t.Errorf("%s of any size", kind)
		}
	}
}

// TestAnAnswerIsWorthNothingWhereAnythingInItIsAnothers: it is what protects a relay from
// whoever carries it.
func TestAnAnswerIsWorthNothingWhereAnythingInItIsAnothers(t *testing.T) {
	files := offlineFiles(t)
	identity, thief := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, 32)), ed25519.NewKeyFromSeed(bytes.Repeat([]byte{9}, 32))
	k, err := decodeRequested(files["requested"])
	if err != nil {
		t.Fatal(err)
	}
	r, err := decodeRequest(files["request"])
	if err != nil {
		t.Fatal(err)
	}
	fresh := func(by ed25519.PrivateKey) *signingAnswer {
		a, err := r.sign(by, 30, testStart)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	elsewhere := *r
	elsewhere.nid[0]++
	for name, change := range map[string]func(a *signingAnswer){
		"another signs":            func(a *signingAnswer) { *a = *fresh(thief) },
		"another's certificate":    func(a *signingAnswer) { a.certificates[3] = fresh(thief).certificates[3] },
		"another's cert":           func(a *signingAnswer) { a.cert = fresh(thief).cert },
		"certificates in disorder": func(a *signingAnswer) { a.certificates[3], a.certificates[4] = a.certificates[4], a.certificates[3] },
		"a longer cert":            func(a *signingAnswer) { a.cert.NotAfter = a.cert.NotAfter.Add(time.Second) },
		"for another network":      func(a *signingAnswer) { b, _ := elsewhere.sign(identity, 30, testStart); b.nid = r.nid; *a = *b },
		"fewer certificates":       func(a *signingAnswer) { a.certificates = a.certificates[:30] },
	} {
		a := fresh(identity)
		change(a)
		a.identity = r.identity
		if _, err := newCertified(a, k.signing, k.links[:], 0); err == nil {
			t.Error(name)
		}
	}
	if _, err := newCertified(fresh(identity), k.signing, k.links[:], 0); err != nil {
		t.Error(err)
	}
	// 30 days of link keys: two at every moment.
	all, err := newCertified(fresh(identity), k.signing, k.links[:], 0)
	if err != nil {
		t.Fatal(err)
	}
	for at := time.Duration(0); at < 30*24*time.Hour-clockGrace; at += time.Hour {
		good := 0
		for _, id := range all.relay.Links {
			if id.GoodAt(testStart.Add(at)) {
				good++
			}
		}
		if good < 2 {
			t.Fatalf("%d are good after %v", good, at)
		}
	}
}

// Spec: product REL-12.
func FuzzOfflineFiles(f *testing.F) {
	for _, file := range offlineFiles(f) {
		f.Add(file)
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		for _, kind := range []string{"public", "request", "answer", "requested", "certified"} {
			again, err := decodes(kind, file)
			if err != nil {
				continue
			}
			file := append(bytes.TrimSpace(bytes.ReplaceAll(file, []byte("\r\n"), []byte("\n"))), '\n')
			if !bytes.Equal(again, file) && kind != "request" {
				t.Fatalf("%s became %s", kind, hex.EncodeToString(again))
			}
		}
	})
}
