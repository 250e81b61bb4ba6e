// SPDX-License-Identifier: BSD-3-Clause

package sync

import (
	"cmp"
	"slices"
	"time"

	"chive/directory/genesis"
	"chive/directory/record"
	"chive/directory/snapshot"
	"chive/directory/transition"
	"chive/directory/vote"
)

// Final is a final snapshot with all that its relay holds of it: what
// directory.View carries. It is only read.
type Final struct {
	State       *transition.State
	Certificate *vote.Certificate // nil: snapshot 0, which changes nothing
	Steps       []*vote.Step      // hand-over, oldest first
}

// Server answers requests. It is immutable and may be used by any number of
// goroutines; With makes the next one, which shares what it can.
type Server struct {
	doc    *genesis.Document
	zero   *held
	finals []*held  // the newest, oldest first, at most maxFinals
	older  []*file  // tables that diffs begin from, newest first
	certs  []*kept  // by epoch, at most maxCertificates
	past   ancestry // of the newest
	hand   handOver
}

// held is a final snapshot whose table is served.
type held struct {
	snap   *snapshot.Snapshot
	digest [32]byte
	cert   []byte // empty: snapshot 0
	file   *file
}

func (h *held) number() uint64 { return h.snap.Header().HistorySize }

// NewServer returns a Server that knows snapshot 0.
func NewServer(doc *genesis.Document) *Server {
	zero := transition.Genesis(doc)
	s := &Server{
		doc:  doc,
		zero: &held{snap: zero.Snapshot(), digest: zero.Digest(), file: newFile(zero.Snapshot().Table())},
		past: ancestry{digests: [][32]byte{zero.Digest()}},
	}
	s.hand = s.hand.with(doc.Params, zero, nil, nil)
	return s
}

// newest returns the newest final snapshot but snapshot 0.
func (s *Server) newest() *held {
	if len(s.finals) == 0 {
		return nil
	}
	return s.finals[len(s.finals)-1]
}

// With returns a server to which f is the newest final snapshot: a child of the one that
// was, one that replaces it, or a later one, below which there is a gap. It is s itself
// for one that is no later than what s has.
func (s *Server) With(f Final) *Server {
	if f.State == nil || f.Certificate == nil || f.Certificate.HeaderDigest() != f.State.Digest() {
		return s
	}
	last := s.newest()
	if last == nil {
		last = s.zero
	}
	h, was := f.State.Snapshot().Header(), last.snap.Header()
	if h.Epoch <= was.Epoch {
		return s
	}
	n := *s
	n.finals, n.certs = slices.Clone(s.finals), slices.Clone(s.certs)
	switch {
	case h.Parent == last.digest:
		n.past = s.past.append(f.State.Digest())
	case last != s.zero && h.Parent == was.Parent: // it replaces the last one
		n.drop(last.digest)
		n.past.digests = slices.Clone(s.past.digests[:len(s.past.digests)-1])
		n.past = n.past.append(f.State.Digest())
	default: // whether the last one is among the ancestors is not known
		n.drop(last.digest)
		n.past = ancestry{f.State.History(), [][32]byte{f.State.Digest()}}
	}
	n.certs = append(n.certs, keep(f.Certificate))
	n.certs = n.certs[max(0, len(n.certs)-maxCertificates):]
	n.hand = n.hand.with(s.doc.Params, f.State, f.Certificate, f.Steps)
	n.hold(&held{f.State.Snapshot(), f.State.Digest(), n.certs[len(n.certs)-1].data, n.fileOf(f.State.Snapshot().Table())})
	return &n
}

// drop forgets a final snapshot that is none any more. Its table stays for diffs.
func (s *Server) drop(digest [32]byte) {
	s.hand = s.hand.without(digest)
	s.certs = slices.DeleteFunc(s.certs, func(k *kept) bool { return k.digest == digest })
	for i, h := range s.finals {
		if h.digest == digest {
			s.finals = slices.Delete(s.finals, i, i+1)
			s.older = append([]*file{h.file.thin()}, s.older...)
			return
		}
	}
}

// fileOf returns the file of a table, that of an equal one if there is one.
func (s *Server) fileOf(t *snapshot.Table) *file {
	roots := rootsOf(t)
	for _, h := range append([]*held{s.zero}, s.finals...) {
		if h.file.roots == roots {
			return h.file
		}
	}
	return newFile(t)
}

