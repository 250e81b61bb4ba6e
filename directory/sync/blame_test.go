// SPDX-License-Identifier: BSD-3-Clause

package sync

import (
	"errors"
	"testing"

	"chive/directory/genesis"
	"chive/directory/transition"
	"chive/directory/vote"
)

// TestARelayThatCameLateIsNotForged: it hands on the 64 latest steps, which do not lead on from
// the document, and is honest. What the steps say that nobody verified is no reason to think
// otherwise. Spec: protocol §7 (SYNC-6).
func TestARelayThatCameLateIsNotForged(t *testing.T) {
	p := genesis.Testnet()
	l := newLab(t, 1, p)
	old := NewServer(l.doc)
	for e := 0; e < 40*p.Term; e += 6 {
		var ops []transition.Op
		if e%30 == 0 {
			ops = l.renewAll(1)
		}
		l.next = uint64(e + 1)
		old = old.With(l.grow(ops...))
	}
	late := NewServer(l.doc)
	for _, f := range l.finals[len(l.finals)-3:] {
		f.Steps = f.Steps[max(0, len(f.Steps)-vote.MaxStepCount):]
		late = late.With(f)
	}
	if r, err := l.fetch(l.follower(), of(old, l.clock())); r != Newer || err != nil {
		t.Fatalf("one that was there all the time: %v, %v", r, err)
	}
	if _, err := l.fetch(l.follower(), of(late, l.clock())); !errors.Is(err, ErrTooOld) {
		t.Errorf("one that came late: %v, want %v", err, ErrTooOld)
	}
}

// TestATableThatWasNotTakenBlamesNobody: a source that is asked with the roots of our table
// sends nothing of it, whatever another source that proved nothing has sent since.
func TestATableThatWasNotTakenBlamesNobody(t *testing.T) {
	l := newLab(t, 5, genesis.Testnet())
	s := NewServer(l.doc)
	grow := func(ops ...transition.Op) { s = s.With(l.grow(ops...)) }
	for range 4 {
		grow()
	}
	c := l.follower()
	if _, err := l.fetch(c, of(s, l.clock())); err != nil {
		t.Fatal(err)
	}
	for range 6 {
		grow()
	}
	slow := s
	grow(l.renew(1))
	grow()
	late := NewServer(l.doc).With(l.finals[len(l.finals)-2]).With(l.finals[len(l.finals)-1])
	if r, err := l.fetch(c, of(late, l.clock())); r != Unproven || err != nil {
		t.Fatalf("one that came late: %v, %v", r, err)
	}
	if r, err := l.fetch(c, of(slow, l.clock())); r != Newer || err != nil {
		t.Errorf("one that is an epoch behind: %v, %v", r, err)
	}
}

// TestTheDrawAfterAStandstill: it is signed by the list before, though the term of the drawn one
// has begun. Whoever begins there, from an anchor or from what it has saved, goes on.
func TestTheDrawAfterAStandstill(t *testing.T) {
	for first := uint64(250); first < 254; first++ {
		l := newLab(t, 5, genesis.Testnet())
		s := NewServer(l.doc)
		for e := range 110 {
			var ops []transition.Op
			if e%20 == 0 {
				ops = l.renewAll(5)
			}
			s = s.With(l.grow(ops...))
		}
		l.next = first
		for range 12 {
			s = s.With(l.grow(l.renewAll(5)...))
			own := l.finals[len(l.finals)-1]
			f := SeedFollower(l.doc, vote.Plain{}, own)
			if _, err := LoadFollower(l.doc, vote.Plain{}, f.Encode()); err != nil {
				t.Errorf("saved at %d: %v", f.Snapshot().Epoch(), err)
			}
			a, err := own.AnchorFile()
			if err != nil {
				t.Fatal(err)
			}
			g, err := Resume(l.doc, vote.Plain{}, nil, a, l.clock())
			if err != nil {
				t.Errorf("anchor of %d: %v", a.Epoch(), err)
				continue
			}
			after := l.fork()
			next := s.With(after.grow())
			if r, err := after.fetch(g, of(next, after.clock())); err != nil || r != Newer {
				t.Errorf("from the anchor of %d to %d: %v, %v", a.Epoch(), next.Working(after.clock()).Epoch(), r, err)
			}
		}
	}
}

