// SPDX-License-Identifier: BSD-3-Clause

package sync

import (
	"slices"
	"testing"

	"chive/directory/genesis"
	"chive/directory/transition"
	"chive/directory/vote"
)

// grown is a network of five after some epochs, in each of which one relay has another
// key.
func grown(t testing.TB, epochs int) *lab {
	l := newLab(t, 5, genesis.Testnet())
	for i := range epochs {
		l.grow(l.renew(i % 5))
	}
	return l
}

// A client follows from snapshot 0 to the working snapshot, and from one to the next.
// Spec: SYNC-4, SYNC-6.
func TestFollowHonest(t *testing.T) {
	l := grown(t, 4)
	f := l.follower()
	s := l.server()
	if r, err := l.fetch(f, of(s, l.clock())); r != Newer || err != nil {
		t.Fatalf("%v, %v", r, err)
	}
	want := l.finals[2]
	if f.Snapshot().Header().Digest() != want.State.Digest() || f.Certificate().HeaderDigest() != want.State.Digest() || f.Anchor().Epoch != 3 {
		t.Fatalf("epoch %d", f.Snapshot().Epoch())
	}
	if r, err := l.fetch(f, of(s, l.clock())); r != Unchanged || err != nil {
		t.Errorf("again: %v, %v", r, err)
	}
	for i := range 70 {
		l.grow(l.renew(i % 5))
		s = s.With(l.finals[len(l.finals)-1])
		if i%3 != 0 {
			continue
		}
		src := of(s, l.clock())
		if r, err := l.fetch(f, src); r != Newer || err != nil {
			t.Fatalf("epoch %d: %v, %v", l.next-1, r, err)
		}
		if slices.Contains(src.asked, CodeTile) || src.got > 8*PadSize {
			t.Errorf("epoch %d: asked %v, %d bytes", l.next-1, src.asked, src.got)
		}
	}
}

// Across terms, whoever was away or never there gets there, whenever it comes.
// Spec: SYNC-6.
func TestFollowAcrossTerms(t *testing.T) {
	l := newLab(t, 5, genesis.Testnet())
	s := NewServer(l.doc)
	followers := map[int]*Follower{1: l.follower(), 7: l.follower(), 33: l.follower(), 100: l.follower(), 130: l.follower()}
	for e := range 270 {
		var ops []transition.Op
		if e%20 == 0 {
			ops = l.renewAll(5)
		}
		if e%7 == 3 { // skipped
			l.next++
			continue
		}
		s = s.With(l.grow(ops...))
		for every, f := range followers {
			if e%every != 0 || e == 0 {
				continue
			}
			r, err := l.fetch(f, of(s, l.clock()))
			want := s.Working(l.clock())
			if r == Unproven || err != nil || f.Snapshot().Header().Digest() != want.Header().Digest() {
				t.Fatalf("epoch %d, every %d: %v, %v at %d of %d", l.next-1, every, r, err, f.Snapshot().Epoch(), want.Epoch())
			}
			// An up-to-date client has all lists of its header, and needs none from before.
			if every == 1 && len(f.Anchor().Lists) != MaxListCount && l.next > 60 {
				t.Errorf("epoch %d: %d lists", l.next-1, len(f.Anchor().Lists))
			}
		}
	}
	parent, newest := l.finals[len(l.finals)-2], l.finals[len(l.finals)-1]
	var certs []*vote.Certificate
	for _, f := range l.finals {
		certs = append(certs, f.Certificate)
	}
	for name, server := range map[string]*Server{
		"all the time": s, "restarted": NewServer(l.doc).With(parent).With(newest).WithPast(s.Past(), certs), "new": NewServer(l.doc).With(parent).With(newest),
	} {
		if r, err := l.fetch(l.follower(), of(server, l.clock())); r != Newer || err != nil {
			t.Errorf("%s: from snapshot 0: %v, %v", name, r, err)
		}
		for every, f := range followers {
			again, err := LoadFollower(l.doc, vote.Plain{}, f.Encode())
			if err != nil {
				t.Fatal(err)
			}
			r, err := l.fetch(again, of(server, l.clock()))
			switch {
			case name == "new" && every > 33: // it knows no certificates of the time between
			case err != nil || (name == "new") != (r == Unproven) && r == Unproven:
				t.Errorf("%s, every %d: %v, %v", name, every, r, err)
			}
		}
	}
}

// A hand-over of more steps than one answer has is followed in several.
// Spec: SYNC-6.
func TestFollowALongHandOver(t *testing.T) {
	p := genesis.Testnet()
	l := newLab(t, 1, p)
	s := NewServer(l.doc)
	for e := 0; e < 70*p.Term; e += 6 {
		var ops []transition.Op
		if e%30 == 0 {
			ops = l.renewAll(1)
		}
		l.next = uint64(e + 1)
		s = s.With(l.grow(ops...))
	}
	src := of(s, l.clock())
	f := l.follower()
	if r, err := l.fetch(f, src); r != Newer || err != nil {
		t.Fatalf("%v, %v", r, err)
	}
	if len(s.hand.known) <= 2*vote.MaxStepCount || len(src.asked) < 2 {
		t.Errorf("%d steps, asked %v", len(s.hand.known), src.asked)
	}
}

// After a standstill of terms a list is drawn when its term has long begun, so that the
// list before it still signs that draw. Whoever comes back with lists of one committee
// that are later than that, and not with the other's, gets there by what was signed since.
// Spec: SYNC-5, HAND-2.
func TestFollowAfterAStandstill(t *testing.T) {
	late := 0
	for first := uint64(150); first < 155; first++ { // the epoch in which the network goes on
		l := newLab(t, 5, genesis.Testnet())
		s := NewServer(l.doc)
		for range 10 {
			s = s.With(l.grow())
		}
		var followers []*Follower
		for range 30 {
			f := l.follower()
			if _, err := l.fetch(f, of(s, l.clock())); err != nil {
				t.Fatal(err)
			}
			followers = append(followers, f)
		}
		l.next = first
		for e := range 60 {
			var ops []transition.Op
			if e%20 == 0 {
				ops = l.renewAll(5)
			}
			s = s.With(l.grow(ops...))
			want := s.Working(l.clock())
			for i, f := range followers { // each comes in another epoch, and then every so many
				if e < i%10 || (e-i%10)%(1+i/10*3) != 0 {
					continue
				}
				if r, err := l.fetch(f, of(s, l.clock())); err != nil || f.Snapshot().Header().Digest() != want.Header().Digest() {
					t.Fatalf("on from %d, now %d, client %d: %v, %v at %d of %d", first, l.next-1, i, r, err, f.Snapshot().Epoch(), want.Epoch())
				}
			}
		}
		for _, k := range s.hand.known {
			if transition.TermStart(l.doc.Params, k.step.List.Committee, k.step.List.Term) < k.step.Certificate.Header.Epoch {
				late++
			}
		}
	}
	if late == 0 {
		t.Error("no list was drawn after its term had begun")
	}
}
