// SPDX-License-Identifier: BSD-3-Clause

package sync

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	"chive/directory/genesis"
	"chive/directory/record"
	"chive/directory/snapshot"
	"chive/directory/transition"
	"chive/directory/vote"
)

// large is a network of three tiles, each of which differs from snapshot 0, and a server
// that does not know snapshot 0's table, so that tiles are fetched.
func large(t testing.TB) (*lab, *Server) {
	p := genesis.Testnet()
	p.CommitteeMax = 4
	l := newLab(t, 2100, p)
	var ops []transition.Op
	tiles := map[uint32]bool{}
	for n := 0; len(tiles) < 3; n++ {
		if op := l.renew(n); !tiles[op.Index/snapshot.TileLeafCount] {
			tiles[op.Index/snapshot.TileLeafCount] = true
			ops = append(ops, op)
		}
	}
	slices.SortFunc(ops, transition.Op.Compare)
	l.grow(ops...)
	l.grow()
	s := l.server()
	zero := *s.zero
	zero.file = newFile(tableOf(t, 3))
	s.zero = &zero
	return l, s
}

func TestLargeTable(t *testing.T) {
	l, s := large(t)
	t.Run("goes on from another source", func(t *testing.T) { goesOn(t, l, s) })
	t.Run("forgeries are refused", func(t *testing.T) { forgeriesAreRefused(t, l, s) })
}

// What was verified of a table is gone on with, from another source. Spec: SYNC-7.
func goesOn(t *testing.T, l *lab, s *Server) {
	f := l.follower()
	var progress [][2]int
	tell := func(done, total int) { progress = append(progress, [2]int{done, total}) }
	now := func() time.Time { return l.clock() }
	first := of(s, l.clock())
	first.closeIn = 2 // SYNC, and no more
	if _, err := f.Fetch(first, now, tell); !errors.Is(err, io.EOF) {
		t.Fatalf("cut off: %v", err)
	}
	if f.Snapshot().Epoch() != 0 || len(f.part.tiles) != 1 {
		t.Fatalf("epoch %d, %d tiles", f.Snapshot().Epoch(), len(f.part.tiles))
	}
	second := of(s, l.clock())
	if r, err := f.Fetch(second, now, tell); r != Newer || err != nil {
		t.Fatalf("%v, %v", r, err)
	}
	if !slices.Equal(second.asked, []Code{CodeSync, CodeTile}) || second.got > 2*PadSize+90_000 {
		t.Errorf("asked %v, %d bytes", second.asked, second.got)
	}
	if at := progress[len(progress)-1]; at != [2]int{4, 4} || progress[0] != [2]int{1, 4} {
		t.Errorf("progress %v", progress)
	}
	if len(f.part.tiles) != 0 {
		t.Error("parts of a whole table are kept")
	}
}

