// SPDX-License-Identifier: BSD-3-Clause

package sync

import (
	"errors"
	"io"
	"time"

	"chive/directory/committee"
	"chive/directory/snapshot"
	"chive/directory/transition"
	"chive/directory/vote"
)

// maxRounds bounds the SYNCs of one Fetch: each but the last brings a full chain of
// steps.
const maxRounds = 32

// Result is what a Fetch came to.
type Result byte

// Results.
const (
	Unchanged Result = iota // the source has what we have
	Newer                   // Snapshot has changed
	Older                   // the source's is older than ours: it is stale
	Unproven                // it holds, but the source cannot show that ours precedes it: ask another, or Adopt
)

// maxNamed is how many epochs old a snapshot may be whose table is named to a source: whoever
// was away longer gets no diff for it.
const maxNamed = maxTables

// Fetch asks one source for the newest table over a directory stream: SYNC, and what it
// needs beside. It blocks in reading and writing rw; closing that ends it. What it has
// verified of a table stays, and the next Fetch goes on with it. progress, which may be
// nil, is told how many tiles and dictionaries there are of how many.
//
// Errors: ErrForged (also ErrIllegal), ErrOrphan (also ErrSplit), ErrBusy, ErrAbsent,
// ErrTooOld, ErrAhead (an *AheadError), and rw's. Spec: directory §8, protocol §7 (SYNC-6..9).
func (f *Follower) Fetch(rw io.ReadWriter, clock func() time.Time, progress func(done, total int)) (Result, error) {
	if f.TooOld(clock()) {
		return Unchanged, ErrTooOld
	}
	at := f.at
	for range maxRounds {
		q := f.request(at, f.doc.EpochAt(clock()))
		a, err := ask(rw, q)
		if err != nil {
			return Unchanged, err
		}
		switch {
		case a.Working == WorkingNamed && q.HeaderDigest != nil:
			return Unchanged, nil
		case a.Working == WorkingNamed:
			return Unchanged, ErrForged
		case a.Working == WorkingZero && f.cert == nil && f.ground == nil:
			return Unchanged, nil
		case a.Working == WorkingZero:
			return Older, nil
		case len(a.Diff) > 0 && q.Table == nil:
			return Unchanged, ErrForged
		}
		cert, err := vote.DecodeCertificate(a.Certificate)
		if err != nil || cert.Header.NetworkID != f.nid {
			return Unchanged, ErrForged
		}
		if result, over, err := f.compare(cert); over {
			return result, err
		}
		steps, err := f.steps(a.Steps, at)
		if err != nil {
			return Unchanged, err
		}
		var next *vote.Anchor
		if f.ground != nil && cert.HeaderDigest() == f.ground.HeaderDigest() {
			// The anchor's own, which was verified, and may be signed by a list whose term is over.
			next, cert = f.at, f.ground
		} else {
			next, err = f.follow(at, steps, cert)
		}
		if err == nil && cert.Header.Epoch > f.doc.EpochAt(clock().Add(f.doc.Params.ClockClient)) {
			return Unchanged, &AheadError{cert.Header.Epoch} // a quorum says so: it is our clock
		}
		if err == nil && f.early(cert.Header.Epoch, clock()) {
			return Unchanged, nil
		}
		if err == nil {
			return f.load(rw, a, &candidate{cert: cert, at: next}, progress)
		}
		if len(a.Steps) < vote.MaxStepCount || len(steps) == 0 || !errors.Is(err, ErrTooOld) {
			return Unchanged, err
		}
		// A full chain that ends too early: there are more steps.
		if at, err = f.follow(at, steps, steps[len(steps)-1].Certificate); err != nil {
			return Unchanged, err
		}
	}
	return Unchanged, ErrTooOld
}

// early reports whether an epoch is later than that of a working snapshot can be, for a
// clock that is a tenth of an epoch slow. What is final may still be replaced then. While
// what we hold is old we are less strict: it may be our clock. Spec: protocol §7 (SYNC-6).
func (f *Follower) early(epoch uint64, now time.Time) bool {
	p := f.doc.Params
	return epoch+uint64(p.UseLag) > f.doc.EpochAt(now.Add(p.EpochLen/10)) && ServedFresh(p, f.snap.Epoch(), f.doc.EpochAt(now))
}

// request says what we hold and believe, and no more than a source needs to know: of a
// table that is old nothing, of lists no more than since when they are in force.
// Spec: protocol §7 (SYNC-6).
func (f *Follower) request(at *vote.Anchor, now uint64) *Request {
	q := &Request{Code: CodeSync, Epoch: min(Floor(f.doc.Params, at.Lists, at.Epoch), MaxEpoch)}
	if f.cert == nil || f.snap.Epoch()+maxNamed >= now {
		roots := rootsOf(f.snap.Table())
		q.Table = &roots
	}
	if f.cert != nil { // without it a PROOF would name its number, in an exchange more
		digest := f.cert.HeaderDigest()
		q.HeaderDigest = &digest
	}
	q.Bare = f.bare(q.Table != nil && f.cert != nil)
	for _, l := range at.Lists {
		if root, err := l.Root(); err == nil && len(q.Lists) < MaxListCount {
			q.Lists = append(q.Lists, root)
		}
	}
	return q
}

