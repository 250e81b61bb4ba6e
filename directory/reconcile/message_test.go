// SPDX-License-Identifier: BSD-3-Clause

package reconcile

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"reflect"
	"testing"

	"chive/internal/strictcbor"
)

// samples is one message of each kind, small and large.
func samples() map[string]Message {
	k := sessionKeys()
	set := &Set{digests: sortDigests(digests("sample", 20))}
	item := func(n byte) Item { return Item{n} }
	return map[string]Message{
		"open":           &Open{Nonce: nonce(1), Count: 12345},
		"open_answer":    &Open{Answer: true, Nonce: nonce(2), Count: MaxItemCount},
		"symbols":        &Symbols{From: 32, Symbols: encode(set, &k, 32, 36)},
		"symbols_more":   &Symbols{From: 96},
		"done":           &Done{Wanted: []Item{item(1), item(2)}, Offered: []Item{item(0)}},
		"done_nothing":   &Done{},
		"done_more":      &Done{Code: DoneMore, WantedIDs: ids(5, 3)},
		"done_lists":     &Done{Code: DoneLists, WantedIDs: ids(1, 2), OfferedIDs: ids(9, 1)},
		"done_abandoned": &Done{Code: DoneAbandoned},
		"done_refused":   Refuse(),
		"sums":           &Sums{Sums: *set.sums(k.sum)},
		"next":           &Next{N: 300},
		"lists":          &Lists{N: 1, More: true, Lists: []List{{0, ids(0, 2)}, {7, nil}, {255, ids(1<<20, 3)}}},
		"lists_none":     &Lists{},
	}
}

func TestMessagesRoundTrip(t *testing.T) { // REPAIR-1
	for name, m := range samples() {
		b, err := m.Encode()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, err := Decode(b)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		again, err := got.Encode()
		if err != nil || !bytes.Equal(again, b) || reflect.TypeOf(got) != reflect.TypeOf(m) || got.Type() != m.Type() {
			t.Errorf("%s: became %T, %v", name, got, err)
		}
		if Type(b[1]) != m.Type() {
			t.Errorf("%s: type %d", name, b[1])
		}
		for n := range b {
			if _, err := Decode(b[:n]); !errors.Is(err, ErrForm) {
				t.Fatalf("%s cut to %d bytes: %v", name, n, err)
			}
		}
		if _, err := Decode(append(bytes.Clone(b), 0)); !errors.Is(err, ErrForm) {
			t.Errorf("%s with a trailing byte: %v", name, err)
		}
		clear(b) // the message has its own memory
		if kept, err := got.Encode(); err != nil || !bytes.Equal(kept, again) {
			t.Errorf("%s: shares its input's memory", name)
		}
	}
}

func many(n int) []Item {
	out := make([]Item, n)
	for i := range out {
		out[i] = Item{byte(i >> 8), byte(i)}
	}
	return out
}

// Each bound at its largest and one more.
func TestMessageBounds(t *testing.T) {
	buckets := func(n int) (out []List) {
		for b := range n {
			out = append(out, List{Bucket: uint8(b)})
		}
		return out
	}
	wide := func(n int) []List { // n ids over all 256 buckets
		out := buckets(bucketCount)
		for b := range out {
			out[b].IDs = ids(0, n/bucketCount)
		}
		out[0].IDs = ids(0, n/bucketCount+n%bucketCount)
		return out
	}
	for name, v := range map[string]struct{ most, over Message }{
		"count":         {&Open{Count: MaxItemCount}, &Open{Count: MaxItemCount + 1}},
		"symbols":       {&Symbols{Symbols: make([]Symbol, BlockCount)}, &Symbols{Symbols: make([]Symbol, BlockCount+1)}},
		"from":          {&Symbols{From: MaxSymbolCount - 1}, &Symbols{From: MaxSymbolCount}},
		"items":         {&Done{Wanted: many(1024), Offered: many(1024)}, &Done{Wanted: many(1025), Offered: many(1024)}},
		"ids":           {&Done{Code: DoneLists, WantedIDs: ids(0, 4095), OfferedIDs: ids(0, 1)}, &Done{Code: DoneLists, WantedIDs: ids(0, 4096), OfferedIDs: ids(0, 1)}},
		"ids of part":   {&Done{Code: DoneMore, OfferedIDs: ids(0, 4096)}, &Done{Code: DoneMore, OfferedIDs: ids(0, 4097)}},
		"code":          {&Done{Code: DoneRefused}, &Done{Code: DoneRefused + 1}},
		"listed ids":    {&Lists{Lists: []List{{0, ids(0, 4096)}}}, &Lists{Lists: []List{{0, ids(0, 4096)}, {1, ids(0, 1)}}}},
		"most of lists": {&Lists{More: true, N: 1<<32 - 1, Lists: wide(MaxIDCount)}, &Lists{Lists: wide(MaxIDCount + 1)}},
		"no ids":        {&Done{Code: DoneAbandoned}, &Done{Code: DoneAbandoned, WantedIDs: ids(0, 1)}},
		"no items":      {&Done{Code: DoneLists}, &Done{Code: DoneLists, Wanted: many(1)}},
	} {
		b, err := v.most.Encode()
		if err != nil {
			t.Errorf("%s at its most: %v", name, err)
			continue
		}
		if _, err := Decode(b); err != nil {
			t.Errorf("%s at its most, decoded: %v (%d bytes)", name, err, len(b))
		}
		if _, err := v.over.Encode(); !errors.Is(err, ErrForm) {
			t.Errorf("%s beyond: %v", name, err)
		}
	}
}

