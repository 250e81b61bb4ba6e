// SPDX-License-Identifier: BSD-3-Clause

package reconcile

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// Both sides learn the same, at every size and number of differences (REPAIR-4,
// REPAIR-5).
func TestBothSidesFindTheDifferences(t *testing.T) {
	for _, v := range []struct {
		common, ours, theirs int
		fallback             bool
	}{
		{0, 0, 0, false}, {0, 1, 0, false}, {0, 0, 1, false}, {0, 1, 1, false}, {1, 0, 0, false},
		{100, 0, 0, false}, {100, 1, 0, false}, {100, 0, 1, false}, {100, 5, 5, false}, {100, 50, 50, false}, {0, 100, 0, false},
		{1000, 10, 0, false}, {1000, 0, 10, false}, {1000, 1000, 1000, true}, {1000, 2000, 0, true}, {1000, 0, 2000, true},
		{0, 2000, 0, true}, {0, 0, 2000, true}, {0, 0, 1400, false}, {0, 700, 0, false},
		{10000, 0, 0, false}, {10000, 1, 0, false}, {10000, 3, 7, false}, {10000, 60, 40, false}, {10000, 0, 100, false},
		{9000, 1000, 1000, true}, {8000, 2000, 0, true}, {10000, 0, 2000, true}, {0, 10000, 0, true}, {0, 0, 10000, true},
	} {
		t.Run(fmt.Sprintf("%d+%d-%d", v.common, v.ours, v.theirs), func(t *testing.T) {
			a, b := sets(t, "find", v.common, v.ours, v.theirs)
			opener, responder := run(t, config(a), config(b), nil)
			check(t, a, b, config(a).ShortKey, opener, responder)
			if opener.result.Fallback != v.fallback {
				t.Errorf("fallback: %v after %d symbols", opener.result.Fallback, opener.result.SymbolCount)
			}
			t.Logf("%d symbols, opener sent %d frames, %d bytes, responder %d, %d", opener.result.SymbolCount,
				opener.frames, opener.bytes, responder.frames, responder.bytes)
		})
	}
}

// Random sets from seeds: whatever they are, the result is exact.
func TestRandomSets(t *testing.T) {
	for seed := range uint64(60) {
		rand := rand.New(rand.NewPCG(seed, 9))
		size := func() int { return rand.IntN(1 << rand.IntN(11)) }
		a, b := sets(t, fmt.Sprint("random", seed), size(), size(), size())
		opener, responder := run(t, config(a), config(b), nil)
		check(t, a, b, config(a).ShortKey, opener, responder)
	}
}

// A bucket of more ids than a frame holds, and frames that end with a bucket.
func TestFallbackOfUnevenBuckets(t *testing.T) {
	skewed := func(kind string, count int, first ...byte) []Digest {
		out := digests(kind, count)
		for i := range out {
			out[i][0] = first[i%len(first)]
		}
		return out
	}
	for name, v := range map[string][2][]Digest{
		"one bucket, all ours":          {skewed("a", 9000, 7), nil},
		"one bucket, all theirs":        {nil, skewed("a", 9000, 7)},
		"one bucket, both":              {skewed("a", 6000, 255), skewed("b", 5000, 255)},
		"one bucket, mostly common":     {skewed("a", 9000, 0), slices.Concat(skewed("a", 9000, 0)[:6000], skewed("b", 500, 0))},
		"frame ends with the bucket":    {nil, skewed("a", 2*MaxIDCount, 3)},
		"frame ends, ours goes on":      {skewed("b", 3000, 200), skewed("a", MaxIDCount, 3)},
		"frame ends, theirs goes on":    {nil, slices.Concat(skewed("a", MaxIDCount, 3), skewed("b", 1, 4))},
		"two buckets, first and last":   {skewed("a", 3000, 0, 255), skewed("b", 4000, 0, 255)},
		"exactly one report is full":    {nil, skewed("a", MaxIDCount, 1, 2, 3)},
		"reports mix wanted and others": {skewed("a", 5000, 1, 9), skewed("b", 5001, 1, 9, 5)},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := setOf(t, v[0]), setOf(t, v[1])
			opener, responder := run(t, config(a), config(b), nil)
			check(t, a, b, config(a).ShortKey, opener, responder)
			if !opener.result.Fallback {
				t.Error("no fallback")
			}
		})
	}
}