// TestWhatAnAnchorFindsIsKept: a client that has nothing but an anchor keeps what it finds against
// double signers over a restart.
func TestWhatAnAnchorFindsIsKept(t *testing.T) {
	l := grown(t, 5)
	a, b := l.fork(), l.fork()
	a.grow(a.renew(1))
	b.version = 50
	b.grow(b.renew(2))
	after := b.fork()
	after.grow()
	anchor := anchorOf(t, a.finals[len(a.finals)-1])
	f, err := Resume(l.doc, vote.Plain{}, nil, anchor, after.clock())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := after.fetch(f, of(after.server(), after.clock())); !errors.Is(err, ErrSplit) || len(f.Evidence()) == 0 {
		t.Fatalf("%v, %d records", err, len(f.Evidence()))
	}
	again, err := Resume(l.doc, vote.Plain{}, f.Encode(), anchor, after.clock())
	if err != nil || again.Split() == nil || len(again.Evidence()) != len(f.Evidence()) || !again.Grounded() {
		t.Errorf("%v: split %v, %d of %d records, grounded %v", err, again.Split() != nil, len(again.Evidence()), len(f.Evidence()), again.Grounded())
	}
}

// TestOneSourceDoesNotCostTheDiffOfTheNext: one that names a table's tiles and goes leaves a client
// with nothing but tiles of its own. Spec: protocol §7 (SYNC-6).
func TestOneSourceDoesNotCostTheDiffOfTheNext(t *testing.T) {
	l := newLab(t, 1500, genesis.Testnet())
	for range 3 {
		l.grow(l.renew(1))
	}
	c := l.follower()
	if _, err := l.fetch(c, of(l.server(), l.clock())); err != nil {
		t.Fatal(err)
	}
	l.grow(l.renew(1))
	l.grow(l.renew(2))
	s := l.server()
	liar := lying(s, l.clock(), CodeSync, func(_ *Request, a *Answer) {
		a.Diff, a.TileRoots = nil, s.working(l.clock()).file.table.TileRoots()
	})
	liar.closeIn = 2
	if _, err := l.fetch(c, liar); err == nil {
		t.Fatal("there was nothing to be had")
	}
	honest := of(s, l.clock())
	if r, err := l.fetch(c, honest); err != nil || r != Newer || honest.got > 2*PadSize || len(honest.asked) != 1 {
		t.Errorf("%v, %v: %d bytes for %v", r, err, honest.got, honest.asked)
	}
}

// TestAnAnchorKeepsItsOwnSignatures: a source that has the anchor's snapshot is taken by its table;
// what it says who signed is not asked.
func TestAnAnchorKeepsItsOwnSignatures(t *testing.T) {
	l := grown(t, 5)
	s := l.server()
	working := s.Working(l.clock()).Header().Digest()
	var anchor *AnchorFile
	for _, f := range l.finals {
		if f.Certificate.HeaderDigest() == working {
			anchor = anchorOf(t, f)
		}
	}
	f, err := Resume(l.doc, vote.Plain{}, nil, anchor, l.clock())
	if err != nil {
		t.Fatal(err)
	}
	liar := lying(s, l.clock(), CodeSync, func(_ *Request, a *Answer) {
		c, err := vote.DecodeCertificate(a.Certificate)
		if err != nil {
			t.Fatal(err)
		}
		for i := range c.Signatures {
			c.Signatures[i] = [64]byte{1, 2, 3}
		}
		a.Certificate = c.Encode()
	})
	if r, err := l.fetch(f, liar); r != Newer || err != nil {
		t.Fatalf("%v, %v", r, err)
	}
	if err := f.Certificate().Verify(l.doc.NetworkID(), signer(f.at.Lists, f.Certificate().Header), vote.Plain{}); err != nil {
		t.Errorf("what is held: %v", err)
	}
	if _, err := LoadFollower(l.doc, vote.Plain{}, f.Encode()); err != nil {
		t.Errorf("saved: %v", err)
	}
}
