// SPDX-License-Identifier: BSD-3-Clause

package reconcile

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write testdata/vectors/*.txt anew")

func golden(t *testing.T, file, head string, lines [][2]string) {
	t.Helper()
	var b strings.Builder
	for line := range strings.Lines(head) {
		b.WriteString("# " + line)
	}
	for _, l := range lines {
		fmt.Fprintf(&b, "%s = %s\n", l[0], l[1])
	}
	path := filepath.Join("testdata", "vectors", file)
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != b.String() {
		t.Errorf("%s: the bytes changed, and with them the protocol", file)
	}
}

// digest is a digest as good as random: number n of a kind.
func digest(kind string, n int) Digest {
	return sha256.Sum256(binary.BigEndian.AppendUint64([]byte(kind), uint64(n)))
}

func digests(kind string, count int) []Digest {
	out := make([]Digest, count)
	for n := range out {
		out[n] = digest(kind, n)
	}
	return out
}

func setOf(t testing.TB, parts ...[]Digest) *Set {
	t.Helper()
	s, err := NewSet(slices.Concat(parts...))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// sets returns two sets with so much in common and so much of their own.
func sets(t testing.TB, seed string, common, ours, theirs int) (a, b *Set) {
	c := digests(seed+"common", common)
	return setOf(t, c, digests(seed+"ours", ours)), setOf(t, c, digests(seed+"theirs", theirs))
}

func nonce(n byte) [NonceSize]byte { return [NonceSize]byte{0: n, 15: 0x77} }

func config(set *Set) Config {
	return Config{HandshakeHash: sha256.Sum256([]byte("link")), ShortKey: [KeySize]byte{1, 2, 3}, Set: set, Fallback: true}
}

// outcome is how a session ended on one side.
type outcome struct {
	result *Result
	err    error
	frames int
	bytes  int
}

// tamper may change a message on its way; nil drops it.
type tamper func(fromOpener bool, m Message) Message

// run lets two sides talk until nobody has anything to say. Every message passes
// through its bytes.
func run(t testing.TB, a, b Config, change tamper) (opener, responder outcome) {
	t.Helper()
	o, first := NewOpener(a, nonce(1))
	r := NewResponder(b, nonce(2))
	type flying struct {
		fromOpener bool
		m          Message
	}
	queue := []flying{{true, first}}
	for steps := 0; len(queue) > 0; steps++ {
		if steps > 10000 {
			t.Fatal("the session does not end")
		}
		f := queue[0]
		queue = queue[1:]
		if change != nil {
			if f.m = change(f.fromOpener, f.m); f.m == nil {
				continue
			}
		}
		body, err := f.m.Encode()
		if err != nil {
			t.Fatalf("%T does not encode: %v", f.m, err)
		}
		m, err := Decode(body)
		if err != nil {
			t.Fatalf("%T does not decode: %v", f.m, err)
		}
		from, to, s := &opener, &responder, r
		if !f.fromOpener {
			from, to, s = to, from, o
		}
		from.frames++
		from.bytes += len(body)
		if s.Ended() {
			continue
		}
		out, result, err := s.Step(m)
		if result != nil || err != nil {
			to.result, to.err = result, err
			if !s.Ended() {
				t.Fatal("a session goes on after its end")
			}
		}
		for _, m := range out {
			queue = append(queue, flying{!f.fromOpener, m})
		}
	}
	return opener, responder
}

func sortDigests(d []Digest) []Digest {
	d = slices.Clone(d)
	slices.SortFunc(d, func(a, b Digest) int { return bytes.Compare(a[:], b[:]) })
	return d
}

// check holds both results to what the sets really are.
func check(t testing.TB, a, b *Set, key [KeySize]byte, opener, responder outcome) {
	t.Helper()
	if opener.err != nil || responder.err != nil || opener.result == nil || responder.result == nil {
		t.Fatalf("opener: %v, responder: %v", opener.err, responder.err)
	}
	checkSide(t, "opener", a, b, key, opener.result)
	checkSide(t, "responder", b, a, key, responder.result)
	if opener.result.Fallback != responder.result.Fallback || opener.result.SymbolCount != responder.result.SymbolCount {
		t.Error("the sides tell different stories")
	}
}

func checkSide(t testing.TB, side string, ours, theirs *Set, key [KeySize]byte, r *Result) {
	t.Helper()
	minus := func(a, b *Set) (out []Digest) {
		for _, d := range a.digests {
			if _, ok := b.find(Item(d[:ItemSize])); !ok {
				out = append(out, d)
			}
		}
		return out
	}
	if got, want := sortDigests(r.OnlyOurs), minus(ours, theirs); !slices.Equal(got, want) {
		t.Errorf("%s: %d only ours, want %d", side, len(got), len(want))
	}
	want := minus(theirs, ours)
	var items []Item
	var ids []ShortID
	for _, d := range want {
		items = append(items, Item(d[:ItemSize]))
		ids = append(ids, ShortIDOf(key, d))
	}
	slices.SortFunc(ids, cmp.Compare)
	got := slices.Clone(r.OnlyTheirsIDs)
	slices.SortFunc(got, cmp.Compare)
	if r.Fallback && (!slices.Equal(got, ids) || r.OnlyTheirs != nil) {
		t.Errorf("%s: %d ids only theirs, want %d", side, len(got), len(ids))
	}
	if !r.Fallback && (!slices.Equal(r.OnlyTheirs, items) || r.OnlyTheirsIDs != nil) {
		t.Errorf("%s: %d items only theirs, want %d", side, len(r.OnlyTheirs), len(items))
	}
}