// forgeries change one answer in a way that must be seen.
func forgeries(t *testing.T, l *lab) map[string]struct {
	code   Code
	change func(q *Request, a *Answer)
} {
	working := l.finals[len(l.finals)-2].Certificate
	recode := func(change func(c *vote.Certificate)) func(*Request, *Answer) {
		return func(_ *Request, a *Answer) {
			c, err := vote.DecodeCertificate(a.Certificate)
			if err != nil {
				t.Fatal(err)
			}
			change(c)
			a.Certificate = c.Encode()
		}
	}
	stranger := l.fork()
	stranger.keys = map[[32]byte]ed25519.PrivateKey{}
	for k := range l.keys {
		stranger.keys[k] = signingKey("stranger", 0)
	}
	return map[string]struct {
		code   Code
		change func(q *Request, a *Answer)
	}{
		"a signature that is false": {CodeSync, recode(func(c *vote.Certificate) { c.Signatures[0][7] ^= 1 })},
		"signatures of strangers": {CodeSync, func(_ *Request, a *Answer) {
			a.Certificate = stranger.sign(l.finals[len(l.finals)-2].State, transition.Genesis(l.doc).Owner(l.doc.Params, working.Header.Epoch), 0).Encode()
		}},
		"too few signatures": {CodeSync, func(_ *Request, a *Answer) { a.Certificate = working.Trim(1).Encode() }},
		"no certificate":     {CodeSync, func(_ *Request, a *Answer) { a.Certificate = []byte{1, 2, 3} }},
		"another network": {CodeSync, recode(func(c *vote.Certificate) {
			h := *c.Header
			h.NetworkID[0] ^= 1
			*c = *must(vote.NewCertificate(&h, c.Signers, c.Signatures))
		})},
		"a step of nothing": {CodeSync, func(_ *Request, a *Answer) { a.Steps = [][]byte{{1}} }},
		"the snapshot that we did not name": {CodeSync, func(_ *Request, a *Answer) {
			*a = Answer{Code: CodeSync, Working: WorkingNamed}
		}},
		"roots of another table": {CodeSync, func(_ *Request, a *Answer) { a.TileRoots[1] = a.TileRoots[0] }},
		"no table":               {CodeSync, func(_ *Request, a *Answer) { a.TileRoots, a.Tiles = nil, nil }},
		"another tile":           {CodeSync, func(_ *Request, a *Answer) { a.Tiles[0][len(a.Tiles[0])/2] ^= 1 }},
		"another tile later":     {CodeTile, func(_ *Request, a *Answer) { a.Tiles[0][len(a.Tiles[0])/2] ^= 1 }},
		"a bomb for a tile": {CodeTile, func(_ *Request, a *Answer) {
			a.Tiles[0] = append([]byte{1, 3, 255, 1, 9, 0}, newPacker().frame(make([]byte, 1<<20))...)
		}},
		"dictionaries of others": {CodeSync, func(_ *Request, a *Answer) { a.Dict = newPacker().pack(tableOf(t, 9).Dictionaries().Encode()) }},
		"no dictionaries":        {CodeSync, func(_ *Request, a *Answer) { a.Dict = []byte{packedRaw, 1} }},
		"a diff of nothing":      {CodeSync, func(_ *Request, a *Answer) { a.TileRoots, a.Tiles, a.Diff = nil, nil, []byte{packedRaw, 1, 2} }},
		"a diff that is a bomb": {CodeSync, func(_ *Request, a *Answer) {
			a.TileRoots, a.Tiles, a.Diff = nil, nil, newPacker().pack(make([]byte, transition.MaxDiffSize))
		}},
	}
}

// Whatever a source makes up is refused, what we hold does not change, and the next
// source is enough. Spec: SYNC-7.
func forgeriesAreRefused(t *testing.T, l *lab, s *Server) {
	ready := l.follower()
	for name, test := range forgeries(t, l) {
		copied := *ready
		f := &copied
		if _, err := l.fetch(f, lying(s, l.clock(), test.code, test.change)); !errors.Is(err, ErrForged) {
			t.Errorf("%s: %v", name, err)
		}
		if f.Snapshot().Epoch() != 0 || f.Certificate() != nil || f.Anchor().Epoch != 0 {
			t.Errorf("%s: something was taken", name)
		}
		if r, err := l.fetch(f, of(s, l.clock())); r != Newer || err != nil {
			t.Errorf("%s, then an honest one: %v, %v", name, r, err)
		}
	}
	garbage := &source{answer: func([]byte) []byte { return bytes.Repeat([]byte{0xff}, PadSize) }}
	if _, err := l.fetch(ready, garbage); !errors.Is(err, ErrForged) {
		t.Errorf("garbage: %v", err)
	}
}