// What Encode refuses to write, Decode refuses to read.
func TestBadMessagesRefused(t *testing.T) {
	id := func(n int) []byte { return appendIDs(nil, ids(0, n)) }
	for name, v := range map[string]any{
		"short nonce":             wireOpen{Type: TypeOpen, Nonce: make([]byte, 15)},
		"long nonce":              wireOpen{Type: TypeOpen, Nonce: make([]byte, 17)},
		"count beyond":            wireOpen{Type: TypeOpen, Nonce: make([]byte, 16), Count: MaxItemCount + 1},
		"part of a symbol":        wireSymbols{Type: TypeSymbols, Symbols: make([]byte, SymbolSize-1)},
		"65 symbols":              wireSymbols{Type: TypeSymbols, Symbols: make([]byte, 65*SymbolSize)},
		"from beyond":             wireSymbols{Type: TypeSymbols, From: MaxSymbolCount},
		"code beyond":             wireDone{Type: TypeDone, Code: DoneRefused + 1},
		"part of an item":         wireDone{Type: TypeDone, Wanted: make([]byte, 17)},
		"items beyond":            wireDone{Type: TypeDone, Wanted: appendItems(nil, many(2049))},
		"items that fall":         wireDone{Type: TypeDone, Offered: appendItems(nil, []Item{{2}, {1}})},
		"an item twice":           wireDone{Type: TypeDone, Wanted: appendItems(nil, []Item{{2}, {2}})},
		"part of an id":           wireDone{Type: TypeDone, Code: DoneLists, Offered: make([]byte, 9)},
		"ids beyond":              wireDone{Type: TypeDone, Code: DoneMore, Wanted: id(4096), Offered: id(1)},
		"ids with nothing to say": wireDone{Type: TypeDone, Code: DoneRefused, Wanted: id(1)},
		"255 sums":                wireSums{Type: TypeBuckets, Kind: kindSums, Sums: make([]byte, 8*255)},
		"257 sums":                wireSums{Type: TypeBuckets, Kind: kindSums, Sums: make([]byte, 8*257)},
		"kind beyond":             wireNext{Type: TypeBuckets, Kind: 3},
		"part of a listed id":     wireLists{Type: TypeBuckets, Kind: kindLists, Lists: []wireList{{Bucket: 1, IDs: make([]byte, 7)}}},
		"listed ids beyond":       wireLists{Type: TypeBuckets, Kind: kindLists, Lists: []wireList{{Bucket: 1, IDs: id(4096)}, {Bucket: 2, IDs: id(1)}}},
		"buckets that fall":       wireLists{Type: TypeBuckets, Kind: kindLists, Lists: []wireList{{Bucket: 2}, {Bucket: 1}}},
		"a bucket twice":          wireLists{Type: TypeBuckets, Kind: kindLists, Lists: []wireList{{Bucket: 2}, {Bucket: 2}}},
		"ids that fall":           wireLists{Type: TypeBuckets, Kind: kindLists, Lists: []wireList{{Bucket: 2, IDs: appendIDs(nil, []ShortID{2, 1})}}},
		"a listed id twice":       wireLists{Type: TypeBuckets, Kind: kindLists, Lists: []wireList{{Bucket: 2, IDs: appendIDs(nil, []ShortID{2, 2})}}},
		"another type":            wireNext{Type: 6, Kind: 1},
		"the type after":          wireNext{Type: 11, Kind: 1},
		"not an array":            map[int]int{7: 1},
	} {
		b, err := strictcbor.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if m, err := Decode(b); !errors.Is(err, ErrForm) {
			t.Errorf("%s: %v %v", name, m, err)
		}
	}
	if _, err := Decode(make([]byte, MaxBodySize+1)); !errors.Is(err, ErrForm) {
		t.Errorf("a long body: %v", err)
	}
}

