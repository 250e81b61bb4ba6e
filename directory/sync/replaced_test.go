// SPDX-License-Identifier: BSD-3-Clause

package sync

import (
	"errors"
	"slices"
	"testing"

	"chive/directory/genesis"
	"chive/directory/transition"
	"chive/directory/vote"
)

// given has a follower take the newest final snapshot of a lab, as from a relay that
// does not wait for a descendant.
func given(t *testing.T, l *lab, f *Follower) {
	t.Helper()
	with := l.fork()
	with.grow()
	if r, err := with.fetch(f, of(with.server(), with.clock())); r != Newer || err != nil || f.Snapshot().Epoch() != l.next-1 {
		t.Fatalf("%v, %v: epoch %d", r, err, f.Snapshot().Epoch())
	}
}

// Whoever took a snapshot that was replaced by one of another kind goes on with the
// network, and raises no alarm, whether the source knows what was before or not.
// Spec: SYNC-7, SYNC-8.
func TestAReplacedSnapshotIsNoBase(t *testing.T) {
	p := genesis.Testnet()
	p.BWStart, p.BWCap, p.BWStep = 512, 19484, 1
	for name, op := range map[string]func(l *lab) transition.Op{
		"another key": func(l *lab) transition.Op { return l.renew(2) },
		"a relay that declares less": func(l *lab) transition.Op {
			op := l.renew(2)
			d := l.cat[op.Body]
			d.DeclaredRate = 600
			body := must(transition.Body(d))
			op.Body = [16]byte(body[:16])
			l.cat[op.Body] = d
			return op
		},
		"a founder that is gone": func(l *lab) transition.Op {
			return transition.Op{Code: transition.Drop, Index: l.renew(2).Index, Reason: transition.DropExpired}
		},
	} {
		for _, saved := range []bool{false, true} {
			for _, reaches := range []bool{true, false} {
				l := newLab(t, 6, p)
				for range 3 {
					l.grow()
				}
				f := l.follower()
				given(t, l, f)
				ours := l.fork()
				ours.grow(op(ours))
				given(t, ours, f)
				if saved {
					f = must(LoadFollower(l.doc, vote.Plain{}, f.Encode()))
				}
				l.next = 5
				for l.next < 15 {
					l.grow(l.renew(int(l.next) % 2))
					if l.next < 9 { // the working one is the child of a sibling, or no more
						continue
					}
					s := l.server()
					if !reaches {
						s = NewServer(l.doc).With(l.finals[len(l.finals)-2]).With(l.finals[len(l.finals)-1])
					}
					r, err := l.fetch(f, of(s, l.clock()))
					if err != nil || f.Illegal() != nil || reaches && r != Newer || !reaches && r == Newer {
						t.Fatalf("%s, saved %v, reaches %v, epoch %d: %v, %v, alarm %v", name, saved, reaches, l.next-1, r, err, f.Illegal() != nil)
					}
				}
			}
		}
	}
}

// The child of a sibling shows too little, where nobody shows what was before too.
// Spec: SYNC-8.
func TestAnUnprovenChildOfASiblingIsLeft(t *testing.T) {
	l := grown(t, 3)
	ours := l.fork()
	ours.grow(ours.renew(2))
	f := l.follower()
	given(t, ours, f)
	l.next = 5
	l.grow(l.renew(3))
	young := NewServer(l.doc).With(l.grow()).With(l.grow())
	if r, err := l.fetch(f, of(young, l.clock())); r != Unchanged || err != nil || f.Illegal() != nil || f.Adopt() {
		t.Errorf("%v, %v, alarm %v", r, err, f.Illegal() != nil)
	}
}

// What comes before its time is left while what is held is fresh. Spec: SYNC-6.
func TestNothingIsTakenBeforeItsTime(t *testing.T) {
	l := grown(t, 6)
	early := of(l.server(), l.at(9)) // gives epoch 5
	f := l.follower()
	if r, err := f.Fetch(early, l.clockAt(5), nil); r != Unchanged || err != nil || f.Snapshot().Epoch() != 0 {
		t.Errorf("at epoch 5: %v, %v", r, err)
	}
	if r, err := f.Fetch(of(l.server(), l.at(9)), l.clockAt(6), nil); r != Newer || err != nil {
		t.Errorf("at epoch 6: %v, %v", r, err)
	}
}