func TestSourcesThatDoNotHelp(t *testing.T) {
	l := grown(t, 6)
	f := l.follower()
	if r, err := l.fetch(f, of(l.server(), l.clock())); r != Newer || err != nil {
		t.Fatalf("%v, %v", r, err)
	}
	stale := NewServer(l.doc).With(l.finals[0]).With(l.finals[1]).With(l.finals[2])
	for name, test := range map[string]struct {
		from   *source
		result Result
		err    error
	}{
		"stale":                {of(stale, l.clock()), Older, nil},
		"at snapshot 0":        {of(NewServer(l.doc), l.clock()), Older, nil},
		"busy":                 {&source{answer: func([]byte) []byte { return Busy() }}, Unchanged, ErrBusy},
		"has it not":           {&source{answer: func([]byte) []byte { return refuse(RefusedAbsent) }}, Unchanged, ErrAbsent},
		"does not understand":  {&source{answer: func([]byte) []byte { return refuse(RefusedUnknown) }}, Unchanged, ErrAbsent},
		"says nothing":         {&source{answer: func([]byte) []byte { return nil }}, Unchanged, io.EOF},
		"ends within a frame":  {&source{answer: func([]byte) []byte { return Busy()[:100] }}, Unchanged, io.ErrUnexpectedEOF},
		"has the same, anyway": {lying(l.server(), l.clock(), CodeSync, func(_ *Request, a *Answer) { a.Working, a.Certificate = WorkingOther, f.Certificate().Encode() }), Unchanged, nil},
	} {
		r, err := l.fetch(f, test.from)
		if r != test.result || !errors.Is(err, test.err) || f.Snapshot().Epoch() != 5 {
			t.Errorf("%s: %v, %v", name, r, err)
		}
	}
	if r, err := l.fetch(l.follower(), of(NewServer(l.doc), l.clock())); r != Unchanged || err != nil {
		t.Errorf("both at snapshot 0: %v, %v", r, err)
	}
	// Our clock is behind: what is final lies ahead of it.
	early := func() time.Time { return l.at(2) }
	var ahead *AheadError
	if _, err := l.follower().Fetch(of(l.server(), l.clock()), early, nil); !errors.Is(err, ErrAhead) || !errors.As(err, &ahead) || ahead.Epoch != 5 {
		t.Errorf("ahead of the clock: %v, %+v", err, ahead)
	}
	// A source that has no hand-over to us.
	far := newLab(t, 5, genesis.Testnet())
	for range 70 {
		far.grow(far.renewAll(5)...)
	}
	none := lying(far.server(), far.clock(), CodeSync, func(_ *Request, a *Answer) { a.Steps = nil })
	if _, err := far.fetch(far.follower(), none); !errors.Is(err, ErrTooOld) {
		t.Errorf("no hand-over: %v", err)
	}
}

// Spec: SYNC-6.
func TestOldAnchorsAreNotExtended(t *testing.T) {
	p := genesis.Testnet()
	p.AnchorAge = 3 * p.EpochLen
	l := newLab(t, 5, p)
	for range 4 {
		l.grow()
	}
	f := l.follower()
	src := of(l.server(), l.clock())
	if _, err := l.fetch(f, src); !errors.Is(err, ErrTooOld) || len(src.asked) > 0 {
		t.Errorf("%v, asked %v", err, src.asked)
	}
	start := l.doc.EpochStart(0)
	if f.TooOld(start.Add(p.AnchorAge)) || !f.TooOld(start.Add(p.AnchorAge+1)) {
		t.Error("the limit is elsewhere")
	}
}

