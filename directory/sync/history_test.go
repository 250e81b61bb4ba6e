// SPDX-License-Identifier: BSD-3-Clause

package sync

import (
	"bytes"
	"testing"

	"chive/directory/genesis"
	"chive/directory/snapshot"
	"chive/directory/vote"
)

// Whatever was forgotten, what is kept can be proven, by the same path as from all.
// Spec: SYNC-8, TRN-12.
func TestProofsWithoutTheOldest(t *testing.T) {
	const most = 37
	digests := make([][32]byte, most)
	for i := range digests {
		digests[i] = number(i)
	}
	var before snapshot.History
	for from := range most {
		a := ancestry{before: before, digests: digests[from:]}
		whole := before
		for size := from; size <= most; size++ {
			for index := range size {
				path, ok := a.path(uint64(index), uint64(size))
				if ok != (index >= from) {
					t.Fatalf("from %d: %d of %d: %t", from, index, size, ok)
				}
				if !ok {
					continue
				}
				if !snapshot.InHistory(digests[index], uint64(index), uint64(size), whole.Root(), path) {
					t.Fatalf("from %d: %d of %d does not hold", from, index, size)
				}
			}
			if size < most {
				whole = whole.Append(digests[size])
			}
		}
		if _, ok := a.path(0, most+1); ok {
			t.Fatalf("from %d: beyond the newest", from)
		}
		before = before.Append(digests[from])
	}
	a := ancestry{}
	for i := range maxCertificates + 5 {
		a = a.append(number(i))
	}
	if len(a.digests) != maxCertificates || a.before.Size() != 5 {
		t.Errorf("%d kept after %d", len(a.digests), a.before.Size())
	}
	if path, ok := a.path(6, maxCertificates); !ok || len(path) == 0 {
		t.Error("what is kept cannot be proven")
	}
}

// A restart loses nothing of the past: from what Past returned, from certificates back
// to snapshot 0, or from both. Spec: SYNC-8.
func TestPastAfterARestart(t *testing.T) {
	l := grown(t, 12)
	s := l.server()
	past := s.Past()
	if len(past) > MaxPastSize {
		t.Errorf("%d bytes", len(past))
	}
	var certs []*vote.Certificate
	for _, f := range l.finals {
		certs = append(certs, f.Certificate)
	}
	fresh := NewServer(l.doc).With(l.finals[11])
	middle := NewServer(l.doc).With(l.finals[5]).With(l.finals[6])
	other := newLab(t, 5, genesis.Testnet())
	cut := past[:len(past)-1]
	wrong := bytes.Clone(past)
	wrong[60] ^= 1
	for name, test := range map[string]struct {
		s           *Server
		past        []byte
		certs       []*vote.Certificate
		proofs, has int // digests and certificates afterwards
	}{
		"all":                          {fresh, past, certs, 13, 12},
		"certificates":                 {fresh, nil, certs, 13, 12},
		"digests":                      {fresh, past, nil, 13, 1},
		"digests until the middle":     {fresh, middle.Past(), certs[6:], 7, 6},
		"a certificate short":          {fresh, nil, certs[1:], 1, 1},
		"a gap":                        {fresh, middle.Past(), certs[9:], 1, 1},
		"nothing":                      {fresh, nil, nil, 1, 1},
		"of another network":           {fresh, other.server().Past(), nil, 1, 1},
		"damaged":                      {fresh, wrong, nil, 1, 1},
		"cut":                          {fresh, cut, nil, 1, 1},
		"too long":                     {fresh, append(bytes.Clone(past), make([]byte, MaxPastSize)...), nil, 1, 1},
		"no final":                     {NewServer(l.doc), past, certs, 1, 0},
		"an older one, from the newer": {NewServer(l.doc).With(l.finals[6]), past, certs, 8, 7},
		"knows more already":           {s, nil, nil, 13, 12},
	} {
		again := test.s.WithPast(test.past, test.certs)
		if len(again.past.digests) != test.proofs || len(again.certs) != test.has {
			t.Errorf("%s: %d digests, %d certificates", name, len(again.past.digests), len(again.certs))
		}
		if h := again.newest(); h != nil {
			for i := range again.past.digests[:len(again.past.digests)-1] {
				n := again.past.before.Size() + uint64(i)
				path, ok := again.past.path(n, h.number())
				if !ok || !snapshot.InHistory(again.past.digests[i], n, h.number(), h.snap.Header().HistoryRoot, path) {
					t.Errorf("%s: number %d does not hold", name, n)
				}
			}
		}
	}
	for n := range past {
		if _, ok := fresh.decodePast(past[:n]); ok && (n-len(past))%32 != 0 {
			t.Fatalf("cut to %d bytes: taken", n)
		}
	}
}

func FuzzPast(f *testing.F) {
	l := grown(f, 3)
	s := l.server()
	f.Add(s.Past())
	fresh := NewServer(l.doc).With(l.finals[2])
	f.Fuzz(func(t *testing.T, data []byte) {
		again := fresh.WithPast(data, nil)
		if len(again.past.digests) > 1 && !bytes.Contains(data, again.past.digests[0][:]) {
			t.Fatal("a past was made up")
		}
	})
}
