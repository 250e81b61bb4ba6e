// SPDX-License-Identifier: BSD-3-Clause

package sync

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"chive/directory/record"
	"chive/directory/snapshot"
	"chive/directory/vote"
	"chive/internal/strictcbor"
)

func requests() map[string]*Request {
	digest, table := number(1), Roots{number(2), number(3)}
	return map[string]*Request{
		"sync_cold": {Code: CodeSync},
		"sync_warm": {Code: CodeSync, Epoch: 7, HeaderDigest: &digest, Table: &table, Lists: [][32]byte{number(4), number(5), number(6), number(7)}},
		"sync_bare": {Code: CodeSync, Table: &table, Bare: true},
		"tile":      {Code: CodeTile, Dir: number(2), N: maxTiles - 1, Count: MaxTileCount},
		"dict":      {Code: CodeDictionaries, Dict: number(3)},
		"diff":      {Code: CodeDiff, Table: &table, To: Roots{number(8), number(9)}},
		"header":    {Code: CodeHeader, Epoch: MaxEpoch},
		"cert":      {Code: CodeCertificate, Digest: digest},
		"proof":     {Code: CodeProof, Index: MaxEpoch, Digest: digest},
		"evidence":  {Code: CodeEvidence, Evidence: []byte{1, 2, 3}},
		"time":      {Code: CodeTime},
		"reach":     {Code: CodeReach, Address: netip.MustParseAddrPort("203.0.113.5:9240")},
		"reach_six": {Code: CodeReach, Address: netip.MustParseAddrPort("[2001:db8::5]:443")},
	}
}

func answers() map[string]*Answer {
	return map[string]*Answer{
		"refused":   {Code: CodeRefused, Refusal: RefusedBusy},
		"sync_zero": {Code: CodeSync},
		"sync_same": {Code: CodeSync, Working: WorkingNamed},
		"sync_tiles": {Code: CodeSync, Working: WorkingOther, Certificate: []byte{2}, Steps: [][]byte{{3}, {4}}, Dict: []byte{0, 5},
			TileRoots: [][32]byte{number(1), number(2)}, Tiles: [][]byte{{0, 1}}},
		"sync_diff": {Code: CodeSync, Working: WorkingOther, Certificate: []byte{2}, Diff: []byte{0, 6}},
		"sync_held": {Code: CodeSync, Working: WorkingOther, Certificate: []byte{2}},
		"tile":      {Code: CodeTile, N: 3, Tiles: [][]byte{{0, 9}, {0, 8}}},
		"dict":      {Code: CodeDictionaries, Dict: []byte{0}},
		"diff":      {Code: CodeDiff, Diff: []byte{0}},
		"header":    {Code: CodeHeader, Header: []byte{1}},
		"skipped":   {Code: CodeHeader},
		"cert":      {Code: CodeCertificate, Certificate: []byte{1}},
		"proof":     {Code: CodeProof, Digest: number(1), Path: [][32]byte{number(2), number(3)}},
		"evidence":  {Code: CodeEvidence},
		"time":      {Code: CodeTime, Time: maxTime},
		"reached":   {Code: CodeReach, Observed: netip.MustParseAddr("203.0.113.5")},
		"reach_six": {Code: CodeReach, Reach: ReachTimeout, Observed: netip.MustParseAddr("2001:db8::5")},
		"reach_no":  {Code: CodeReach, Reach: ReachNotAllowed},
	}
}

// normal makes empty slices nil, so that values compare.
func normal(a *Answer) Answer {
	n := *a
	for _, b := range []*[]byte{&n.Header, &n.Certificate, &n.Diff, &n.Dict} {
		if len(*b) == 0 {
			*b = nil
		}
	}
	for _, b := range []*[][]byte{&n.Steps, &n.Tiles} {
		if len(*b) == 0 {
			*b = nil
		}
	}
	return n
}