// Nobody is told what table a client that was away holds, nor exactly since when it has its
// lists; of its header no more than a proof needs, which comes with the answer. Spec: SYNC-6, SYNC-8.
func TestWhoWasAwaySaysLittle(t *testing.T) {
	l := grown(t, 40)
	f := l.follower()
	if r, err := l.fetch(f, of(l.server(), l.clock())); r != Newer || err != nil {
		t.Fatal(r, err)
	}
	held := f.Snapshot().Epoch()
	for now, names := range map[uint64]bool{held + 1: true, held + maxNamed: true, held + maxNamed + 1: false} {
		q := f.request(f.at, now)
		if q.HeaderDigest == nil || (q.Table != nil) != names || q.Epoch != Floor(l.doc.Params, f.at.Lists, held) || q.Epoch == held {
			t.Errorf("after %d epochs: %+v", now-held, q)
		}
	}
	for range maxNamed + 4 {
		l.grow(l.renew(1))
	}
	src := of(l.server(), l.clock())
	if r, err := l.fetch(f, src); r != Newer || err != nil || slices.Contains(src.asked, CodeProof) {
		t.Errorf("it does not go on: %v, %v, asked %v", r, err, src.asked)
	}
	// A table that is not taken is no source's business.
	for range 4 {
		l.grow(l.renew(2))
	}
	late := NewServer(l.doc).With(l.finals[len(l.finals)-2]).With(l.finals[len(l.finals)-1])
	if r, err := l.fetch(f, of(late, l.clock())); r != Unproven || err != nil {
		t.Fatal(r, err)
	}
	if q := f.request(f.at, l.next); *q.Table != rootsOf(f.snap.Table()) {
		t.Error("the table of a snapshot that is not taken is named")
	}
}

// Whoever invents a list forges; what is too old can only be told by a later term.
// Spec: SYNC-6.
func TestAnInventedListIsForged(t *testing.T) {
	l := grown(t, 6)
	f := l.follower()
	if r, err := l.fetch(f, of(l.server(), l.clock())); r != Newer || err != nil {
		t.Fatal(r, err)
	}
	for _, later := range []bool{false, true} {
		h := *l.finals[5].Certificate.Header
		h.Epoch, h.HistorySize = 10, 9 // of A
		h.ListA[0] ^= 1
		if later {
			h.Epoch += 20 * uint64(l.doc.Params.Term)
		}
		c := must(vote.NewCertificate(&h, l.finals[5].Certificate.Signers, l.finals[5].Certificate.Signatures))
		src := lying(l.server(), l.clock(), CodeSync, func(_ *Request, a *Answer) {
			*a = Answer{Code: CodeSync, Working: WorkingOther, Certificate: c.Encode()}
		})
		if _, err := l.fetch(f, src); errors.Is(err, ErrTooOld) != later || errors.Is(err, ErrForged) == later {
			t.Errorf("later %v: %v", later, err)
		}
	}
}

// What a history that replaces ours has for the same epoch is another view, whether it
// stands in the place of ours or further on: the history is gone on from, and both sides
// are kept with who signed both. Spec: SYNC-8, SYNC-9.
func TestAnotherOneOfTheReplacedEpochIsASplit(t *testing.T) {
	for _, between := range []int{0, 1, 2} {
		anotherOne(t, between)
	}
}

func anotherOne(t *testing.T, between int) {
	t.Helper()
	l := grown(t, 3)
	lie := l.fork()
	lie.next += uint64(between)
	lie.grow(lie.renew(2))
	f := l.follower()
	given(t, lie, f)
	for range between {
		l.grow(l.renew(1))
	}
	l.grow(l.renew(3)) // of the same epoch
	theirs := l.finals[len(l.finals)-1].Certificate
	for range 4 {
		l.grow()
	}
	forged := lying(l.server(), l.clock(), CodeCertificate, func(_ *Request, a *Answer) { a.Certificate = l.finals[0].Certificate.Encode() })
	if r, err := l.fetch(f, forged); r != Unchanged || !errors.Is(err, ErrForged) || f.Split() != nil {
		t.Errorf("%d between, another certificate: %v, %v, split %v", between, r, err, f.Split() != nil)
	}
	if r, err := l.fetch(f, of(l.server(), l.clock())); r != Newer || err != nil {
		t.Fatalf("%v, %v", r, err)
	}
	if f.Split() == nil || f.Split().HeaderDigest() != theirs.HeaderDigest() || len(f.Evidence()) == 0 {
		t.Errorf("split %v, %d records of evidence", f.Split() != nil, len(f.Evidence()))
	}
	again := must(LoadFollower(l.doc, vote.Plain{}, f.Encode()))
	if again.Split() == nil || len(again.Evidence()) != len(f.Evidence()) {
		t.Error("it is forgotten by a restart")
	}
}