// unlimited decodes a set of the peer's against ours, one symbol at a time, and
// returns how many it took.
func unlimited(t testing.TB, ours, theirs *Set, k *keys, most uint32) int {
	t.Helper()
	a, b := encode(ours, k, 0, most), encode(theirs, k, 0, most)
	d := newDecoder(ours, k)
	for i := range a {
		complete, err := d.add(b[i:i+1], a[i:i+1])
		if err != nil {
			t.Fatal(err)
		}
		if complete {
			return i + 1
		}
	}
	t.Fatalf("%d symbols do not suffice", most)
	return 0
}

// The figures of the design, within what so few trials can say: about 17.5 symbols
// for 10 differences, 146 for 100, 2,740 for 2,000, and at most 2.0 a difference
// from 10 on.
func TestSymbolsPerDifference(t *testing.T) {
	for _, v := range []struct {
		differences, trials int
		low, high           float64
	}{{1, 200, 1, 1}, {10, 200, 16, 19.5}, {100, 40, 138, 154}, {2000, 3, 2650, 2830}} {
		sum := 0
		for n := range v.trials {
			a, b := sets(t, fmt.Sprint("count", n), 20, v.differences/2, v.differences-v.differences/2)
			k := deriveKeys([32]byte{}, nonce(byte(n)), nonce(1))
			sum += unlimited(t, a, b, &k, uint32(2*v.differences+64))
		}
		mean := float64(sum) / float64(v.trials)
		t.Logf("%d differences: %.1f symbols", v.differences, mean)
		if mean < v.low || mean > v.high {
			t.Errorf("%d differences: %.1f symbols", v.differences, mean)
		}
	}
}