// Spec: SYNC-1, REACH-3.
func TestRequestRoundTrip(t *testing.T) {
	for name, q := range requests() {
		b := mustEncode(t, q)
		got, err := DecodeRequest(b)
		if err != nil || !reflect.DeepEqual(got, q) {
			t.Errorf("%s became %+v: %v", name, got, err)
		}
		for n := range b {
			if _, err := DecodeRequest(b[:n]); !errors.Is(err, ErrRequest) {
				t.Fatalf("%s cut to %d bytes: %v", name, n, err)
			}
		}
		if _, err := DecodeRequest(append(bytes.Clone(b), 0)); !errors.Is(err, ErrRequest) {
			t.Errorf("%s with a trailing byte: %v", name, err)
		}
		got, err = DecodeRequest(must(ReadRequest(bytes.NewReader(Frame(b)))))
		if err != nil || !reflect.DeepEqual(got, q) {
			t.Errorf("%s, framed, became %+v: %v", name, got, err)
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestRequestBounds(t *testing.T) {
	largest := &Request{Code: CodeEvidence, Evidence: make([]byte, record.MaxEvidenceSize)}
	if _, err := DecodeRequest(mustEncode(t, largest)); err != nil {
		t.Errorf("largest evidence: %v", err)
	}
	for name, q := range map[string]*Request{
		"code 0":             {Code: CodeRefused},
		"code 11":            {Code: 11},
		"five lists":         {Code: CodeSync, Lists: make([][32]byte, MaxListCount+1)},
		"lists too far":      {Code: CodeSync, Epoch: MaxEpoch + 1},
		"tile too far":       {Code: CodeTile, N: maxTiles, Count: 1},
		"no tiles":           {Code: CodeTile},
		"five tiles":         {Code: CodeTile, Count: MaxTileCount + 1},
		"diff from nothing":  {Code: CodeDiff},
		"epoch too far":      {Code: CodeHeader, Epoch: MaxEpoch + 1},
		"number too far":     {Code: CodeProof, Index: MaxEpoch + 1},
		"no evidence":        {Code: CodeEvidence},
		"evidence too large": {Code: CodeEvidence, Evidence: make([]byte, record.MaxEvidenceSize+1)},
		"no address":         {Code: CodeReach},
		"a zone":             {Code: CodeReach, Address: netip.MustParseAddrPort("[fe80::1%eth0]:1")},
	} {
		if _, err := q.Encode(); !errors.Is(err, ErrRequest) {
			t.Errorf("%s: %v", name, err)
		}
	}
	h := make([]byte, 32)
	for name, v := range map[string]any{
		"nothing":            []int{},
		"no array":           5,
		"code 0":             []int{0, 0},
		"code 11":            []int{11},
		"time of what":       []int{9, 0},
		"no address":         wireReach{Code: 10, Port: 1},
		"no port":            wireReach{Code: 10, IP: []byte{203, 0, 113, 5}},
		"address too short":  wireReach{Code: 10, IP: h[:3], Port: 1},
		"address too long":   wireReach{Code: 10, IP: append([]byte{0x20, 1}, h[:15]...), Port: 1},
		"mapped address":     wireReach{Code: 10, IP: []byte{10: 255, 11: 255, 12: 203, 13: 0, 14: 113, 15: 5}, Port: 1},
		"unspecified":        wireReach{Code: 10, IP: h[:4], Port: 1},
		"multicast":          wireReach{Code: 10, IP: []byte{224, 0, 0, 1}, Port: 1},
		"port too large":     []any{10, []byte{203, 0, 113, 5}, 65536},
		"code 256":           []int{256, 0},
		"code as text":       []string{"a"},
		"short header":       wireSync{Code: 1, Header: h[:31]},
		"long table":         wireSync{Code: 1, Dir: make([]byte, 33), Dict: h},
		"half a table":       wireSync{Code: 1, Dir: h},
		"short list":         wireSync{Code: 1, Lists: [][]byte{h[:31]}},
		"five lists":         wireSync{Code: 1, Lists: [][]byte{h, h, h, h, h}},
		"lists too far":      wireSync{Code: 1, Epoch: MaxEpoch + 1},
		"no tile root":       wireTile{Code: 2, Count: 1},
		"tile too far":       wireTile{Code: 2, Dir: h, N: maxTiles, Count: 1},
		"short dictionary":   wireDict{Code: 3, Dict: h[:31]},
		"half a diff":        wireDiff{Code: 4, FromDir: h, FromDict: h, ToDir: h},
		"epoch too far":      wireHeader{Code: 5, Epoch: MaxEpoch + 1},
		"short certificate":  wireCertificate{Code: 6, Digest: h[:1]},
		"number too far":     wireProof{Code: 7, Index: MaxEpoch + 1, To: h},
		"proof in nothing":   wireProof{Code: 7},
		"no evidence":        wireEvidence{Code: 8},
		"evidence too large": wireEvidence{Code: 8, Evidence: make([]byte, record.MaxEvidenceSize+1)},
		"one too many":       []int{5, 0, 0},
		"one too few":        []int{5},
	} {
		b, err := strictcbor.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := DecodeRequest(b); !errors.Is(err, ErrRequest) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := DecodeRequest(make([]byte, MaxRequestSize+1)); !errors.Is(err, ErrRequest) {
		t.Errorf("too long: %v", err)
	}
}

func TestAnswerRoundTrip(t *testing.T) {
	for name, a := range answers() {
		b := mustEncode(t, a)
		asked := &Request{Code: a.Code, N: a.N, Count: 2}
		got, err := DecodeAnswer(must(ReadAnswer(bytes.NewReader(frames(b)))), asked)
		if err != nil || !reflect.DeepEqual(normal(got), normal(a)) {
			t.Errorf("%s became %+v: %v", name, got, err)
		}
		if _, err := DecodeAnswer(nil, asked); !errors.Is(err, ErrAnswer) {
			t.Errorf("nothing: %v", err)
		}
		// Those whose content is a block by itself say so only to who reads the block.
		if slices.Contains([]Code{CodeRefused, CodeSync, CodeTile, CodeEvidence, CodeTime}, a.Code) || name == "reach_no" {
			for n := range b {
				if _, err := DecodeAnswer(b[:n], asked); !errors.Is(err, ErrAnswer) {
					t.Fatalf("%s cut to %d bytes: %v", name, n, err)
				}
			}
			if _, err := DecodeAnswer(append(bytes.Clone(b), 0), asked); !errors.Is(err, ErrAnswer) {
				t.Errorf("%s with a trailing byte: %v", name, err)
			}
		}
		if a.Code != CodeRefused {
			if _, err := DecodeAnswer(b, &Request{Code: a.Code%10 + 1}); !errors.Is(err, ErrAnswer) {
				t.Errorf("%s to another question: %v", name, err)
			}
		}
	}
	if _, err := DecodeAnswer(mustEncode(t, answers()["tile"]), &Request{Code: CodeTile, N: 4, Count: 2}); !errors.Is(err, ErrAnswer) {
		t.Errorf("another tile: %v", err)
	}
	proof := mustEncode(t, answers()["proof"])
	for _, n := range []int{1, 32, 34, len(proof) - 1} {
		if _, err := DecodeAnswer(proof[:n], &Request{Code: CodeProof}); !errors.Is(err, ErrAnswer) {
			t.Errorf("a proof of %d bytes: %v", n, err)
		}
	}
}

func TestAnswerBounds(t *testing.T) {
	roots := func(n int) [][32]byte { return make([][32]byte, n) }
	many := func(n int, size int) (out [][]byte) {
		for range n {
			out = append(out, make([]byte, size))
		}
		return out
	}
	cert := []byte{1}
	other := func(a Answer) *Answer {
		a.Code, a.Working = CodeSync, WorkingOther
		if a.Certificate == nil {
			a.Certificate = cert
		}
		return &a
	}
	for name, test := range map[string]struct {
		a  *Answer
		ok bool
	}{
		"unknown code":            {&Answer{Code: 11}, false},
		"last reach":              {&Answer{Code: CodeReach, Reach: reaches - 1}, true},
		"unknown reach":           {&Answer{Code: CodeReach, Reach: reaches}, false},
		"observed a mapped one":   {&Answer{Code: CodeReach, Observed: netip.MustParseAddr("::ffff:203.0.113.5")}, false},
		"last refusal":            {&Answer{Refusal: refusals - 1}, true},
		"unknown refusal":         {&Answer{Refusal: refusals}, false},
		"unknown working":         {&Answer{Code: CodeSync, Working: workings}, false},
		"no certificate":          {&Answer{Code: CodeSync, Working: WorkingOther}, false},
		"certificate of nothing":  {&Answer{Code: CodeSync, Certificate: cert}, false},
		"steps to what is held":   {&Answer{Code: CodeSync, Working: WorkingNamed, Steps: many(1, 1)}, false},
		"roots of snapshot 0":     {&Answer{Code: CodeSync, TileRoots: roots(1)}, false},
		"largest certificate":     {other(Answer{Certificate: make([]byte, vote.MaxCertificateSize)}), true},
		"certificate too large":   {other(Answer{Certificate: make([]byte, vote.MaxCertificateSize+1)}), false},
		"most and largest steps":  {other(Answer{Steps: many(vote.MaxStepCount, vote.MaxStepSize)}), true},
		"a step too many":         {other(Answer{Steps: many(vote.MaxStepCount+1, 1)}), false},
		"empty step":              {other(Answer{Steps: many(1, 0)}), false},
		"step too large":          {other(Answer{Steps: many(1, vote.MaxStepSize+1)}), false},
		"most tiles":              {other(Answer{TileRoots: roots(maxTiles), Tiles: many(maxTiles, 2)}), true},
		"a root too many":         {other(Answer{TileRoots: roots(maxTiles + 1)}), false},
		"more tiles than roots":   {other(Answer{TileRoots: roots(1), Tiles: many(2, 2)}), false},
		"empty tile":              {other(Answer{TileRoots: roots(1), Tiles: many(1, 1)}), false},
		"diff and roots":          {other(Answer{TileRoots: roots(1), Diff: []byte{0}}), false},
		"diff beyond an answer":   {other(Answer{Diff: make([]byte, MaxContentSize)}), false},
		"largest tile":            {&Answer{Code: CodeTile, Tiles: many(MaxTileCount, maxTileSize)}, true},
		"a tile too many":         {&Answer{Code: CodeTile, Tiles: many(MaxTileCount+1, 2)}, false},
		"no tile":                 {&Answer{Code: CodeTile}, false},
		"tile too large":          {&Answer{Code: CodeTile, Tiles: many(1, maxTileSize+1)}, false},
		"tile of nothing":         {&Answer{Code: CodeTile, Tiles: many(1, 1)}, false},
		"tile too far":            {&Answer{Code: CodeTile, N: maxTiles, Tiles: many(1, 2)}, false},
		"largest diff":            {&Answer{Code: CodeDiff, Diff: make([]byte, MaxContentSize)}, true},
		"diff too large":          {&Answer{Code: CodeDiff, Diff: make([]byte, MaxContentSize+1)}, false},
		"no diff":                 {&Answer{Code: CodeDiff}, false},
		"dictionaries too large":  {&Answer{Code: CodeDictionaries, Dict: make([]byte, MaxContentSize+1)}, false},
		"no dictionaries":         {&Answer{Code: CodeDictionaries}, false},
		"largest header":          {&Answer{Code: CodeHeader, Header: make([]byte, snapshot.MaxHeaderSize)}, true},
		"header too large":        {&Answer{Code: CodeHeader, Header: make([]byte, snapshot.MaxHeaderSize+1)}, false},
		"shown certificate":       {&Answer{Code: CodeCertificate, Certificate: make([]byte, vote.MaxCertificateSize)}, true},
		"shown one too large":     {&Answer{Code: CodeCertificate, Certificate: make([]byte, vote.MaxCertificateSize+1)}, false},
		"longest path":            {&Answer{Code: CodeProof, Path: roots(maxPath)}, true},
		"path too long":           {&Answer{Code: CodeProof, Path: roots(maxPath + 1)}, false},
		"evidence that says more": {&Answer{Code: CodeEvidence}, true},
		"latest time":             {&Answer{Code: CodeTime, Time: maxTime}, true},
		"time too late":           {&Answer{Code: CodeTime, Time: maxTime + 1}, false},
	} {
		b, err := test.a.Encode()
		if (err == nil) != test.ok {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			if _, err := DecodeAnswer(b, &Request{Code: test.a.Code, N: test.a.N, Count: MaxTileCount}); err != nil {
				t.Errorf("%s, decoded: %v", name, err)
			}
		}
	}
	// What the encoder never makes, the decoder must refuse.
	for name, w := range map[string]wireSyncAnswer{
		"half a root":       {Working: WorkingOther, Certificate: cert, Roots: make([]byte, 33)},
		"a root too many":   {Working: WorkingOther, Certificate: cert, Roots: make([]byte, 32*(maxTiles+1))},
		"unknown working":   {Working: workings},
		"no certificate":    {Working: WorkingOther},
		"diff and no table": {Working: WorkingZero, Diff: []byte{0}},
	} {
		b := must(strictcbor.Marshal(w))
		if _, err := DecodeAnswer(append([]byte{byte(CodeSync)}, b...), &Request{Code: CodeSync}); !errors.Is(err, ErrAnswer) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, b := range map[string][]byte{
		"two refusals": {0, 1, 1}, "unknown refusal": {0, byte(refusals)}, "evidence with content": {8, 0}, "tile without number": {2, 0x81, 0},
		"reach without result": {10}, "unknown reach": {10, byte(reaches)}, "half an address": {10, 0, 1, 2}, "a long address": append([]byte{10, 0}, make([]byte, 17)...),
		"a mapped address": append([]byte{10, 0, 10: 0}, 0, 255, 255, 1, 2, 3, 4), "path too long": append([]byte{7}, make([]byte, 32*(maxPath+2))...), "beyond all": make([]byte, MaxContentSize+2),
	} {
		if _, err := DecodeAnswer(b, &Request{Code: Code(b[0])}); !errors.Is(err, ErrAnswer) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Spec: SYNC-1.
func TestFrames(t *testing.T) {
	for _, size := range []int{0, 1, PadSize - 13, PadSize - 12, PadSize, partSize, partSize + 1, 2 * partSize, MaxContentSize} {
		content := bytes.Repeat([]byte{7}, size)
		wire := frames(append([]byte{3}, content...))
		if len(wire)%PadSize != 0 || len(wire) > MaxAnswerSize || len(wire) >= size+PadSize+16*(size/partSize+1) {
			t.Errorf("%d bytes take %d", size, len(wire))
		}
		r := bytes.NewReader(append(wire, 0xee))
		body, err := ReadAnswer(r)
		if err != nil || !bytes.Equal(body, append([]byte{3}, content...)) || r.Len() != 1 {
			t.Errorf("%d bytes: %d left, %v", size, r.Len(), err)
		}
	}
	if frames(make([]byte, MaxContentSize+2)) != nil {
		t.Error("an answer beyond its size is framed")
	}
	two := frames(append([]byte{3}, make([]byte, partSize+1)...))
	for _, wire := range [][]byte{frames([]byte{0, 1}), two} {
		for n := 0; n < len(wire); n += 1 + n/PadSize*97 {
			want := io.ErrUnexpectedEOF
			if n == 0 {
				want = io.EOF
			}
			if _, err := ReadAnswer(bytes.NewReader(wire[:n])); !errors.Is(err, want) {
				t.Fatalf("cut to %d bytes: %v", n, err)
			}
		}
	}
	if _, err := ReadAnswer(bytes.NewReader(two[:MaxFrameSize])); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a frame of two: %v", err)
	}
	padding := frames([]byte{0, 1})
	padding[PadSize-1] = 1
	frame := func(w wireFrame) []byte {
		b := Frame(must(strictcbor.Marshal(w)))
		return append(b, make([]byte, padded(len(b))-len(b))...)
	}
	full := make([]byte, partSize)
	for name, wire := range map[string][]byte{
		"padding with something": padding,
		"empty":                  binary.BigEndian.AppendUint32(nil, 0),
		"one too long":           binary.BigEndian.AppendUint32(nil, MaxFrameSize+1),
		"huge":                   binary.BigEndian.AppendUint32(nil, 1<<32-1),
		"no array":               append(Frame([]byte{5}), make([]byte, PadSize-5)...),
		"a part too long":        frame(wireFrame{Code: 3, Data: make([]byte, partSize+1)}),
		"a part not full":        slices.Concat(frame(wireFrame{Code: 3, Left: 1, Data: full[1:]}), frame(wireFrame{Code: 3, Data: full})),
		"a code that changes":    slices.Concat(frame(wireFrame{Code: 3, Left: 1, Data: full}), frame(wireFrame{Code: 4, Data: full})),
		"one too few":            slices.Concat(frame(wireFrame{Code: 3, Left: 2, Data: full}), frame(wireFrame{Code: 3, Data: full})),
		"one twice":              slices.Concat(frame(wireFrame{Code: 3, Left: 1, Data: full}), frame(wireFrame{Code: 3, Left: 1, Data: full})),
		"an empty last one":      slices.Concat(frame(wireFrame{Code: 3, Left: 1, Data: full}), frame(wireFrame{Code: 3})),
		"too many to come":       frame(wireFrame{Code: 3, Left: maxLeft + 1, Data: full}),
	} {
		if _, err := ReadAnswer(bytes.NewReader(wire)); !errors.Is(err, ErrFrame) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var most []byte
	for left := maxLeft; left >= 0; left-- {
		most = append(most, frame(wireFrame{Code: 3, Left: uint8(left), Data: full})...)
	}
	if _, err := ReadAnswer(bytes.NewReader(most)); !errors.Is(err, ErrFrame) {
		t.Errorf("as many full frames as can be announced: %v", err)
	}
	if _, err := ReadRequest(bytes.NewReader(Frame(make([]byte, MaxRequestSize+1)))); !errors.Is(err, ErrFrame) {
		t.Errorf("long request: %v", err)
	}
}

func TestVectors(t *testing.T) {
	var lines [][2]string
	all := map[string][]byte{}
	for name, q := range requests() {
		all["request_"+name] = mustEncode(t, q)
	}
	for name, a := range answers() {
		wire := frames(mustEncode(t, a))
		all["answer_"+name] = wire[:headSize+binary.BigEndian.Uint32(wire)]
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		lines = append(lines, [2]string{name, hex.EncodeToString(all[name])})
	}
	golden(t, "sync.txt", "Bodies of requests, and frames of answers without their padding.\nA changed line is a change of the protocol. Spec: protocol §7 (SYNC-1..10).\n", lines)
}

func FuzzSyncRequest(f *testing.F) {
	for _, q := range requests() {
		f.Add(mustEncode(f, q))
	}
	l := grown(f, 3)
	s, now := l.server(), l.clock()
	f.Fuzz(func(t *testing.T, data []byte) {
		if wire, _ := s.Answer(now, data); len(wire)%PadSize != 0 || len(wire) == 0 || len(wire) > MaxAnswerSize {
			t.Fatalf("an answer of %d bytes", len(wire))
		}
		q, err := DecodeRequest(data)
		if err != nil {
			return
		}
		if again := mustEncode(t, q); !bytes.Equal(again, data) {
			t.Fatalf("%x became %x", data, again)
		}
	})
}

func FuzzSyncAnswer(f *testing.F) {
	l := grown(f, 4)
	s, now := l.server(), l.clock()
	for _, a := range answers() {
		f.Add(frames(mustEncode(f, a)), byte(a.Code), uint32(a.N))
	}
	for _, q := range requests() {
		wire, _ := s.Answer(now, mustEncode(f, q))
		f.Add(wire, byte(q.Code), q.N)
	}
	// A client reads whatever comes. It has tiles on the way, and an own table.
	ready := l.follower()
	f.Fuzz(func(t *testing.T, data []byte, code byte, n uint32) {
		if body, err := ReadAnswer(bytes.NewReader(data)); err == nil {
			if a, err := DecodeAnswer(body, &Request{Code: Code(code), N: n, Count: MaxTileCount}); err == nil {
				if again := mustEncode(t, a); !bytes.Equal(again, body) {
					t.Fatalf("%x became %x", body, again)
				}
				_ = Check(ready.Snapshot(), a)
			}
		}
		again := *ready
		src := &source{answer: func([]byte) []byte { return data }}
		if r, err := l.fetch(&again, src); r == Newer && again.Snapshot().Header().Digest() != l.finals[2].State.Digest() {
			t.Fatalf("a table was made up: %v", err)
		}
	})
}