// Two final snapshots of one epoch are told from each other, and prove who signed both.
// Spec: SYNC-9, VOTE-7.
func TestSplitView(t *testing.T) {
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
	ours := f.Snapshot()
	if _, err := l.fetch(f, of(other.server(), l.clock())); !errors.Is(err, ErrSplit) || !errors.Is(err, ErrOrphan) {
		t.Fatalf("%v", err)
	}
	if f.Snapshot() != ours || f.Split().HeaderDigest() != other.finals[4].State.Digest() || len(f.Evidence()) != 4 {
		t.Errorf("%d records of evidence", len(f.Evidence()))
	}
	for _, e := range f.Evidence() {
		if err := e.Verify(l.doc.NetworkID(), l.clock(), record.Times{}, vote.EvidenceRules()); err != nil {
			t.Errorf("evidence: %v", err)
		}
	}
	// By CHECK: the header of another relay differs, its certificate is judged.
	src := of(other.server(), l.clock())
	h, err := FetchHeader(src, l.doc.NetworkID(), ours.Epoch())
	if err != nil || h.Digest() == ours.Header().Digest() {
		t.Fatalf("header: %v", err)
	}
	c, err := FetchCertificate(src, h.Digest())
	if err != nil {
		t.Fatal(err)
	}
	if j, evidence := f.Judge(c); j != JudgeOther || len(evidence) != 4 {
		t.Errorf("%v, %d records", j, len(evidence))
	}
	if err := SendEvidence(src, f.Evidence()[0]); err != nil {
		t.Error(err)
	}
	for range 40 {
		f.Judge(c)
	}
	if len(f.Evidence()) != 4 {
		t.Errorf("%d records are kept of four", len(f.Evidence()))
	}
	full := *f
	for full.evidence = full.evidence[:2]; len(full.evidence) < maxEvidence-1; {
		full.evidence = append(full.evidence, full.evidence[0])
	}
	if full.Judge(c); len(full.Evidence()) != maxEvidence {
		t.Errorf("%d records are kept", len(full.Evidence()))
	}
	bad := must(vote.DecodeCertificate(c.Encode()))
	bad.Signatures[0][0] ^= 1
	foreign := newLab(t, 4, genesis.Testnet())
	for name, test := range map[string]struct {
		c    *vote.Certificate
		want Judgement
	}{
		"ours":            {f.Certificate(), JudgeSame},
		"false":           {bad, JudgeForged},
		"another network": {foreign.grow().Certificate, JudgeForged},
		"later":           {l.finals[5].Certificate, JudgeHigher},
		"earlier":         {l.finals[1].Certificate, JudgeUnknown},
	} {
		if j, _ := f.Judge(test.c); j != test.want {
			t.Errorf("%s: %v", name, j)
		}
	}
	if j, _ := l.follower().Judge(l.finals[0].Certificate); j != JudgeHigher {
		t.Errorf("from snapshot 0: %v", j)
	}
	for range 70 {
		l.grow(l.renewAll(5)...)
	}
	if j, _ := f.Judge(l.finals[len(l.finals)-1].Certificate); j != JudgeUnknown {
		t.Errorf("of a list that is not known: %v", j)
	}
}

// A history without our header is not followed, unless it replaces our newest one only.
// Spec: SYNC-8, EPOCH-9.
func TestOrphans(t *testing.T) {
	for depth, want := range map[int]error{1: nil, 2: ErrOrphan, 3: ErrOrphan} {
		l := grown(t, 3)
		ours := l.fork()
		for range depth - 1 {
			ours.grow(ours.renew(1))
		}
		ours.next += 3 // so that no epochs meet
		ours.grow(ours.renew(2))
		ours.grow()
		f := l.follower()
		if r, err := ours.fetch(f, of(ours.server(), ours.clock())); r != Newer || err != nil {
			t.Fatalf("%v, %v", r, err)
		}
		held := f.Snapshot()
		l.next = ours.next + 10
		for range depth {
			l.grow(l.renew(3))
		}
		if r, err := l.fetch(f, of(l.server(), l.clock())); depth == 1 && (r != Unchanged && r != Older || err != nil || f.Snapshot() != held) {
			t.Errorf("a sibling alone: %v, %v", r, err)
		}
		l.grow()
		if r, err := l.fetch(f, of(l.server(), l.clock())); depth == 1 && (r != Unchanged || err != nil || f.Snapshot() != held) {
			t.Errorf("a sibling and its child: %v, %v", r, err)
		}
		l.grow()
		l.grow()
		r, err := l.fetch(f, of(l.server(), l.clock()))
		if !errors.Is(err, want) || (r == Newer) != (want == nil) {
			t.Errorf("depth %d: %v, %v", depth, r, err)
		}
		if want == nil {
			if f.Fork() != nil {
				t.Error("a sibling is a fork")
			}
			continue
		}
		if f.Snapshot() != held {
			t.Errorf("depth %d: another history was taken", depth)
		}
		// Both sides are kept, the first that was met, for as long as nobody decides.
		fork := f.Fork()
		if fork == nil || fork.Ours.HeaderDigest() != held.Header().Digest() || fork.Theirs.Header.Epoch <= held.Epoch() {
			t.Fatalf("depth %d: kept %+v", depth, fork)
		}
		ours.next = l.next + 1
		ours.grow()
		ours.grow()
		if r, err := ours.fetch(f, of(ours.server(), ours.clock())); r != Newer || err != nil {
			t.Fatalf("ours goes on: %v, %v", r, err)
		}
		again, err := Resume(l.doc, vote.Plain{}, f.Encode(), nil, ours.clock())
		if err != nil || again.Fork() == nil || again.Fork().Ours.HeaderDigest() != fork.Ours.HeaderDigest() ||
			again.Fork().Theirs.HeaderDigest() != fork.Theirs.HeaderDigest() {
			t.Errorf("depth %d, loaded: %v", depth, err)
		}
		older, newer := anchorOf(t, l.finals[len(l.finals)-1]), anchorOf(t, ours.finals[len(ours.finals)-1])
		if again, err := Resume(l.doc, vote.Plain{}, f.Encode(), older, ours.clock()); err != nil || again.Fork() == nil || again.Grounded() {
			t.Errorf("depth %d: an older anchor decides: %v", depth, err)
		}
		if again, err := Resume(l.doc, vote.Plain{}, f.Encode(), newer, ours.clock()); err != nil || again.Fork() != nil || !again.Grounded() {
			t.Errorf("depth %d: a newer anchor does not decide: %v", depth, err)
		}
	}
}