// What a session calls suspicious is rare among honest peers, and the most that
// symbols can carry stays far from the bound on peeling.
func TestHonestSymbolsSufficeForFewDifferencesAndFewSteps(t *testing.T) {
	for n := range 300 {
		a, b := sets(t, fmt.Sprint("suspect", n), 0, 32, 32)
		k := deriveKeys([32]byte{}, nonce(byte(n)), nonce(byte(n>>8)))
		if got := unlimited(t, a, b, &k, 256); suspicion*64 < got {
			t.Errorf("64 differences took %d symbols", got)
		}
	}
	set := setOf(t, digests("steps", 1500))
	k := deriveKeys([32]byte{}, nonce(1), nonce(2))
	d := newDecoder(new(Set), &k)
	theirs, ours := encode(set, &k, 0, MaxSymbolCount), make([]Symbol, MaxSymbolCount)
	for from := 0; from < MaxSymbolCount; from += BlockCount {
		if _, err := d.add(theirs[from:from+BlockCount], ours[from:from+BlockCount]); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d differences took %d steps", len(d.found), d.steps)
	if d.steps > maxPeelSteps/2 {
		t.Errorf("%d steps", d.steps)
	}
}

func TestSymbolLimit(t *testing.T) { // REPAIR-3
	for _, v := range []struct {
		a, b  int
		limit uint32
	}{
		{0, 0, 256}, {1, 0, 260}, {0, 1, 260}, {5000, 5100, 656}, {0, 447, 2044}, {448, 0, 2048}, {449, 0, 2048},
		{1536, 0, 2048}, {1537, 0, 0}, {0, 1537, 0}, {MaxItemCount, 0, 0},
	} {
		if got := symbolLimit(v.a, v.b); got != v.limit {
			t.Errorf("%d and %d: %d", v.a, v.b, got)
		}
	}
	for _, limit := range []uint32{256, 260, 656, 2044, 2048} {
		var from uint32
		var blocks []uint32
		for from < limit {
			n := blockSize(from, limit)
			blocks, from = append(blocks, n), from+n
		}
		if from != limit || blocks[0] != 32 || blocks[1] != 64 || len(blocks) > 33 {
			t.Errorf("%d: %v", limit, blocks)
		}
	}
}

// However blocks are cut, the coder yields the symbols of the set.
func TestCoderYieldsTheSequence(t *testing.T) {
	set := setOf(t, digests("coder", 300))
	k := deriveKeys([32]byte{1}, nonce(1), nonce(2))
	for _, limit := range []uint32{256, 300, 2048} {
		want := encode(set, &k, 0, limit)
		c := &coder{set: set, keys: &k, limit: limit}
		var got []Symbol
		for c.from < limit {
			got = append(got, c.take(blockSize(c.from, limit))...)
		}
		if !slices.Equal(got, want) {
			t.Errorf("limit %d: other symbols", limit)
		}
	}
}

func TestSetIsSortedWithoutDoubles(t *testing.T) {
	d := digests("set", 50)
	s := setOf(t, d, d[:10])
	if s.Len() != 50 {
		t.Errorf("%d", s.Len())
	}
	twin := d[3]
	twin[31] ^= 1 // the same item
	if s := setOf(t, d, []Digest{twin}); s.Len() != 50 {
		t.Errorf("with a twin: %d", s.Len())
	}
	total := 0
	for b := range bucketCount {
		for _, x := range s.bucket(b) {
			if int(x[0]) != b {
				t.Fatal("wrong bucket")
			}
			total++
		}
	}
	if total != 50 {
		t.Errorf("buckets hold %d", total)
	}
	for _, x := range d {
		if got, ok := s.find(Item(x[:ItemSize])); !ok || got != x {
			t.Fatal("not found")
		}
	}
	if _, ok := s.find(Item{}); ok {
		t.Error("found what is not there")
	}
}

func TestSetBound(t *testing.T) {
	d := make([]Digest, MaxItemCount+1)
	if _, err := NewSet(d[:MaxItemCount]); err != nil {
		t.Error(err)
	}
	if _, err := NewSet(d); !errors.Is(err, ErrSet) {
		t.Error(err)
	}
}

func BenchmarkEncode(b *testing.B) {
	for _, size := range []int{1000, 10000, 100000} {
		for _, to := range []uint32{32, 128, 2048} {
			set := setOf(b, digests("bench", size))
			k := deriveKeys([32]byte{1}, nonce(1), nonce(2))
			b.Run(fmt.Sprintf("items=%d/symbols=%d", size, to), func(b *testing.B) {
				for b.Loop() {
					encode(set, &k, 0, to)
				}
			})
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, differences := range []int{10, 100, 1000} {
		x, y := sets(b, "bench", 0, differences, 0)
		k := deriveKeys([32]byte{1}, nonce(1), nonce(2))
		n := uint32(2*differences + 32)
		ours, theirs := encode(x, &k, 0, n), encode(y, &k, 0, n)
		b.Run(fmt.Sprintf("differences=%d", differences), func(b *testing.B) {
			for b.Loop() {
				d := newDecoder(x, &k)
				if ok, err := d.add(theirs, ours); !ok || err != nil {
					b.Fatal(ok, err)
				}
			}
		})
	}
}

func BenchmarkSession(b *testing.B) {
	for _, v := range [][3]int{{10000, 0, 0}, {10000, 5, 5}, {10000, 50, 50}, {10000, 1000, 1000}} {
		x, y := sets(b, "bench", v[0], v[1], v[2])
		b.Run(fmt.Sprintf("common=%d/differences=%d", v[0], v[1]+v[2]), func(b *testing.B) {
			for b.Loop() {
				o, r := run(b, config(x), config(y), nil)
				if o.err != nil || r.err != nil {
					b.Fatal(o.err, r.err)
				}
				b.ReportMetric(float64(o.bytes+r.bytes), "bytes/session")
			}
		})
	}
}
