// SPDX-License-Identifier: BSD-3-Clause

package sync

import (
	"bytes"
	gosync "sync"
	"testing"
	"time"

	"chive/directory/genesis"
	"chive/directory/snapshot"
	"chive/directory/transition"
	"chive/directory/vote"
)

// answerOf is what a client reads of a server's answer.
func answerOf(t testing.TB, s *Server, now time.Time, q *Request) *Answer {
	t.Helper()
	wire, _ := s.Answer(now, mustEncode(t, q))
	body, err := ReadAnswer(bytes.NewReader(wire))
	if err != nil {
		t.Fatal(err)
	}
	a, err := DecodeAnswer(body, q)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// Clients are given a snapshot that has a final descendant and is as old as they may use.
// Spec: SYNC-4.
func TestWorkingSnapshot(t *testing.T) {
	l := grown(t, 5)
	l.next += 3
	l.grow()
	s := l.server() // epochs 1..5, 9
	for epoch, want := range map[uint64]uint64{0: 0, 1: 0, 2: 1, 5: 4, 6: 5, 9: 5, 100: 5} {
		if got := s.Working(l.at(epoch)).Epoch(); got != want {
			t.Errorf("at epoch %d: %d", epoch, got)
		}
	}
	if got := NewServer(l.doc).With(l.finals[0]).Working(l.at(9)).Epoch(); got != 0 {
		t.Errorf("the first final one has no descendant: %d", got)
	}
	// After a restart nobody knows of a descendant: only who has the parent is told so.
	restarted := NewServer(l.doc).With(l.finals[4])
	parent, child := l.finals[3].State.Digest(), l.finals[4].State.Digest()
	for name, test := range map[string]struct {
		header *[32]byte
		busy   bool
	}{"nobody": {nil, true}, "who has its parent": {&parent, false}, "who has it": {&child, true}} {
		a := answerOf(t, restarted, l.at(9), &Request{Code: CodeSync, HeaderDigest: test.header})
		if busy := a.Code == CodeRefused && a.Refusal == RefusedBusy; busy != test.busy || !busy && a.Working != WorkingNamed {
			t.Errorf("restarted, %s: %+v", name, a)
		}
	}
	if got := restarted.Working(l.at(9)); got != nil {
		t.Errorf("without a descendant: %d", got.Epoch())
	}
	if got := restarted.With(l.finals[5]).Working(l.at(9)).Epoch(); got != 5 {
		t.Errorf("it has a descendant: %d", got)
	}
	if got := restarted.Working(l.at(5 + uint64(l.doc.Params.Fresh) + 1)).Epoch(); got != 5 {
		t.Errorf("where none is made any more: %d", got)
	}
	for name, f := range map[string]Final{
		"none": {}, "snapshot 0": {State: transition.Genesis(l.doc)}, "older": l.finals[2], "the same": l.finals[5],
		"a certificate of another": {State: l.fork().grow().State, Certificate: l.finals[1].Certificate},
	} {
		if s.With(f) != s {
			t.Errorf("%s: taken", name)
		}
	}
}

// Spec: SYNC-5, DIR-15.
func TestServerAnswers(t *testing.T) {
	l := grown(t, 5)
	l.next += 3
	l.grow()
	s, now := l.server(), l.clock()
	working := s.Working(now)
	roots := rootsOf(working.Table())
	newest, before := l.finals[5], l.finals[3]
	digest, old := newest.State.Digest(), rootsOf(before.State.Snapshot().Table())
	evidence := func() []byte {
		other := l.fork()
		other.now, other.next = l.finals[4].State, 9
		e := vote.DoubleSigners(l.finals[4].State.Owner(l.doc.Params, 9).ForClients(), newest.Certificate, other.grow(other.renew(1)).Certificate)
		return must(e[0].Encode())
	}()
	absent := func(a *Answer) bool { return a.Code == CodeRefused && a.Refusal == RefusedAbsent }
	for name, test := range map[string]struct {
		q  *Request
		is func(a *Answer) bool
	}{
		"header":            {&Request{Code: CodeHeader, Epoch: 9}, func(a *Answer) bool { return bytes.Equal(a.Header, newest.State.Snapshot().Header().Encode()) }},
		"header 0":          {&Request{Code: CodeHeader}, func(a *Answer) bool { return bytes.Equal(a.Header, s.zero.snap.Header().Encode()) }},
		"skipped":           {&Request{Code: CodeHeader, Epoch: 7}, func(a *Answer) bool { return a.Code == CodeHeader && len(a.Header) == 0 }},
		"to come":           {&Request{Code: CodeHeader, Epoch: 10}, absent},
		"certificate":       {&Request{Code: CodeCertificate, Digest: digest}, func(a *Answer) bool { return bytes.Equal(a.Certificate, newest.Certificate.Encode()) }},
		"no certificate":    {&Request{Code: CodeCertificate, Digest: s.zero.digest}, absent},
		"tile":              {&Request{Code: CodeTile, Dir: roots.Dir, Count: 4}, func(a *Answer) bool { return len(a.Tiles) == 1 }},
		"tile too far":      {&Request{Code: CodeTile, Dir: roots.Dir, N: 1, Count: 1}, absent},
		"tile of another":   {&Request{Code: CodeTile, Dir: roots.Dict, Count: 1}, absent},
		"dictionaries":      {&Request{Code: CodeDictionaries, Dict: roots.Dict}, func(a *Answer) bool { return len(a.Dict) > 0 }},
		"no dictionaries":   {&Request{Code: CodeDictionaries, Dict: roots.Dir}, absent},
		"diff":              {&Request{Code: CodeDiff, Table: &old, To: roots}, func(a *Answer) bool { return len(a.Diff) > 0 }},
		"diff from another": {&Request{Code: CodeDiff, Table: &Roots{}, To: roots}, absent},
		"diff to another":   {&Request{Code: CodeDiff, Table: &old, To: Roots{roots.Dict, roots.Dir}}, absent},
		"proof": {&Request{Code: CodeProof, Index: 2, Digest: digest}, func(a *Answer) bool {
			h := newest.State.Snapshot().Header()
			return a.Digest == l.finals[1].State.Digest() && snapshot.InHistory(a.Digest, 2, h.HistorySize, h.HistoryRoot, a.Path)
		}},
		"proof of itself":    {&Request{Code: CodeProof, Index: 6, Digest: digest}, absent},
		"proof in another":   {&Request{Code: CodeProof, Index: 2, Digest: roots.Dir}, absent},
		"evidence":           {&Request{Code: CodeEvidence, Evidence: evidence}, func(a *Answer) bool { return a.Code == CodeEvidence }},
		"evidence of naught": {&Request{Code: CodeEvidence, Evidence: []byte{1}}, func(a *Answer) bool { return a.Code == CodeRefused && a.Refusal == RefusedUnknown }},
		"held":               {&Request{Code: CodeSync, Table: &roots}, func(a *Answer) bool { return a.Working == WorkingOther && len(a.TileRoots)+len(a.Diff) == 0 }},
		"roots alone":        {&Request{Code: CodeSync, Bare: true}, func(a *Answer) bool { return len(a.TileRoots) == 1 && len(a.Tiles) == 0 }},
		"all of it": {&Request{Code: CodeSync}, func(a *Answer) bool {
			return len(a.Tiles) == 1 && len(a.Dict) > 0 && CheckRoots(working.Header(), a.TileRoots)
		}},
		"with a diff": {&Request{Code: CodeSync, Table: &old}, func(a *Answer) bool { return len(a.Diff) > 0 && len(a.TileRoots) == 0 }},
	} {
		if a := answerOf(t, s, now, test.q); !test.is(a) {
			t.Errorf("%s: %+v", name, a)
		}
		if _, got := s.Answer(now, mustEncode(t, test.q)); (got != nil) != (name == "evidence") || (got != nil && !bytes.Equal(got, evidence)) {
			t.Errorf("%s: evidence of %d bytes", name, len(got))
		}
	}
	restarted := NewServer(l.doc).With(newest)
	for _, epoch := range []uint64{5, 7} {
		if a := answerOf(t, restarted, now, &Request{Code: CodeHeader, Epoch: epoch}); !absent(a) {
			t.Errorf("epoch %d after a restart: %+v", epoch, a)
		}
	}
	for name, body := range map[string][]byte{"garbage": {0xff}, "nothing": nil, "a request of later": {0x82, 9, 0}} {
		wire, _ := s.Answer(now, body)
		a, err := DecodeAnswer(must(ReadAnswer(bytes.NewReader(wire))), &Request{Code: CodeHeader})
		if err != nil || len(wire) != PadSize || a.Code != CodeRefused || a.Refusal != RefusedUnknown {
			t.Errorf("%s: %+v, %v", name, a, err)
		}
	}
	a, err := DecodeAnswer(must(ReadAnswer(bytes.NewReader(Busy()))), &Request{Code: CodeHeader})
	if err != nil || a.Refusal != RefusedBusy {
		t.Errorf("busy: %+v, %v", a, err)
	}
}

// A snapshot that takes the place of the newest one leaves nothing of that, and one after
// a gap proves nothing of before. Spec: SYNC-8, EPOCH-9.
func TestReplacedAndMissing(t *testing.T) {
	l := grown(t, 4)
	other := l.fork()
	l.grow(l.renew(1))
	other.next++
	other.grow(other.renew(2))
	s := l.server()
	r := s.With(other.finals[4])
	orphan, newest := l.finals[4].State, other.finals[4].State
	if a := answerOf(t, r, l.at(9), &Request{Code: CodeCertificate, Digest: orphan.Digest()}); a.Code != CodeRefused {
		t.Error("the orphan is shown")
	}
	if a := answerOf(t, r, l.at(9), &Request{Code: CodeHeader, Epoch: 5}); a.Code != CodeHeader || len(a.Header) != 0 {
		t.Error("its epoch was not skipped")
	}
	for n := range newest.Snapshot().Header().HistorySize {
		h := newest.Snapshot().Header()
		a := answerOf(t, r, l.at(9), &Request{Code: CodeProof, Index: n, Digest: newest.Digest()})
		if !snapshot.InHistory(a.Digest, n, h.HistorySize, h.HistoryRoot, a.Path) {
			t.Errorf("number %d does not hold", n)
		}
	}
	if from := rootsOf(orphan.Snapshot().Table()); r.from(&from) == nil {
		t.Error("who has the orphan's table gets no diff")
	}
	if s.newest().digest != orphan.Digest() || answerOf(t, s, l.at(9), &Request{Code: CodeHeader, Epoch: 5}).Code != CodeHeader {
		t.Error("the server before has changed")
	}
	gap := grown(t, 10)
	g := NewServer(gap.doc).With(gap.finals[0]).With(gap.finals[1]).With(gap.finals[8]).With(gap.finals[9])
	digest := gap.finals[9].State.Digest()
	for index, want := range map[uint64]bool{1: false, 8: false, 9: true} {
		if a := answerOf(t, g, gap.clock(), &Request{Code: CodeProof, Index: index, Digest: digest}); (a.Code == CodeProof) != want {
			t.Errorf("number %d: %+v", index, a)
		}
	}
	for epoch, want := range map[uint64]Code{1: CodeHeader, 2: CodeRefused, 5: CodeRefused, 9: CodeHeader} {
		if a := answerOf(t, g, gap.clock(), &Request{Code: CodeHeader, Epoch: epoch}); a.Code != want {
			t.Errorf("epoch %d: %+v", epoch, a)
		}
	}
}

// Beyond the bounds the oldest goes.
func TestServerBounds(t *testing.T) {
	l := grown(t, maxTables+10)
	s := l.server()
	if len(s.finals) != maxFinals || len(s.finals)+len(s.older) != maxTables-1 { // and snapshot 0's
		t.Errorf("%d finals, %d older tables", len(s.finals), len(s.older))
	}
	for i, want := range map[int]bool{0: false, 10: false, 11: true, maxTables + 9: true} {
		roots := rootsOf(l.finals[i].State.Snapshot().Table())
		if (s.from(&roots) != nil) != want {
			t.Errorf("table %d: %t", i, !want)
		}
	}
	for _, f := range s.older {
		if f.table != nil || f.packed != nil {
			t.Error("an old table is kept whole")
		}
	}
	// One table for many snapshots is held once.
	same := newLab(t, 3, genesis.Testnet())
	for range 8 {
		same.grow()
	}
	if q := same.server(); len(q.older) != 0 || q.finals[0].file != q.zero.file || q.finals[5].file != q.zero.file {
		t.Error("equal tables are held apart")
	}
	// As many bytes as may be.
	big := &Server{doc: l.doc, zero: s.zero, past: s.past}
	for i := range 5 {
		big.older = append(big.older, &file{roots: Roots{Dir: number(i)}, size: maxTablesSize / 4})
	}
	big.hold(s.finals[0])
	if len(big.older) != 3 {
		t.Errorf("%d tables of a quarter", len(big.older))
	}
	// Certificates and steps.
	full := *s
	full.certs = nil
	for i := range maxCertificates {
		full.certs = append(full.certs, &kept{epoch: uint64(i) + 1})
	}
	for i := range maxSteps {
		full.hand.known = append(full.hand.known, link{step: l.someStep(), root: number(i)})
	}
	f := l.grow()
	more := full.With(f)
	if len(more.certs) != maxCertificates || more.certs[maxCertificates-1].epoch != f.State.Epoch() || len(more.hand.known) > maxSteps {
		t.Errorf("%d certificates, %d steps", len(more.certs), len(more.hand.known))
	}
	for i := range 3 * maxTables {
		s.finals[5].file.mu.Lock()
		if s.finals[5].file.diffs == nil {
			s.finals[5].file.diffs = map[Roots][]byte{}
		}
		s.finals[5].file.diffs[Roots{Dir: number(i)}] = nil
		s.finals[5].file.mu.Unlock()
	}
	s.finals[5].file.diff(s.finals[4].file)
	if n := len(s.finals[5].file.diffs); n > 2*maxTables {
		t.Errorf("%d diffs are kept", n)
	}
}

// someStep returns some step.
func (l *lab) someStep() *vote.Step {
	return &vote.Step{Certificate: l.finals[0].Certificate, List: l.finals[0].State.Lists()[0].ForClients()}
}

// Goroutines share a server, and the servers that follow from it.
func TestServerIsShared(t *testing.T) {
	l := grown(t, 8)
	s, now := l.server(), l.clock()
	from := rootsOf(l.finals[0].State.Snapshot().Table())
	next := s.With(l.grow(l.renew(2)))
	var group gosync.WaitGroup
	for range 4 {
		for _, server := range []*Server{s, next} {
			group.Go(func() {
				for _, q := range []*Request{{Code: CodeSync}, {Code: CodeSync, Table: &from}, {Code: CodeHeader, Epoch: 3}, {Code: CodeProof, Index: 1, Digest: server.newest().digest}} {
					if a := answerOf(t, server, now, q); a.Code != q.Code {
						t.Errorf("code %d refused", q.Code)
					}
				}
			})
		}
	}
	group.Wait()
}

// Spec: DIR-15.
func TestCheck(t *testing.T) {
	l := grown(t, 4)
	other := newLab(t, 4, genesis.Testnet())
	for range 4 {
		other.grow()
	}
	ours := l.finals[2].State.Snapshot()
	if got := Check(ours, answerOf(t, l.server(), l.clock(), CheckRequest(ours))); got != Same {
		t.Errorf("the same view: %v", got)
	}
	forked := l.fork()
	forked.now, forked.next, forked.finals = l.finals[1].State, 3, forked.finals[:2]
	forked.grow(forked.renew(4))
	if got := Check(ours, answerOf(t, forked.server(), l.clock(), CheckRequest(ours))); got != Differs {
		t.Errorf("another table: %v", got)
	}
	for name, test := range map[string]struct {
		a    *Answer
		want Verdict
	}{
		"refused":         {&Answer{Code: CodeRefused}, Unknown},
		"skipped":         {&Answer{Code: CodeHeader}, Skipped},
		"another code":    {&Answer{Code: CodeTile}, Broken},
		"garbage":         {&Answer{Code: CodeHeader, Header: []byte{1}}, Broken},
		"another network": {&Answer{Code: CodeHeader, Header: other.finals[2].State.Snapshot().Header().Encode()}, Broken},
		"another epoch":   {&Answer{Code: CodeHeader, Header: l.finals[3].State.Snapshot().Header().Encode()}, Broken},
	} {
		if got := Check(ours, test.a); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	for name, test := range map[string]struct {
		h    []byte
		want error
	}{
		"garbage": {[]byte{1}, ErrForged}, "another epoch": {l.finals[3].State.Snapshot().Header().Encode(), ErrForged}, "skipped": {nil, nil},
	} {
		src := lying(l.server(), l.clock(), CodeHeader, func(_ *Request, a *Answer) { a.Header = test.h })
		if h, err := FetchHeader(src, l.doc.NetworkID(), 3); h != nil || err != test.want {
			t.Errorf("header, %s: %v", name, err)
		}
	}
	src := lying(l.server(), l.clock(), CodeCertificate, func(_ *Request, a *Answer) { a.Certificate = l.finals[3].Certificate.Encode() })
	if _, err := FetchCertificate(src, ours.Header().Digest()); err != ErrForged {
		t.Errorf("another certificate: %v", err)
	}
}