// bare reports whether so much is there of a table that is not whole that a source shall send
// no diff and no tiles before it is asked for some. Where no diff can come that is any of it,
// else most: one source that names a table and goes does not cost us the diff of the next.
func (f *Follower) bare(diff bool) bool {
	if !diff {
		return f.part.came > 0
	}
	return 2*f.part.came > f.part.other
}

// compare looks at a working snapshot's certificate before anything of it is verified.
// over is false where it is worth going on.
func (f *Follower) compare(cert *vote.Certificate) (result Result, over bool, err error) {
	h := cert.Header
	held, ours := f.held()
	switch {
	case held != nil && cert.HeaderDigest() == held.HeaderDigest():
		return Unchanged, f.ground == nil, nil // an anchor's table is still to be fetched
	case h.Epoch < ours.Epoch:
		return Older, true, nil
	case h.Epoch == ours.Epoch:
		switch j, _ := f.Judge(cert); j {
		case JudgeOther:
			return Unchanged, true, ErrSplit
		default: // our own lists are of that epoch
			return Unchanged, true, ErrForged
		}
	case held != nil && h.HistorySize == ours.HistorySize && h.Parent == ours.Parent:
		// It stands in place of ours. Its child will say so; until then nothing shows
		// what may have changed since our parent.
		return Unchanged, true, nil
	}
	return Unchanged, false, nil
}

// steps reads hand-over steps and leaves out those to lists that are known.
func (f *Follower) steps(data [][]byte, at *vote.Anchor) ([]*vote.Step, error) {
	var out []*vote.Step
	lists := at.Lists
	for _, d := range data {
		s, err := vote.DecodeStep(d)
		if err != nil {
			return nil, ErrForged
		}
		if term, ok := last(lists, s.List.Committee); !ok || s.List.Term > term {
			out, lists = append(out, s), append(lists[:len(lists):len(lists)], s.List)
		}
	}
	return out, nil
}

// follow verifies a hand-over and the certificate that it leads to. Certificates of steps
// may be as old as what the lists in force at the anchor signed. Errors: ErrForged,
// ErrTooOld. Spec: protocol §7 (SYNC-6).
func (f *Follower) follow(at *vote.Anchor, steps []*vote.Step, cert *vote.Certificate) (*vote.Anchor, error) {
	if cert.Header.Epoch < at.Epoch {
		return nil, ErrTooOld
	}
	from := &vote.Anchor{Epoch: Floor(f.doc.Params, at.Lists, at.Epoch), Lists: at.Lists}
	next, err := from.Follow(f.doc.Params, f.nid, steps, cert, f.v)
	switch {
	case err == nil:
		return next, nil
	case (errors.Is(err, vote.ErrHandOver) || errors.Is(err, vote.ErrList)) && f.later(next.Lists, cert.Header.Epoch):
		return nil, ErrTooOld
	}
	return nil, ErrForged
}

// later reports whether an epoch may belong to a later list than those that are known, as
// far as the steps led: only then can it be that what we know is too old, or that the source
// came too late to know what leads on from there.
func (f *Follower) later(lists []*committee.List, epoch uint64) bool {
	owner := transition.OwnerName(epoch)
	term, ok := last(lists, owner)
	return !ok || transition.TermAt(f.doc.Params, owner, epoch) > term
}

// load fetches the table of a certificate that holds, and takes it. Rules are about
// ancestors: they are checked against our snapshot where it is shown to be one, and
// against its newest proven ancestor where it was replaced. Only that can show that a
// quorum broke them. Spec: protocol §7 (SYNC-7, SYNC-8).
func (f *Follower) load(rw io.ReadWriter, a *Answer, c *candidate, progress func(done, total int)) (Result, error) {
	proven, replaced, err := f.prove(rw, a, c.cert)
	if err != nil {
		if errors.Is(err, ErrOrphan) {
			f.keepFork(c.cert)
		}
		return Unchanged, err
	}
	if _, ours := f.held(); (replaced || !proven) && c.cert.Header.HistorySize <= ours.HistorySize+1 {
		return Unchanged, nil // ours is no parent of it: it was replaced a moment ago, if this is to last
	}
	base := f.snap
	if replaced {
		if err := f.judgeReplaced(rw); err != nil {
			return Unchanged, err
		}
		if base, err = f.ancestorOf(rw, c.cert); err != nil {
			return Unchanged, err
		}
	}
	table, err := f.fetchTable(rw, a, c.cert.Header, progress)
	if err != nil {
		return Unchanged, err
	}
	if c.snap, err = snapshot.New(c.cert.Header, table, f.doc.Params); err != nil {
		return Unchanged, ErrForged
	}
	switch broken := transition.Check(f.doc, base, c.snap) != nil; {
	case broken && proven:
		if f.illegal == nil || f.illegal.Header.Epoch < c.cert.Header.Epoch {
			f.illegal = c.cert
		}
		return Unchanged, ErrIllegal
	case broken: // ours may have been replaced, which says nothing against this one
		f.next = nil
		return Unproven, nil
	case !proven:
		f.next, f.part = c, parts{}
		return Unproven, nil
	}
	f.base = base
	f.take(c)
	return Newer, nil
}