// A source that knows our number and not the one before cannot show that more than our
// newest one was replaced. Spec: SYNC-8.
func TestAShortMemoryIsNoFork(t *testing.T) {
	l := grown(t, 3)
	ours := l.fork()
	ours.grow(ours.renew(2))
	ours.grow()
	f := l.follower()
	if r, err := ours.fetch(f, of(ours.server(), ours.clock())); r != Newer || err != nil {
		t.Fatalf("%v, %v", r, err)
	}
	number := f.Snapshot().Header().HistorySize
	l.next = ours.next + 3
	for range 4 {
		l.grow(l.renew(3))
	}
	src := lying(l.server(), l.clock(), CodeProof, func(q *Request, a *Answer) {
		if q.Index < number {
			*a = Answer{Code: CodeRefused, Refusal: RefusedAbsent}
		}
	})
	if r, err := l.fetch(f, src); r != Unproven || err != nil || f.Fork() != nil {
		t.Errorf("%v, %v, fork %v", r, err, f.Fork())
	}
}

// A source that does not reach back leaves the snapshot untaken until another proves it,
// or the owner takes it. Spec: SYNC-8.
func TestUnproven(t *testing.T) {
	l := grown(t, 3)
	f := l.follower()
	if r, err := l.fetch(f, of(l.server(), l.clock())); r != Newer || err != nil {
		t.Fatalf("%v, %v", r, err)
	}
	for range 4 {
		l.grow(l.renew(2))
	}
	late := NewServer(l.doc).With(l.finals[5]).With(l.finals[6])
	for range 2 {
		if r, err := l.fetch(f, of(late, l.clock())); r != Unproven || err != nil || f.Snapshot().Epoch() != 2 {
			t.Fatalf("%v, %v", r, err)
		}
	}
	again := *f
	if !again.Adopt() || again.Snapshot().Epoch() != 6 || again.Adopt() {
		t.Errorf("adopted: epoch %d", again.Snapshot().Epoch())
	}
	src := of(l.server(), l.clock())
	if r, err := l.fetch(f, src); r != Newer || err != nil || f.Snapshot().Epoch() != 6 {
		t.Errorf("proven: %v, %v", r, err)
	}
	if !slices.Equal(src.asked, []Code{CodeSync}) || src.got > PadSize { // the path is in the answer
		t.Errorf("asked %v, %d bytes", src.asked, src.got)
	}
	for range 4 {
		l.grow(l.renew(2))
	}
	again = *f
	if _, err := l.fetch(&again, lying(l.server(), l.clock(), CodeSync, func(_ *Request, a *Answer) { a.Path[0][0] ^= 1 })); !errors.Is(err, ErrForged) {
		t.Errorf("another path with the certificate: %v", err)
	}
	// A source that leaves the path out of its answer is asked for it.
	for name, change := range map[string]func(*Request, *Answer){
		"honest":         nil,
		"no path":        func(_ *Request, a *Answer) { a.Path = nil },
		"another path":   func(_ *Request, a *Answer) { a.Path[0][0] ^= 1 },
		"another header": func(_ *Request, a *Answer) { a.Digest[0] ^= 1 },
	} {
		again := *f
		src := lying(l.server(), l.clock(), CodeProof, func(q *Request, a *Answer) {
			if change != nil {
				change(q, a)
			}
		})
		without := lying(l.server(), l.clock(), CodeSync, func(_ *Request, a *Answer) { a.Path = nil })
		proof := src.answer
		src.answer = func(body []byte) []byte {
			if q, err := DecodeRequest(body); err == nil && q.Code == CodeSync {
				return without.answer(body)
			}
			return proof(body)
		}
		_, err := l.fetch(&again, src)
		if change == nil && err != nil || change != nil && !errors.Is(err, ErrForged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A quorum cannot sign whatever it likes. Spec: TRN-9, SYNC-7.
func TestRulesHoldAgainstAQuorum(t *testing.T) {
	l := grown(t, 2)
	bad := l.fork()
	list := bad.now.Owner(bad.doc.Params, bad.next)
	honest := l.fork().grow().State
	parts := honest.Parts()
	leaves, err := snapshot.ParseTiles(parts.Tiles)
	if err != nil {
		t.Fatal(err)
	}
	leaves[0].BirthDay += 9 // as if it had been born later than today
	table, err := snapshot.NewTable(leaves, honest.Snapshot().Table().Dictionaries())
	if err != nil {
		t.Fatal(err)
	}
	h := *honest.Snapshot().Header()
	h.DirRoot = table.DirRoot()
	parts.Header, parts.Tiles = h.Encode(), [][]byte{table.Tile(0)}
	state, err := transition.Assemble(l.doc, parts)
	if err != nil {
		t.Fatal(err)
	}
	bad.final(state, list)
	bad.grow()
	f := l.follower()
	if _, err := bad.fetch(f, of(bad.server(), bad.clock())); !errors.Is(err, ErrIllegal) || !errors.Is(err, ErrForged) {
		t.Fatalf("%v", err)
	}
	if f.Snapshot().Epoch() != 0 || f.Illegal().HeaderDigest() != state.Digest() {
		t.Error("it was taken, or is not remembered")
	}
}

func TestFreshness(t *testing.T) {
	p := genesis.Public()
	for _, test := range []struct {
		held, now uint64
		want      Freshness
		served    bool
	}{
		{100, 100, Fresh, true}, {100, 99, Fresh, true}, {100, 104, Fresh, true}, {100, 105, Fresh, false}, {100, 108, Fresh, false},
		{100, 109, Stale, false}, {100, 124, Stale, false}, {100, 125, Outdated, false}, {100, 172, Outdated, false}, {100, 173, Refused, false},
	} {
		if got := FreshnessOf(p, test.held, test.now); got != test.want || ServedFresh(p, test.held, test.now) != test.served {
			t.Errorf("%d at %d: %v", test.held, test.now, got)
		}
	}
	p.Warn = p.Fresh + 1 // below the twice that clients allow
	if got := FreshnessOf(p, 100, 100+2*uint64(p.Fresh)); got != Fresh {
		t.Errorf("fresh for clients, though beyond warn: %v", got)
	}
	if got := FreshnessOf(p, 100, 101+2*uint64(p.Fresh)); got != Outdated {
		t.Errorf("beyond both: %v", got)
	}
}
