// SPDX-License-Identifier: BSD-3-Clause

package model

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"chive/directory"
	"chive/directory/record"
)

func TestTheQueueKeepsTheOrder(t *testing.T) {
	var q queue
	r := rand.New(rand.NewPCG(1, 2))
	var all []event
	for i := range 3000 {
		e := event{at: int64(r.IntN(50)), source: int32(r.IntN(5)), seq: uint64(i)}
		q.push(e)
		all = append(all, e)
		if r.IntN(3) == 0 {
			got := q.pop()
			i := slices.IndexFunc(all, func(o event) bool { return o.seq == got.seq })
			for _, o := range all {
				if o.before(&got) {
					t.Fatal("an earlier event waits")
				}
			}
			all = slices.Delete(all, i, i+1)
		}
	}
	for last := q.pop(); q.len() > 0; {
		e := q.pop()
		if e.before(&last) {
			t.Fatal("out of order")
		}
		last = e
	}
}

func TestDelaysHaveTheMeanOfTheDesign(t *testing.T) {
	const n = 1 << 16
	var sum time.Duration
	before := time.Duration(0)
	for i := range n {
		d := quantile(uint32(i)<<16 + 1<<15)
		if d < before || d < time.Millisecond {
			t.Fatal("quantiles fall")
		}
		before = d
		sum += d
	}
	if mean := sum / n; mean < 74900*time.Microsecond || mean > 75100*time.Microsecond {
		t.Errorf("mean %v", mean)
	}
	if top := quantile(1<<32 - 1); top < 245*time.Millisecond || top > 246*time.Millisecond {
		t.Errorf("top %v", top)
	}
}

// Networks are of the sizes of the public ones: testnet §4 has 2,866-2,890 groups at
// 7,326 relays, the largest 115-134. Here a tenth of that is made, whose share in the
// largest is alike.
func TestPeopleLieInNetworksOfUnequalSizes(t *testing.T) {
	sizes := map[[2]byte]int{}
	largest := 0
	all := people(1, 700)
	for _, p := range all {
		a := p.address.Addr().As4()
		if !record.Public(p.address.Addr()) {
			t.Fatal("an address that is not public")
		}
		sizes[[2]byte(a[:2])]++
		largest = max(largest, sizes[[2]byte(a[:2])])
	}
	if len(sizes) < 300 || len(sizes) > 600 || largest < 5 || largest > 60 {
		t.Errorf("%d networks, the largest of %d", len(sizes), largest)
	}
	if again := people(1, 700); again[99].address != all[99].address || !again[99].identity.Equal(all[99].identity) {
		t.Error("equal seeds, other people")
	}
}

func TestAStoreKeepsWhatWasStored(t *testing.T) {
	shared := &blocks{map[[32]byte][]byte{}}
	b := &base{values: map[string][]byte{"a": []byte("1"), "c": []byte("3"), "d": []byte("4")}}
	b.sort()
	s := store{shared: shared, base: b}
	put := func(bucket directory.Bucket, k string, v []byte) bool {
		return s.put(directory.Store{Bucket: bucket, Key: []byte(k), Value: v})
	}
	put(directory.BucketDesc, "b", []byte("2"))
	put(directory.BucketDesc, "c", []byte("x"))
	put(directory.BucketDesc, "d", nil)
	got := ""
	for k, v := range s.saved(directory.BucketDesc) {
		got += string(k) + string(v) + " "
	}
	if got != "a1 b2 cx " {
		t.Errorf("%q", got)
	}
	state := bytes.Repeat([]byte("0123456789abcdef"), 2000)
	put(directory.BucketAux, "S0", append([]byte("one"), state...))
	held := len(shared.all)
	put(directory.BucketAux, "S1", append([]byte("two.."), state...))
	if more := len(shared.all) - held; more > 1 {
		t.Errorf("%d blocks more for one state with another head", more)
	}
	for k, v := range s.saved(directory.BucketAux) {
		if want := map[string]string{"S0": "one", "S1": "two.."}[string(k)] + string(state); string(v) != want {
			t.Errorf("%s is not what was stored", k)
		}
	}
	s.fails = true
	if put(directory.BucketSelf, "x", []byte("1")) {
		t.Error("a broken disk stores")
	}
	s.clear()
	for range s.saved(directory.BucketDesc) {
		t.Error("something is left")
	}
}

func TestFramesAreReadAsTheyLieOnTheWire(t *testing.T) {
	for _, c := range []struct {
		body  []byte
		class byte
		data  string
	}{
		{append([]byte{0x83, 4, 0x18, 'V', 0x43}, "abc"...), 'V', "abc"},
		{append([]byte{0x83, 6, 0x18, 'E', 0x58, 30}, bytes.Repeat([]byte("a"), 30)...), 'E', string(bytes.Repeat([]byte("a"), 30))},
		{append([]byte{0x83, 4, 0x18, 'D', 0x59, 1, 0}, bytes.Repeat([]byte("b"), 256)...), 'D', string(bytes.Repeat([]byte("b"), 256))},
		{[]byte{0x83, 2, 0x18, 'V', 0x48, 1, 2, 3, 4, 5, 6, 7, 8}, 0, ""}, // INV
		{[]byte{0x83}, 0, ""},
		{nil, 0, ""},
	} {
		if class, data := recordOf(c.body); class != c.class || string(data) != c.data {
			t.Errorf("%x: %c %q", c.body, class, data)
		}
	}
}