// hold makes a snapshot the newest, within the bounds.
func (s *Server) hold(h *held) {
	s.finals = append(s.finals, h)
	older := slices.Clone(s.older)
	if len(s.finals) > maxFinals {
		if out := s.finals[0].file; !slices.ContainsFunc(s.finals[1:], func(o *held) bool { return o.file == out }) {
			older = append([]*file{out.thin()}, older...)
		}
		s.finals = s.finals[1:]
	}
	seen, size := map[Roots]bool{s.zero.file.roots: true}, 0
	for _, o := range s.finals {
		if !seen[o.file.roots] {
			seen[o.file.roots], size = true, size+o.file.size
		}
	}
	s.older = nil
	for _, f := range older {
		if seen[f.roots] {
			continue
		}
		if size += f.size; size > maxTablesSize || len(seen) >= maxTables {
			break
		}
		seen[f.roots], s.older = true, append(s.older, f)
	}
}

// Working returns the snapshot that clients are given: the newest final one with
// epoch <= now - use_lag that has a final descendant, and snapshot 0 until there is one.
// It is nil where this relay cannot tell which that is, because it came later or has
// restarted: until it knows of a descendant, or the newest one is older than clients take
// for fresh, it answers that it is busy. Spec: protocol §7 (SYNC-4).
func (s *Server) Working(now time.Time) *snapshot.Snapshot {
	if w := s.working(now); w != nil {
		return w.snap
	}
	return nil
}

func (s *Server) working(now time.Time) *held {
	epoch, lag := s.doc.EpochAt(now), uint64(s.doc.Params.UseLag)
	for i := len(s.finals) - 2; i >= 0 && epoch >= lag; i-- {
		if s.finals[i].snap.Epoch() <= epoch-lag {
			return s.finals[i]
		}
	}
	if len(s.finals) == 0 || s.finals[0].number() <= 1 {
		return s.zero
	}
	if len(s.finals) == 1 && !ServedFresh(s.doc.Params, s.finals[0].snap.Epoch(), epoch) {
		return s.finals[0] // the network makes none: nothing will take its place
	}
	return nil
}

// Answer returns the answer to a request's body with its padding, ready to be
// written: at most MaxAnswerSize bytes. A request that is not understood is refused;
// there is always an answer. evidence is a record that a client brought with request 8,
// not verified; else nil. The results belong to the caller.
// Spec: directory §8, protocol §7 (SYNC-1..10).
func (s *Server) Answer(now time.Time, body []byte) (answer, evidence []byte) {
	q, err := DecodeRequest(body)
	if err != nil {
		return refuse(RefusedUnknown), nil
	}
	a := s.answer(now, q)
	out, err := a.Encode()
	if err != nil {
		return refuse(RefusedAbsent), nil
	}
	answer = frames(out)
	if answer == nil {
		return refuse(RefusedAbsent), nil
	}
	if a.Code == CodeEvidence {
		evidence = q.Evidence
	}
	return answer, evidence
}

// Busy returns the answer of a relay that will not work on a request now.
func Busy() []byte { return refuse(RefusedBusy) }

func refuse(r Refusal) []byte {
	out, err := (&Answer{Code: CodeRefused, Refusal: r}).Encode()
	invariant(err == nil) // a refusal always encodes
	return frames(out)
}

func refused(r Refusal) *Answer { return &Answer{Code: CodeRefused, Refusal: r} }

func (s *Server) answer(now time.Time, q *Request) *Answer {
	switch q.Code {
	case CodeSync:
		return s.sync(now, q)
	case CodeTile:
		f := s.served(func(f *file) bool { return f.roots.Dir == q.Dir })
		if f == nil || int(q.N) >= len(f.table.TileRoots()) {
			break
		}
		tiles := f.travel().tiles[q.N:]
		return &Answer{Code: q.Code, N: q.N, Tiles: tiles[:min(len(tiles), int(q.Count))]}
	case CodeDictionaries:
		if f := s.served(func(f *file) bool { return f.roots.Dict == q.Dict }); f != nil {
			return &Answer{Code: q.Code, Dict: f.travel().dict}
		}
	case CodeDiff:
		from, to := s.from(q.Table), s.served(func(f *file) bool { return f.roots == q.To })
		if from == nil || to == nil {
			break
		}
		if d := to.diff(from); d != nil {
			return &Answer{Code: q.Code, Diff: d}
		}
	case CodeHeader:
		return s.header(q.Epoch)
	case CodeCertificate:
		for _, k := range s.certs {
			if k.digest == q.Digest {
				return &Answer{Code: q.Code, Certificate: k.data}
			}
		}
	case CodeProof:
		return s.proof(q)
	case CodeEvidence:
		if _, err := record.DecodeEvidence(q.Evidence); err != nil {
			return refused(RefusedUnknown)
		}
		return &Answer{Code: q.Code}
	case CodeTime:
		return &Answer{Code: q.Code, Time: uint64(max(0, now.Unix()))}
	case CodeReach:
		return refused(RefusedUnknown) // a relay's link may ask it, and this is none
	}
	return refused(RefusedAbsent)
}

