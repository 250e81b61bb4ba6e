// SPDX-License-Identifier: BSD-3-Clause

package sync

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"

	"chive/directory/genesis"
	"chive/directory/record"
	"chive/directory/vote"
)

// summed puts the right sum behind a state that was changed.
func summed(data []byte) []byte {
	sum := record.Hash("follower", record.Sized(data))
	return append(bytes.Clone(data), sum[:]...)
}

// savedState is a follower that holds all that can be saved.
func savedState(t testing.TB) (*lab, *Follower) {
	l := grown(t, 4)
	other := l.fork()
	l.grow(l.renew(1))
	other.grow(other.renew(2))
	l.grow()
	other.grow()
	f := l.follower()
	if r, err := l.fetch(f, of(l.server(), l.clock())); r != Newer || err != nil {
		t.Fatalf("%v, %v", r, err)
	}
	if _, err := l.fetch(f, of(other.server(), l.clock())); !errors.Is(err, ErrSplit) {
		t.Fatal(err)
	}
	f.illegal = other.finals[5].Certificate
	f.keepFork(other.finals[4].Certificate)
	return l, f
}

// Spec: SYNC-10.
func TestSavedState(t *testing.T) {
	l, f := savedState(t)
	saved := f.Encode()
	again, err := LoadFollower(l.doc, vote.Plain{}, saved)
	if err != nil {
		t.Fatal(err)
	}
	if again.Snapshot().Header().Digest() != f.Snapshot().Header().Digest() || again.Anchor().Epoch != 5 || len(again.Anchor().Lists) != 2 ||
		again.Split().HeaderDigest() != f.Split().HeaderDigest() || again.Illegal().HeaderDigest() != f.Illegal().HeaderDigest() ||
		again.Fork().Theirs.HeaderDigest() != f.Split().HeaderDigest() || len(again.Evidence()) != len(f.Evidence()) || !bytes.Equal(again.Encode(), saved) {
		t.Error("what was loaded is not what was saved")
	}
	l.grow(l.renew(3))
	if r, err := l.fetch(again, of(l.server(), l.clock())); r != Newer || err != nil {
		t.Errorf("it does not go on: %v, %v", r, err)
	}
	zero := l.follower()
	if again, err := LoadFollower(l.doc, vote.Plain{}, zero.Encode()); err != nil || again.Snapshot().Epoch() != 0 || len(again.Anchor().Lists) != 2 {
		t.Errorf("snapshot 0: %v", err)
	}
	// What was saved before there were forks: without the two sizes before the count of
	// evidence.
	first := zero.Encode()
	before := append([]byte{savedUnforked}, first[1:len(first)-32-9]...)
	if again, err := LoadFollower(l.doc, vote.Plain{}, summed(append(before, 0))); err != nil || again.Fork() != nil || !bytes.Equal(again.Encode(), first) {
		t.Errorf("version 1: %v", err)
	}
	half := append(bytes.Clone(first[:len(first)-32-5]), appendCertificate(nil, f.cert)...)
	if _, err := LoadFollower(l.doc, vote.Plain{}, summed(append(half, 0))); !errors.Is(err, ErrSaved) {
		t.Errorf("half a fork: %v", err)
	}
	for n := range saved {
		if _, err := LoadFollower(l.doc, vote.Plain{}, saved[:n]); !errors.Is(err, ErrSaved) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
	data := saved[:len(saved)-32]
	change := func(at int, to byte) []byte {
		b := bytes.Clone(data)
		b[at] ^= to
		return summed(b)
	}
	for name, b := range map[string][]byte{
		"nothing": nil, "a bit": append([]byte{saved[0]}, append([]byte{saved[1] ^ 1}, saved[2:]...)...), "another version": change(0, 3),
		"another network": change(5, 1), "another epoch": change(40, 1), "a false certificate": change(1100, 1), "a byte more": summed(append(bytes.Clone(data), 0)),
		"too long": make([]byte, MaxSavedSize+1),
	} {
		if _, err := LoadFollower(l.doc, vote.Plain{}, b); !errors.Is(err, ErrSaved) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for n := 41; n < len(data); n += 1 + n/50 {
		if _, err := LoadFollower(l.doc, vote.Plain{}, summed(data[:n])); !errors.Is(err, ErrSaved) {
			t.Fatalf("cut to %d bytes, with a sum: %v", n, err)
		}
	}
	other := newLab(t, 4, genesis.Testnet())
	if _, err := LoadFollower(other.doc, vote.Plain{}, saved); !errors.Is(err, ErrSaved) {
		t.Errorf("of another network: %v", err)
	}
	// More than may be.
	f.evidence = append(f.evidence, make([]*record.Evidence, 0)...)
	for len(f.evidence) <= maxEvidence {
		f.evidence = append(f.evidence, f.evidence[0])
	}
	if _, err := LoadFollower(l.doc, vote.Plain{}, f.Encode()); !errors.Is(err, ErrSaved) {
		t.Errorf("more evidence: %v", err)
	}
	f.evidence = f.evidence[:maxEvidence]
	if _, err := LoadFollower(l.doc, vote.Plain{}, f.Encode()); err != nil {
		t.Errorf("most evidence: %v", err)
	}
	for len(f.at.Lists) <= MaxListCount {
		f.at.Lists = append(f.at.Lists, f.at.Lists[0])
	}
	if _, err := LoadFollower(l.doc, vote.Plain{}, f.Encode()); !errors.Is(err, ErrSaved) {
		t.Errorf("more lists: %v", err)
	}
}

// What a release or another client saved stays readable.
func TestSavedVectors(t *testing.T) {
	l := newLab(t, 1, genesis.Testnet())
	l.grow()
	l.grow()
	f := l.follower()
	if r, err := l.fetch(f, of(l.server(), l.clock())); r != Newer || err != nil {
		t.Fatalf("%v, %v", r, err)
	}
	golden(t, "saved.txt", "A client's saved state: network of one relay, epoch 1. Spec: protocol §7 (SYNC-10).\n", [][2]string{
		{"nid", func() string { n := l.doc.NetworkID(); return hex.EncodeToString(n[:]) }()}, {"saved", hex.EncodeToString(f.Encode())},
	})
}

func FuzzSaved(f *testing.F) {
	l, follower := savedState(f)
	saved := follower.Encode()
	f.Add(saved[:len(saved)-32])
	zero := l.follower().Encode()
	f.Add(zero[:len(zero)-32])
	f.Fuzz(func(t *testing.T, data []byte) {
		again, err := LoadFollower(l.doc, vote.Plain{}, summed(data))
		if err != nil {
			return
		}
		if _, err := LoadFollower(l.doc, vote.Plain{}, again.Encode()); err != nil {
			t.Fatalf("what was loaded does not load again: %v", err)
		}
	})
}
