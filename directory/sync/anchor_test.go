// SPDX-License-Identifier: BSD-3-Clause

package sync

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"
	"time"

	"chive/directory/committee"
	"chive/directory/genesis"
	"chive/directory/record"
	"chive/directory/vote"
)

func anchorOf(t testing.TB, f Final) *AnchorFile {
	t.Helper()
	a, err := f.AnchorFile()
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// resigned puts a sum behind an anchor that was changed.
func resigned(data []byte) []byte {
	sum := record.Hash("anchor", record.Sized(data))
	return append(bytes.Clone(data), sum[:]...)
}

// Spec: ANC-1.
func TestAnchorFileRoundTripAndBounds(t *testing.T) {
	l := newLab(t, 200, genesis.Testnet())
	l.grow()
	a := anchorOf(t, l.finals[len(l.finals)-1])
	data := a.Encode()
	if len(data) > MaxAnchorSize || len(a.Fallback) != MaxFallbackCount {
		t.Errorf("%d bytes, %d relays", len(data), len(a.Fallback))
	}
	again, err := ParseAnchorFile(data)
	if err != nil || !bytes.Equal(again.Encode(), data) || again.Verify(l.doc, vote.Plain{}) != nil {
		t.Fatal(err)
	}
	for n := range data {
		if _, err := ParseAnchorFile(data[:n]); !errors.Is(err, ErrAnchor) {
			t.Fatalf("cut to %d: %v", n, err)
		}
	}
	body := data[:len(data)-32]
	for n := len(anchorLabel); n < len(body); n += 1 + n/60 {
		if _, err := ParseAnchorFile(resigned(body[:n])); !errors.Is(err, ErrAnchor) {
			t.Fatalf("cut to %d, with a sum: %v", n, err)
		}
	}
	changed := func(change func(a *AnchorFile)) []byte {
		c := *a
		change(&c)
		return c.Encode()
	}
	for name, b := range map[string][]byte{
		"a byte more": resigned(append(bytes.Clone(body), 0)), "too long": make([]byte, MaxAnchorSize+1),
		"another kind":    append([]byte("chive anchor v2\n"), data[len(anchorLabel):]...),
		"another network": resigned(append(append([]byte(anchorLabel), 9), body[len(anchorLabel)+1:]...)),
		"too many relays": changed(func(a *AnchorFile) {
			a.Fallback = append(a.Fallback[:len(a.Fallback):len(a.Fallback)], Fallback{RID: record.RID{255, 255, 255}, Addresses: a.Fallback[0].Addresses})
		}),
		"a relay twice":    changed(func(a *AnchorFile) { a.Fallback = []Fallback{a.Fallback[0], a.Fallback[0]} }),
		"without address":  changed(func(a *AnchorFile) { a.Fallback = []Fallback{{RID: record.RID{1}}} }),
		"without its list": changed(func(a *AnchorFile) { a.Lists = nil }),
		"a list twice":     changed(func(a *AnchorFile) { a.Lists = []*committee.List{a.Lists[0], a.Lists[0]} }),
	} {
		if _, err := ParseAnchorFile(b); !errors.Is(err, ErrAnchor) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := (Final{State: l.now}).AnchorFile(); !errors.Is(err, ErrAnchor) {
		t.Errorf("without a certificate: %v", err)
	}
	if _, err := l.follower().AnchorFile(); !errors.Is(err, ErrAnchor) {
		t.Errorf("of snapshot 0: %v", err)
	}
}

// One that is forged, or of another network, is refused; one of a quorum that nobody
// ever elected cannot be told from a true one, which the documentation says.
// Spec: ANC-2.
func TestForgedAnchorsAreRefused(t *testing.T) {
	l := grown(t, 4)
	l.grow()
	true1 := anchorOf(t, l.finals[len(l.finals)-1])
	doctored := *true1.Certificate
	doctored.Signatures = append([][record.SignatureSize]byte(nil), doctored.Signatures...)
	doctored.Signatures[0][3]++
	bad := *true1
	bad.Certificate = &doctored
	if err := bad.Verify(l.doc, vote.Plain{}); !errors.Is(err, ErrAnchor) {
		t.Errorf("a broken signature: %v", err)
	}
	again, err := ParseAnchorFile(bad.Encode())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Resume(l.doc, vote.Plain{}, nil, again, l.clock()); !errors.Is(err, ErrAnchor) {
		t.Errorf("it is gone on from: %v", err)
	}
	// Lists of somebody's own do not fit a header that others have signed.
	own := *true1
	list := *own.Lists[0]
	list.Keys = append([][committee.KeySize]byte{public(signingKey("mine", 1))}, list.Keys[1:]...)
	own.Lists = []*committee.List{&list}
	if _, err := ParseAnchorFile(own.Encode()); !errors.Is(err, ErrAnchor) {
		t.Errorf("another list: %v", err)
	}
	p := genesis.Testnet()
	p.Fresh++
	other := newLab(t, 4, p)
	if err := true1.Verify(other.doc, vote.Plain{}); !errors.Is(err, ErrAnchorNetwork) {
		t.Errorf("of another network: %v", err)
	}
}

// aged is a network of many terms whose genesis document is too old to begin with.
func aged(t testing.TB) *lab {
	p := genesis.Testnet()
	p.Term, p.DrawLead, p.Day, p.AnchorAge = 12, 3, 6, 20*time.Minute
	l := newLab(t, 4, p)
	for e := range 230 {
		if e%10 == 0 {
			l.grow(l.renewAll(4)...)
			continue
		}
		l.grow()
	}
	return l
}

// Spec: ANC-2, SYNC-8.
func TestAClientWhoseGenesisIsTooOldStartsFromAnAnchor(t *testing.T) {
	l := aged(t)
	s := l.server()
	if _, err := l.fetch(l.follower(), of(s, l.clock())); !errors.Is(err, ErrTooOld) {
		t.Fatalf("from the document: %v", err)
	}
	for _, back := range []int{1, 20, 60, 100} {
		a := anchorOf(t, l.finals[len(l.finals)-back])
		f, err := Resume(l.doc, vote.Plain{}, nil, a, l.clock())
		if err != nil || !f.Grounded() || f.TooOld(l.clock()) || f.Snapshot().Epoch() != 0 || f.Anchor().Epoch != a.Epoch() {
			t.Fatalf("%d back: %v", back, err)
		}
		if r, err := l.fetch(f, of(s, l.clock())); r == Unproven && f.Adopt() {
			t.Logf("%d back: no source reaches back so far", back)
		} else if want := s.Working(l.clock()); back > 1 && (err != nil || f.Grounded() || f.Snapshot().Epoch() != want.Epoch()) {
			t.Errorf("%d back: %v, %v at %d", back, r, err, f.Snapshot().Epoch())
		}
	}
	over := anchorOf(t, l.finals[50])
	if old, past := over.Old(l.doc, l.clock()); !old || !past {
		t.Error("an anchor beyond the limit counts as good")
	}
	f, err := Resume(l.doc, vote.Plain{}, nil, over, l.clock())
	if err != nil || !f.TooOld(l.clock()) {
		t.Errorf("beyond the limit: %v", err)
	}
	warned := anchorOf(t, l.finals[len(l.finals)-60])
	if old, past := warned.Old(l.doc, l.clock()); !old || past {
		t.Error("an anchor of half the limit is not warned about")
	}
	if old, past := anchorOf(t, l.finals[len(l.finals)-2]).Old(l.doc, l.clock()); old || past {
		t.Error("a new anchor is warned about")
	}
}

// Which of saved state, anchor and document is gone on from. Spec: directory §8 (COLD).
func TestWhatAStartGoesOnFrom(t *testing.T) {
	l := aged(t)
	past := func(n int) []byte {
		f := l.follower()
		s := NewServer(l.doc)
		for _, final := range l.finals[:n] {
			s = s.With(final)
			if r, err := f.Fetch(of(s, l.at(final.State.Epoch())), l.clockAt(final.State.Epoch()), nil); err != nil && r != Unchanged {
				t.Fatal(err)
			}
		}
		return f.Encode()
	}
	young, old := past(200), past(40)
	newest, older := anchorOf(t, l.finals[220]), anchorOf(t, l.finals[20])
	for name, c := range map[string]struct {
		saved  []byte
		anchor *AnchorFile
		ground bool
	}{
		"nothing":                     {nil, nil, false},
		"an anchor alone":             {nil, newest, true},
		"a saved state of late":       {young, newest, false},
		"a saved state too old":       {old, newest, true},
		"an anchor older than that":   {old, older, false},
		"snapshot 0 saved":            {l.follower().Encode(), newest, true},
		"a damaged state, and anchor": {young[1:], newest, true},
	} {
		f, err := Resume(l.doc, vote.Plain{}, c.saved, c.anchor, l.clock())
		if f == nil || f.Grounded() != c.ground || (err != nil) != (name == "a damaged state, and anchor") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A source whose history lacks the anchor's header is another history.
func TestAnAnchorOfAnotherHistoryIsNotGoneOnFrom(t *testing.T) {
	l := grown(t, 4)
	other := l.fork()
	l.grow(l.renew(1))
	other.grow(other.renew(2))
	for range 4 {
		l.grow()
		other.grow()
	}
	f, err := Resume(l.doc, vote.Plain{}, nil, anchorOf(t, l.finals[len(l.finals)-3]), l.clock())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.fetch(f, of(other.server(), l.clock())); !errors.Is(err, ErrOrphan) {
		t.Errorf("the other history: %v", err)
	}
	if r, err := l.fetch(f, of(l.server(), l.at(3))); r != Older && r != Unchanged || !f.Grounded() {
		t.Errorf("an old source: %v, %v", r, err)
	}
	if r, err := l.fetch(f, of(l.server(), l.clock())); r != Newer || err != nil {
		t.Errorf("its own: %v, %v", r, err)
	}
}

// A second certificate of the anchor's own epoch is two views, as one of a table that is
// held would be. Spec: SYNC-9.
func TestASecondViewOfTheAnchorsEpochIsSeen(t *testing.T) {
	l := grown(t, 4)
	other := l.fork()
	l.grow(l.renew(1))
	other.grow(other.renew(2))
	l.grow()
	other.grow()
	f, err := Resume(l.doc, vote.Plain{}, nil, anchorOf(t, l.finals[4]), l.clock())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.fetch(f, of(other.server(), l.clock())); !errors.Is(err, ErrSplit) {
		t.Errorf("%v", err)
	}
	if f.Split() == nil || len(f.Evidence()) != 4 || !f.Grounded() {
		t.Errorf("%d records of evidence", len(f.Evidence()))
	}
	if r, err := l.fetch(f, of(l.server(), l.clock())); r != Newer || err != nil || f.Snapshot().Epoch() != l.finals[4].State.Epoch() {
		t.Errorf("its own afterwards: %v, %v", r, err)
	}
}

func TestAnchorVectors(t *testing.T) {
	l := newLab(t, 1, genesis.Testnet())
	l.grow()
	golden(t, "anchor.txt", "An anchor file: network of one relay, epoch 1. Spec: protocol §7 (ANC-1).\n", [][2]string{
		{"nid", func() string { n := l.doc.NetworkID(); return hex.EncodeToString(n[:]) }()},
		{"anchor", hex.EncodeToString(anchorOf(t, l.finals[0]).Encode())},
	})
}

func FuzzAnchorFile(f *testing.F) {
	l := grown(f, 4)
	data := anchorOf(f, l.finals[len(l.finals)-1]).Encode()
	f.Add(data[:len(data)-32])
	f.Add([]byte(anchorLabel))
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := ParseAnchorFile(resigned(data))
		if err != nil {
			return
		}
		if !bytes.Equal(a.Encode(), resigned(data)) {
			t.Fatal("it becomes others")
		}
		_ = a.Verify(l.doc, vote.Plain{})
	})
}