// sync answers the SYNC of a client.
func (s *Server) sync(now time.Time, q *Request) *Answer {
	w := s.working(now)
	a := &Answer{Code: CodeSync}
	if w == nil {
		// The parent of the oldest one is final and has a descendant; what it looked like is
		// not known here any more.
		if q.HeaderDigest != nil && *q.HeaderDigest == s.finals[0].snap.Header().Parent {
			a.Working = WorkingNamed
			return a
		}
		return refused(RefusedBusy)
	}
	if w == s.zero {
		return a // and WorkingZero
	}
	if q.HeaderDigest != nil && *q.HeaderDigest == w.digest {
		a.Working = WorkingNamed
		return a
	}
	a.Working, a.Certificate = WorkingOther, w.cert
	a.Path = s.pathTo(q.HeaderDigest, w)
	size := 64 + len(a.Certificate) + 32*len(a.Path)
	for _, step := range s.hand.steps(s, q, w) {
		a.Steps = append(a.Steps, step)
		size += 5 + len(step)
	}
	if q.Table != nil && *q.Table == w.file.roots {
		return a
	}
	if from := s.from(q.Table); from != nil && !q.Bare {
		if a.Diff = w.file.diff(from); a.Diff != nil {
			return a
		}
	}
	// What fits into one frame goes along.
	p := w.file.travel()
	a.TileRoots = w.file.table.TileRoots()
	room := partSize - size - 32*len(a.TileRoots)
	if q.Table == nil || q.Table.Dict != w.file.roots.Dict {
		if room -= 5 + len(p.dict); room < 0 {
			return a
		}
		a.Dict = p.dict
	}
	for _, tile := range p.tiles {
		if room -= 5 + len(tile); room < 0 || q.Bare {
			break
		}
		a.Tiles = append(a.Tiles, tile)
	}
	return a
}

// pathTo returns the path of a header that a client names in the history of the working
// snapshot; none for its parent, which needs none, and for one that is not known.
func (s *Server) pathTo(digest *[32]byte, w *held) [][32]byte {
	if digest == nil || *digest == w.snap.Header().Parent {
		return nil
	}
	number, ok := s.past.number(*digest)
	if !ok || number >= w.number() {
		return nil
	}
	path, _ := s.past.path(number, w.number())
	return path
}

// served returns a table whose tiles are served.
func (s *Server) served(is func(f *file) bool) *file {
	for i := len(s.finals) - 1; i >= 0; i-- {
		if is(s.finals[i].file) {
			return s.finals[i].file
		}
	}
	if is(s.zero.file) {
		return s.zero.file
	}
	return nil
}

// from returns a table that a diff can begin from.
func (s *Server) from(roots *Roots) *file {
	if roots == nil {
		return nil
	}
	if f := s.served(func(f *file) bool { return f.roots == *roots }); f != nil {
		return f
	}
	for _, f := range s.older {
		if f.roots == *roots {
			return f
		}
	}
	return nil
}

// header answers a HEADER: the header of an epoch, or that there is none because those
// of its neighbours follow one another.
func (s *Server) header(epoch uint64) *Answer {
	if epoch == 0 {
		return &Answer{Code: CodeHeader, Header: s.zero.snap.Header().Encode()}
	}
	i, found := slices.BinarySearchFunc(s.certs, epoch, func(k *kept, e uint64) int { return cmp.Compare(k.epoch, e) })
	if found {
		return &Answer{Code: CodeHeader, Header: s.certs[i].header.Encode()}
	}
	if i < len(s.certs) {
		below := uint64(0) // snapshot 0
		if i > 0 {
			below = s.certs[i-1].number
		}
		if s.certs[i].number == below+1 {
			return &Answer{Code: CodeHeader}
		}
	}
	return refused(RefusedAbsent)
}

// proof answers a PROOF.
func (s *Server) proof(q *Request) *Answer {
	if size, ok := s.past.number(q.Digest); ok {
		if digest, ok := s.past.at(q.Index); ok {
			if path, ok := s.past.path(q.Index, size); ok {
				return &Answer{Code: q.Code, Digest: digest, Path: path}
			}
		}
	}
	return refused(RefusedAbsent)
}