// ancestorOf returns the newest snapshot that we hold besides our own and that precedes
// a certificate's: the one that we had before ours, if that is shown, else snapshot 0.
func (f *Follower) ancestorOf(rw io.ReadWriter, cert *vote.Certificate) (*snapshot.Snapshot, error) {
	zero := transition.Genesis(f.doc).Snapshot()
	h := f.base.Header()
	if h.HistorySize == 0 || h.Digest() == f.snap.Header().Parent {
		return f.base, nil
	}
	digest, known, err := f.ancestor(rw, cert, h.HistorySize)
	if err != nil || !known || digest != h.Digest() {
		return zero, err
	}
	return f.base, nil
}

// judgeReplaced asks what a history that replaces our snapshot has for its epoch. Ours
// may be one that few had heard of: then the others skipped that epoch. Another one of
// it is another view, however right what followed is, and kept with who signed both. A
// source that has not its certificate any more leaves it undecided. Errors: ErrForged,
// ErrBusy, and rw's. Spec: protocol §7 (SYNC-8, SYNC-9).
func (f *Follower) judgeReplaced(rw io.ReadWriter) error {
	_, ours := f.held()
	h, err := FetchHeader(rw, f.nid, ours.Epoch)
	if errors.Is(err, ErrAbsent) || err == nil && (h == nil || h.Digest() == ours.Digest()) {
		return nil
	}
	if err != nil {
		return err
	}
	theirs, err := FetchCertificate(rw, h.Digest())
	if errors.Is(err, ErrAbsent) {
		return nil
	}
	if err != nil {
		return err
	}
	if j, _ := f.Judge(theirs); j == JudgeForged {
		return ErrForged
	}
	return nil
}

// prove asks whether our snapshot precedes that of a certificate, or is replaced by a
// sibling that does: then its parent precedes it. proven is false where the source does
// not reach back so far. Errors: ErrOrphan, ErrForged, ErrBusy, and rw's.
// Spec: directory §8 (READY), protocol §7 (SYNC-8).
func (f *Follower) prove(rw io.ReadWriter, a *Answer, cert *vote.Certificate) (proven, replaced bool, err error) {
	h := cert.Header
	held, ours := f.held()
	if f.ground != nil && cert.HeaderDigest() == held.HeaderDigest() {
		return true, false, nil
	}
	if held == nil || h.Parent == held.HeaderDigest() {
		return true, false, nil // every history begins with snapshot 0
	}
	if h.HistorySize <= ours.HistorySize {
		return false, false, ErrOrphan
	}
	if len(a.Path) > 0 {
		if !snapshot.InHistory(held.HeaderDigest(), ours.HistorySize, h.HistorySize, h.HistoryRoot, a.Path) {
			return false, false, ErrForged
		}
		return true, false, nil
	}
	digest, known, err := f.ancestor(rw, cert, ours.HistorySize)
	if err != nil || !known || digest == held.HeaderDigest() {
		return known, false, err
	}
	digest, known, err = f.ancestor(rw, cert, ours.HistorySize-1)
	if err != nil {
		return false, false, err
	}
	switch {
	case !known: // ours may have been replaced: others are asked
		return false, false, nil
	case digest != ours.Parent:
		return false, false, ErrOrphan
	}
	return true, true, nil
}

// ancestor asks for the digest of an ancestor by its number. known is false where the
// source does not have it.
func (f *Follower) ancestor(rw io.ReadWriter, cert *vote.Certificate, number uint64) (digest [32]byte, known bool, err error) {
	a, err := ask(rw, &Request{Code: CodeProof, Index: number, Digest: cert.HeaderDigest()})
	if errors.Is(err, ErrAbsent) {
		return digest, false, nil
	}
	if err != nil {
		return digest, false, err
	}
	if !snapshot.InHistory(a.Digest, number, cert.Header.HistorySize, cert.Header.HistoryRoot, a.Path) {
		return digest, false, ErrForged
	}
	return a.Digest, true, nil
}
