// SPDX-License-Identifier: BSD-3-Clause

package sync

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"chive/directory/record"
	"chive/directory/snapshot"
	"chive/internal/strictcbor"
)

var update = flag.Bool("update", false, "write testdata/vectors/*.txt anew")

// view is a table and the header that commits to it.
type view struct {
	header *snapshot.Header
	table  *snapshot.Table
}

func (v view) Epoch() uint64            { return v.header.Epoch }
func (v view) Header() *snapshot.Header { return v.header }
func (v view) Table() *snapshot.Table   { return v.table }
func (v view) Day() int                 { return 0 }

// viewOf makes a view of so many made-up relays, half of them with IPv6.
func viewOf(t testing.TB, count int, epoch uint64) view {
	t.Helper()
	leaves := make([]snapshot.Leaf, count)
	for i := range leaves {
		h := sha256.Sum256(binary.BigEndian.AppendUint32(nil, uint32(i)))
		l := &leaves[i]
		l.RID, l.Onion = record.RID(h[:16]), sha256.Sum256(h[:])
		l.IPv4 = netip.AddrPortFrom(netip.AddrFrom4([4]byte{20, h[0], h[1], 1}), 9240)
		l.Flags = snapshot.FlagRunning | snapshot.FlagGuard
		if i%2 == 0 {
			l.IPv6 = netip.AddrPortFrom(netip.AddrFrom16([16]byte{0x26, h[2], 15: 1}), 9240)
			l.Flags |= snapshot.FlagIPv6
		}
	}
	slices.SortFunc(leaves, func(a, b snapshot.Leaf) int { return a.RID.Compare(b.RID) })
	table, err := snapshot.NewTable(leaves, &snapshot.Dictionaries{Groups: []snapshot.Group{"\x04\x14\x00"}})
	if err != nil {
		t.Fatal(err)
	}
	return view{&snapshot.Header{
		Version: snapshot.HeaderVersion, NetworkID: [32]byte{1}, Epoch: epoch,
		LeafCount: uint64(count), DirRoot: table.DirRoot(), DictRoot: table.DictRoot(),
	}, table}
}

func requests() map[string]*Request {
	digest, root := sha256.Sum256([]byte("header")), sha256.Sum256([]byte("table"))
	return map[string]*Request{
		"sync_cold":   {Code: CodeSync},
		"sync_warm":   {Code: CodeSync, HeaderDigest: &digest, TableRoot: &root, Lists: [][32]byte{digest, root, digest, root}},
		"tile":        {Code: CodeTile, TableRoot: &root, N: maxTiles - 1},
		"header":      {Code: CodeHeader, Epoch: MaxEpoch},
		"header_zero": {Code: CodeHeader},
	}
}

func answers() map[string]*Answer {
	root := sha256.Sum256([]byte("tile"))
	return map[string]*Answer{
		"refused": {Code: CodeRefused, Refusal: RefusedBusy},
		"sync": {Code: CodeSync, Header: []byte{1}, Certificate: []byte{2}, Steps: [][]byte{{3}},
			TileRoots: [][32]byte{root, root}, Tiles: [][]byte{{0, 1}}},
		"sync_same": {Code: CodeSync, Header: []byte{1}},
		"tile":      {Code: CodeTile, N: 3, Tile: []byte{0, 9}},
		"header":    {Code: CodeHeader, Header: []byte{1}},
		"skipped":   {Code: CodeHeader},
	}
}

func mustEncode(t testing.TB, v interface{ Encode() ([]byte, error) }) []byte {
	t.Helper()
	b, err := v.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// normal makes empty slices nil, so that values compare.
func normal(a *Answer) Answer {
	n := *a
	for _, b := range []*[]byte{&n.Header, &n.Certificate, &n.Tile} {
		if len(*b) == 0 {
			*b = nil
		}
	}
	if len(n.Steps) == 0 {
		n.Steps = nil
	}
	if len(n.Tiles) == 0 {
		n.Tiles = nil
	}
	return n
}

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
	}
}