// Vectors of REPAIR-1 to REPAIR-5: platforms are compared by them.
func TestVectors(t *testing.T) {
	var lines [][2]string
	k := sessionKeys()
	for _, v := range []struct {
		name string
		key  sipKey
	}{{"check", k.check}, {"index", k.index}, {"sum", k.sum}} {
		lines = append(lines, [2]string{"key_" + v.name, fmt.Sprintf("%016x%016x", v.key[0], v.key[1])})
	}
	golden(t, "keys.txt", "Keys from the handshake hash SHA-256(link) and the nonces 01 0.. 77, 02 0.. 77: two words each.\nA changed line is a change of the protocol. Spec: protocol, REPAIR-2.\n", lines)

	lines = nil
	for _, seed := range []uint64{0, 1, 0x0123456789abcdef, 1<<64 - 1} {
		for n, w := 0, newWalk(seed); n < 24; n++ {
			lines = append(lines, [2]string{fmt.Sprintf("seed_%016x_%d", seed, n), fmt.Sprintf("%08x", w.index)})
			w.next()
		}
	}
	// A sum over many walks, for what rare numbers do.
	var sum, longest uint64
	for seed := range uint64(20000) {
		w := newWalk(seed * 0x9e3779b97f4a7c15)
		for n := uint64(0); w.index < farIndex; n++ {
			sum, longest = sum*31+uint64(w.index), max(longest, n)
			w.next()
		}
	}
	lines = append(lines, [2]string{"walks_sum", fmt.Sprintf("%016x", sum)}, [2]string{"walks_longest", fmt.Sprintf("%08x", longest)})
	golden(t, "index.txt", "Indices of walks from seeds, in order; then a sum over 20,000 walks to their ends.\nA changed line is a change of the protocol, or a platform that rounds otherwise. Spec: protocol, REPAIR-2.\n", lines)

	lines = nil
	for _, count := range []int{1, 2, 50} {
		set := &Set{digests: sortDigests(digests("vector", count))}
		for i, s := range encode(set, &k, 0, 40) {
			lines = append(lines, [2]string{fmt.Sprintf("set_%d_symbol_%d", count, i), hex.EncodeToString(s.Append(nil))})
		}
	}
	golden(t, "symbols.txt", "Coded symbols of sets of SHA-256(vector | n 8), under the keys of keys.txt.\nA changed line is a change of the protocol. Spec: protocol, REPAIR-2.\n", lines)

	lines = nil
	for _, name := range []string{
		"open", "open_answer", "symbols", "symbols_more", "done", "done_nothing", "done_more", "done_lists",
		"done_abandoned", "done_refused", "sums", "next", "lists", "lists_none",
	} {
		b, err := samples()[name].Encode()
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, [2]string{name, hex.EncodeToString(b)})
	}
	golden(t, "messages.txt", "The CBOR arrays of frames 7 to 10.\nA changed line is a change of the protocol. Spec: protocol, REPAIR-1.\n", lines)
}

// Walks hit index i with a probability of about 1/(1 + i/2), as the construction
// wants: within 5 % and chance.
func TestWalksAreAsDense(t *testing.T) {
	const walks = 40000
	var hits [64]int
	for seed := range uint64(walks) {
		for w := newWalk(seed * 0xd1342543de82ef95); w.index < uint32(len(hits)); w.next() {
			hits[w.index]++
		}
	}
	for i, got := range hits {
		want := float64(walks) / (1 + float64(i)/2)
		if diff := math.Abs(float64(got) - want); diff > 0.05*want+4*math.Sqrt(want) {
			t.Errorf("index %d: %d of %d, want about %.0f", i, got, walks, want)
		}
	}
}

func TestWalkStaysAtItsEnd(t *testing.T) {
	w := walk{index: farIndex - 1}
	for range 100 {
		before := w.index
		if w.next(); w.index < before || w.index > farIndex {
			t.Fatalf("%d after %d", w.index, before)
		}
	}
	if w.index != farIndex {
		t.Errorf("%d", w.index)
	}
}

func FuzzDecode(f *testing.F) {
	for _, m := range samples() {
		b, err := m.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Decode(data)
		if err != nil {
			if !errors.Is(err, ErrForm) {
				t.Fatal(err)
			}
			return
		}
		again, err := m.Encode()
		if err != nil || !bytes.Equal(again, data) {
			t.Fatalf("%x became %x (%v)", data, again, err)
		}
	})
}
