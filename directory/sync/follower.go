// SPDX-License-Identifier: BSD-3-Clause

package sync

import (
	"time"

	"chive/directory/genesis"
	"chive/directory/record"
	"chive/directory/snapshot"
	"chive/directory/transition"
	"chive/directory/vote"
)

// maxEvidence bounds the evidence that is kept: that against one committee. More is not
// taken.
const maxEvidence = vote.MaxSeatCount

// Follower is a client's agreed table: what it believes, verified step by step from an
// anchor. It belongs to one goroutine; the snapshots that it returns are immutable.
//
// Spec: directory §8, protocol §7 (SYNC-6..9).
type Follower struct {
	doc  *genesis.Document
	nid  [32]byte
	v    vote.Verifier
	zip  unpacker
	snap *snapshot.Snapshot
	cert *vote.Certificate  // nil: snapshot 0
	base *snapshot.Snapshot // a proven ancestor of snap, the newest that is held: for the rules where snap is replaced
	// ground is the certificate of an anchor file, whose table is not known: what is
	// fetched must descend from it. Only where cert is nil.
	ground *vote.Certificate
	at     *vote.Anchor
	part   parts
	next   *candidate // Unproven; else nil

	evidence       []*record.Evidence
	split, illegal *vote.Certificate
	fork           *Fork
}

// Fork is two histories that a quorum has signed, neither of which holds the other's end.
type Fork struct {
	Ours   *vote.Certificate // of the snapshot that was held, or of the anchor's
	Theirs *vote.Certificate // of what a source had instead
}

// candidate is a snapshot that holds and is not taken yet.
type candidate struct {
	snap *snapshot.Snapshot
	cert *vote.Certificate
	at   *vote.Anchor
}

// NewFollower begins with the genesis document: snapshot 0 and the lists of term 0.
func NewFollower(doc *genesis.Document, v vote.Verifier) *Follower {
	zero := transition.Genesis(doc)
	f := &Follower{doc: doc, nid: doc.NetworkID(), v: v, zip: newUnpacker(), snap: zero.Snapshot(), base: zero.Snapshot(), at: &vote.Anchor{}}
	for _, l := range zero.Lists() {
		if l != nil {
			f.at.Lists = append(f.at.Lists, l.ForClients())
		}
	}
	return f
}

// Snapshot returns the newest verified snapshot with its whole table.
func (f *Follower) Snapshot() *snapshot.Snapshot { return f.snap }

// Certificate returns that of Snapshot; nil for snapshot 0.
func (f *Follower) Certificate() *vote.Certificate { return f.cert }

// Anchor returns the lists that are believed, and the epoch as of which. It must not be
// changed.
func (f *Follower) Anchor() *vote.Anchor { return f.at }

// TooOld reports whether the anchor is older than the network lets clients start from:
// Fetch does not go on from it, and a newer release or anchor is needed.
// Spec: directory §8.
func (f *Follower) TooOld(now time.Time) bool {
	age := f.doc.Params.AnchorAge
	return age > 0 && now.Sub(f.doc.EpochStart(f.at.Epoch)) > age
}

// Evidence returns what proves double signers, found by Fetch or Judge: at most 96
// records. The slice must not be changed.
func (f *Follower) Evidence() []*record.Evidence { return f.evidence }

// Split returns a valid certificate for another header of the epoch of one of ours: of
// the latest such epoch the first that was met; nil: none was.
func (f *Follower) Split() *vote.Certificate { return f.split }

// Illegal returns a certificate that a quorum signed against the rules: of the latest
// such epoch the first that was met; nil: none was.
func (f *Follower) Illegal() *vote.Certificate { return f.illegal }

// Fork returns the first history that was met beside ours; nil: none was. It stays, saved
// too, until a newer anchor is begun with (Resume): whoever gives one has decided between
// the two.
func (f *Follower) Fork() *Fork { return f.fork }

// keepFork keeps a certificate whose history does not hold ours, and ours beside it.
func (f *Follower) keepFork(theirs *vote.Certificate) {
	if held, _ := f.held(); f.fork == nil && held != nil {
		f.fork = &Fork{Ours: held, Theirs: theirs}
	}
}

// Adopt takes the snapshot that a Fetch has left Unproven; false: there is none.
func (f *Follower) Adopt() bool {
	if f.next == nil {
		return false
	}
	f.base = transition.Genesis(f.doc).Snapshot() // whatever was before precedes it or not: nobody has shown it
	f.take(f.next)
	return true
}

func (f *Follower) take(c *candidate) {
	f.snap, f.cert, f.at, f.next, f.part, f.ground = c.snap, c.cert, c.at, nil, parts{}, nil
}

// held returns the certificate of the newest snapshot that is believed: ours, or the
// anchor's whose table is not known yet; nil: snapshot 0 is, which has none. With it
// comes the header.
func (f *Follower) held() (*vote.Certificate, *snapshot.Header) {
	switch {
	case f.ground != nil:
		return f.ground, f.ground.Header
	case f.cert != nil:
		return f.cert, f.snap.Header()
	}
	return nil, f.snap.Header()
}

// Grounded reports whether an anchor file is all that is believed so far: no table of it
// is known.
func (f *Follower) Grounded() bool { return f.ground != nil }

// table returns the newest table that was verified, taken or not. Of one that is not
// taken nobody is told.
func (f *Follower) table() *snapshot.Table {
	if f.next != nil {
		return f.next.snap.Table()
	}
	return f.snap.Table()
}