func TestRequestBounds(t *testing.T) {
	for name, q := range map[string]*Request{
		"code 0":         {Code: CodeRefused},
		"code 3":         {Code: 3},
		"five lists":     {Code: CodeSync, Lists: make([][32]byte, MaxListCount+1)},
		"tile too far":   {Code: CodeTile, TableRoot: new([32]byte), N: maxTiles},
		"tile, no table": {Code: CodeTile},
		"epoch too far":  {Code: CodeHeader, Epoch: MaxEpoch + 1},
	} {
		if _, err := q.Encode(); !errors.Is(err, ErrRequest) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, v := range map[string]any{
		"nothing":       []int{},
		"no array":      5,
		"code 0":        []int{0, 0},
		"code 3":        []int{3, 0},
		"code 256":      []int{256, 0},
		"code as text":  []string{"a"},
		"short header":  wireSync{Code: 1, Header: make([]byte, 31)},
		"long table":    wireSync{Code: 1, Table: make([]byte, 33)},
		"short list":    wireSync{Code: 1, Lists: [][]byte{make([]byte, 31)}},
		"five lists":    wireSync{Code: 1, Lists: [][]byte{{}, {}, {}, {}, {}}},
		"no table":      wireTile{Code: 2},
		"tile too far":  wireTile{Code: 2, Table: make([]byte, 32), N: maxTiles},
		"epoch too far": wireHeader{Code: 5, Epoch: MaxEpoch + 1},
		"one too many":  []int{5, 0, 0},
		"one too few":   []int{5},
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
		asked := &Request{Code: a.Code, N: a.N}
		got, err := DecodeAnswer(b, asked)
		if err != nil || !reflect.DeepEqual(normal(got), normal(a)) {
			t.Errorf("%s became %+v: %v", name, got, err)
		}
		for n := range b {
			if _, err := DecodeAnswer(b[:n], asked); !errors.Is(err, ErrAnswer) {
				t.Fatalf("%s cut to %d bytes: %v", name, n, err)
			}
		}
		if _, err := DecodeAnswer(append(bytes.Clone(b), 0), asked); !errors.Is(err, ErrAnswer) {
			t.Errorf("%s with a trailing byte: %v", name, err)
		}
		if a.Code != CodeRefused {
			if _, err := DecodeAnswer(b, &Request{Code: a.Code%5 + 1}); !errors.Is(err, ErrAnswer) {
				t.Errorf("%s to another question: %v", name, err)
			}
		}
	}
	b := mustEncode(t, answers()["tile"])
	if _, err := DecodeAnswer(b, &Request{Code: CodeTile, N: 4}); !errors.Is(err, ErrAnswer) {
		t.Errorf("another tile: %v", err)
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
	header := []byte{1}
	for name, test := range map[string]struct {
		a  *Answer
		ok bool
	}{
		"unknown code":             {&Answer{Code: 3}, false},
		"last refusal":             {&Answer{Refusal: refusals - 1}, true},
		"unknown refusal":          {&Answer{Refusal: refusals}, false},
		"no header":                {&Answer{Code: CodeSync}, false},
		"largest header":           {&Answer{Code: CodeSync, Header: make([]byte, snapshot.MaxHeaderSize)}, true},
		"header too large":         {&Answer{Code: CodeSync, Header: make([]byte, snapshot.MaxHeaderSize+1)}, false},
		"largest certificate":      {&Answer{Code: CodeSync, Header: header, Certificate: make([]byte, MaxCertificateSize)}, true},
		"certificate too large":    {&Answer{Code: CodeSync, Header: header, Certificate: make([]byte, MaxCertificateSize+1)}, false},
		"most steps":               {&Answer{Code: CodeSync, Header: header, Steps: many(MaxStepCount, 1)}, true},
		"a step too many":          {&Answer{Code: CodeSync, Header: header, Steps: many(MaxStepCount+1, 1)}, false},
		"empty step":               {&Answer{Code: CodeSync, Header: header, Steps: many(1, 0)}, false},
		"step too large":           {&Answer{Code: CodeSync, Header: header, Steps: many(1, MaxCertificateSize+1)}, false},
		"most tiles":               {&Answer{Code: CodeSync, Header: header, TileRoots: roots(maxTiles), Tiles: many(maxTiles, 2)}, true},
		"a root too many":          {&Answer{Code: CodeSync, Header: header, TileRoots: roots(maxTiles + 1)}, false},
		"more tiles than roots":    {&Answer{Code: CodeSync, Header: header, TileRoots: roots(1), Tiles: many(2, 2)}, false},
		"empty tile":               {&Answer{Code: CodeSync, Header: header, TileRoots: roots(1), Tiles: many(1, 1)}, false},
		"largest tile":             {&Answer{Code: CodeTile, Tile: make([]byte, maxTileSize)}, true},
		"tile too large":           {&Answer{Code: CodeTile, Tile: make([]byte, maxTileSize+1)}, false},
		"tile of nothing":          {&Answer{Code: CodeTile, Tile: make([]byte, 1)}, false},
		"tile too far":             {&Answer{Code: CodeTile, N: maxTiles, Tile: make([]byte, 2)}, false},
		"reported header too long": {&Answer{Code: CodeHeader, Header: make([]byte, snapshot.MaxHeaderSize+1)}, false},
		"beyond a frame":           {&Answer{Code: CodeSync, Header: header, TileRoots: roots(2), Tiles: many(2, maxTileSize)}, false},
	} {
		b, err := test.a.Encode()
		if (err == nil) != test.ok {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			if _, err := DecodeAnswer(b, &Request{Code: test.a.Code, N: test.a.N}); err != nil {
				t.Errorf("%s, decoded: %v", name, err)
			}
		}
	}
	// What the encoder never makes, the decoder must refuse.
	for name, v := range map[string]any{
		"half a root":     wireSyncAnswer{Code: CodeSync, Header: header, Roots: make([]byte, 33)},
		"a root too many": wireSyncAnswer{Code: CodeSync, Header: header, Roots: make([]byte, 32*(maxTiles+1))},
		"unknown refusal": wireRefused{Code: CodeRefused, Refusal: refusals},
		"empty tile":      wireTileAnswer{Code: CodeTile},
		"no header":       wireSyncAnswer{Code: CodeSync},
	} {
		b, err := strictcbor.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		for _, code := range []Code{CodeSync, CodeTile, CodeHeader} {
			if _, err := DecodeAnswer(b, &Request{Code: code}); !errors.Is(err, ErrAnswer) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestFrames(t *testing.T) {
	q := mustEncode(t, requests()["sync_warm"])
	got, err := ReadRequest(bytes.NewReader(Frame(q)))
	if err != nil || !bytes.Equal(got, q) {
		t.Fatalf("%x: %v", got, err)
	}
	for _, size := range []int{1, PadSize - headSize, PadSize - headSize + 1, MaxFrameSize} {
		wire := padded(bytes.Repeat([]byte{7}, size))
		if len(wire)%PadSize != 0 || len(wire) > MaxAnswerSize || len(wire) >= size+headSize+PadSize {
			t.Errorf("%d bytes take %d", size, len(wire))
		}
		r := bytes.NewReader(append(wire, 0xee))
		body, err := ReadAnswer(r)
		if err != nil || len(body) != size || r.Len() != 1 {
			t.Errorf("%d bytes: %d left, %v", size, r.Len(), err)
		}
	}
	wire := padded([]byte{1, 2, 3})
	for _, n := range []int{0, 1, 3, 4, 6, 7, 8, PadSize - 1} {
		want := io.ErrUnexpectedEOF
		if n == 0 {
			want = io.EOF
		}
		if _, err := ReadAnswer(bytes.NewReader(wire[:n])); !errors.Is(err, want) {
			t.Errorf("cut to %d bytes: %v", n, err)
		}
	}
	wire[PadSize-1] = 1
	if _, err := ReadAnswer(bytes.NewReader(wire)); !errors.Is(err, ErrFrame) {
		t.Errorf("padding with something in it: %v", err)
	}
	for name, head := range map[string]uint32{"empty": 0, "one too long": MaxFrameSize + 1, "huge": 1<<32 - 1} {
		if _, err := ReadAnswer(bytes.NewReader(binary.BigEndian.AppendUint32(nil, head))); !errors.Is(err, ErrFrame) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ReadRequest(bytes.NewReader(Frame(make([]byte, MaxRequestSize+1)))); !errors.Is(err, ErrFrame) {
		t.Errorf("long request: %v", err)
	}
}

// ask sends a request to a server and returns what a client reads.
func ask(t testing.TB, v snapshot.View, q *Request) *Answer {
	t.Helper()
	body, err := ReadAnswer(bytes.NewReader(NewServer(v).Answer(mustEncode(t, q))))
	if err != nil {
		t.Fatal(err)
	}
	a, err := DecodeAnswer(body, q)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// Spec: DIR-14.
func TestClientFetchesATable(t *testing.T) {
	for _, count := range []int{1, 10, 1024, 2500, 5000} {
		v := viewOf(t, count, 0)
		a := ask(t, v, &Request{Code: CodeSync})
		h, err := snapshot.DecodeHeader(a.Header)
		if err != nil || h.Digest() != v.header.Digest() || !CheckRoots(h, a.TileRoots) || len(a.Tiles) == 0 {
			t.Fatalf("%d relays: %v", count, err)
		}
		var leaves []snapshot.Leaf
		for n, root := range a.TileRoots {
			tile := []byte(nil)
			if n < len(a.Tiles) {
				tile = a.Tiles[n]
			} else {
				dirRoot := h.DirRoot
				tile = ask(t, v, &Request{Code: CodeTile, TableRoot: &dirRoot, N: uint32(n)}).Tile
			}
			part, err := OpenTile(tile, root)
			if err != nil {
				t.Fatalf("%d relays, tile %d: %v", count, n, err)
			}
			leaves = append(leaves, part...)
		}
		table, err := snapshot.NewTable(leaves, v.table.Dictionaries())
		if err != nil || table.DirRoot() != h.DirRoot {
			t.Errorf("%d relays: %v", count, err)
		}
		root := h.DirRoot
		if a := ask(t, v, &Request{Code: CodeSync, TableRoot: &root}); len(a.TileRoots) != 0 || len(a.Tiles) != 0 {
			t.Errorf("%d relays: a table that is held is sent again", count)
		}
	}
}

func TestServerRefusesWhatItHasNot(t *testing.T) {
	v := viewOf(t, 10, 7)
	root, other := v.table.DirRoot(), [32]byte{9}
	for name, test := range map[string]struct {
		q    *Request
		want Refusal
	}{
		"tile of another table": {&Request{Code: CodeTile, TableRoot: &other}, RefusedAbsent},
		"tile beyond the table": {&Request{Code: CodeTile, TableRoot: &root, N: 1}, RefusedAbsent},
		"another epoch":         {&Request{Code: CodeHeader, Epoch: 8}, RefusedAbsent},
	} {
		if a := ask(t, v, test.q); a.Code != CodeRefused || a.Refusal != test.want {
			t.Errorf("%s: %+v", name, a)
		}
	}
	for name, wire := range map[string][]byte{
		"garbage": NewServer(v).Answer([]byte{0xff}), "nothing": NewServer(v).Answer(nil), "busy": Busy(),
		"a request of later": NewServer(v).Answer([]byte{0x81, 0x03}),
	} {
		body, err := ReadAnswer(bytes.NewReader(wire))
		if err != nil || len(wire) != PadSize {
			t.Fatalf("%s: %v", name, err)
		}
		a, err := DecodeAnswer(body, &Request{Code: CodeHeader})
		if err != nil || a.Code != CodeRefused || (a.Refusal == RefusedBusy) != (name == "busy") {
			t.Errorf("%s: %+v, %v", name, a, err)
		}
	}
}

// Spec: DIR-15.
func TestCheck(t *testing.T) {
	ours := viewOf(t, 10, 3)
	if got := Check(ours, ask(t, ours, CheckRequest(ours))); got != Same {
		t.Errorf("the same view: %v", got)
	}
	forged := viewOf(t, 11, 3)
	if got := Check(ours, ask(t, forged, CheckRequest(ours))); got != Differs {
		t.Errorf("another table: %v", got)
	}
	other := viewOf(t, 10, 3)
	other.header.NetworkID[0]++
	later := viewOf(t, 10, 4)
	for name, test := range map[string]struct {
		a    *Answer
		want Verdict
	}{
		"refused":         {&Answer{Code: CodeRefused}, Unknown},
		"skipped":         {&Answer{Code: CodeHeader}, Skipped},
		"another code":    {&Answer{Code: CodeTile}, Broken},
		"garbage":         {&Answer{Code: CodeHeader, Header: []byte{1}}, Broken},
		"another network": {&Answer{Code: CodeHeader, Header: other.header.Encode()}, Broken},
		"another epoch":   {&Answer{Code: CodeHeader, Header: later.header.Encode()}, Broken},
	} {
		if got := Check(ours, test.a); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestTilesAndRootsOfOthersAreRefused(t *testing.T) {
	v := viewOf(t, 1025, 0)
	root := v.table.TileRoots()[0]
	good := packTile(v.table.Tile(0))
	compressed := bytes.Clone(good)
	compressed[0] = 1
	for name, tile := range map[string][]byte{
		"empty": nil, "only a head": {tileRaw}, "compressed": compressed, "another": packTile(v.table.Tile(1)),
		"cut": good[:len(good)-1], "too long": make([]byte, maxTileSize+1),
	} {
		if _, err := OpenTile(tile, root); !errors.Is(err, ErrAnswer) {
			t.Errorf("%s: %v", name, err)
		}
	}
	roots := v.table.TileRoots()
	if CheckRoots(v.header, roots[:1]) || CheckRoots(v.header, nil) || CheckRoots(v.header, [][32]byte{roots[1], roots[0]}) {
		t.Error("roots of another table are accepted")
	}
}

func TestVectors(t *testing.T) {
	var b strings.Builder
	b.WriteString("# Bodies of requests and answers. A changed line is a change of the protocol. Spec: directory §8.\n")
	all := map[string]interface{ Encode() ([]byte, error) }{}
	for name, q := range requests() {
		all["request_"+name] = q
	}
	for name, a := range answers() {
		all["answer_"+name] = a
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		fmt.Fprintf(&b, "%s = %s\n", name, hex.EncodeToString(mustEncode(t, all[name])))
	}
	path := filepath.Join("testdata", "vectors", "sync.txt")
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != b.String() {
		t.Error("the bytes changed, and with them the protocol")
	}
}

func FuzzSyncRequest(f *testing.F) {
	for _, q := range requests() {
		f.Add(mustEncode(f, q))
	}
	v := viewOf(f, 3, 0)
	f.Fuzz(func(t *testing.T, data []byte) {
		if wire := NewServer(v).Answer(data); len(wire)%PadSize != 0 || len(wire) > MaxAnswerSize {
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
	v := viewOf(f, 3, 0)
	for _, a := range answers() {
		f.Add(mustEncode(f, a), byte(a.Code), uint32(a.N))
	}
	for _, q := range requests() {
		body, err := ReadAnswer(bytes.NewReader(NewServer(v).Answer(mustEncode(f, q))))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body, byte(q.Code), q.N)
	}
	f.Fuzz(func(t *testing.T, data []byte, code byte, n uint32) {
		a, err := DecodeAnswer(data, &Request{Code: Code(code), N: n})
		if err != nil {
			return
		}
		if again := mustEncode(t, a); !bytes.Equal(again, data) {
			t.Fatalf("%x became %x", data, again)
		}
		_ = Check(v, a)
		for i, tile := range a.Tiles {
			_, _ = OpenTile(tile, a.TileRoots[i])
		}
	})
}
