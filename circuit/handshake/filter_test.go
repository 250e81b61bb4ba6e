// SPDX-License-Identifier: BSD-3-Clause

package handshake

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"
	"testing/iotest"
)

func newTestFilter(t testing.TB, capacity int) *Filter {
	t.Helper()
	f, err := NewFilter(testRandom("filter"), capacity)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// numbered is a CREATE as far as the filter looks at it.
func numbered(n int) []byte {
	b := newMessage(CreateSize)
	binary.BigEndian.PutUint64(b[68:], uint64(n))
	return b
}

// TestFilterAtItsCapacity adds cap-1, cap and more entries and looks at which
// are still known.
func TestFilterAtItsCapacity(t *testing.T) {
	const capacity = 8
	for _, test := range []struct {
		added, firstKnown, young, old int
	}{
		{capacity - 1, 0, capacity - 1, 0},
		{capacity, 0, capacity, 0},
		{capacity + 1, 0, 1, capacity}, // rotated
		{2*capacity - 1, 0, capacity - 1, capacity},
		{2 * capacity, 0, capacity, capacity},
		{2*capacity + 1, capacity, 1, capacity}, // the first generation is gone
		{10 * capacity, 8 * capacity, capacity, capacity},
	} {
		f := newTestFilter(t, capacity)
		for n := range test.added {
			if !f.Add(numbered(n)) {
				t.Fatalf("entry %d of %d is not fresh", n, test.added)
			}
		}
		for n := range test.added {
			if f.Seen(numbered(n)) != (n >= test.firstKnown) {
				t.Errorf("%d added: entry %d", test.added, n)
			}
		}
		if f.Seen(numbered(test.added)) {
			t.Errorf("%d added: one that was not", test.added)
		}
		if len(f.young) != test.young || len(f.old) != test.old {
			t.Errorf("%d added: generations of %d and %d", test.added, len(f.young), len(f.old))
		}
	}
}

func TestReplayIsNotFreshAndTakesNoRoom(t *testing.T) {
	f := newTestFilter(t, 2)
	for n := range 4 { // both generations are full
		f.Add(numbered(n))
	}
	for range 10 {
		for n := range 4 {
			if f.Add(numbered(n)) {
				t.Fatalf("replay of %d is fresh", n)
			}
		}
	}
	if len(f.young) != 2 || len(f.old) != 2 {
		t.Fatal("replays moved the generations")
	}
}

func TestFilterLooksAtXAndEncapsulationKeyOnly(t *testing.T) {
	for i := range CreateSize {
		f := newTestFilter(t, 4)
		b := newMessage(CreateSize)
		if !f.Add(b) {
			t.Fatal("not fresh")
		}
		other := bytes.Clone(b)
		other[i]++
		wellFormed := i >= headerSize
		if differs := i >= 68 && i < 1284; f.Add(other) != (wellFormed && differs) {
			t.Fatalf("byte %d", i)
		}
	}
}

func TestFilterIgnoresMessagesOfWrongSize(t *testing.T) {
	f := newTestFilter(t, 4)
	for _, b := range [][]byte{nil, numbered(1)[:CreateSize-1], append(numbered(1), 0)} {
		if f.Seen(b) || f.Add(b) || f.Seen(b) || len(f.young) != 0 {
			t.Fatal("a message of a wrong size was taken")
		}
	}
}

func TestFilterOfARealHandshake(t *testing.T) {
	f := newFixture(t)
	filter := newTestFilter(t, 4)
	if filter.Seen(f.create) || !filter.Add(f.create) || !filter.Seen(f.create) || filter.Add(f.create) {
		t.Fatal("a replayed CREATE is not seen")
	}
}

func TestFilterNeedsCapacityAndRandomness(t *testing.T) {
	broken := errors.New("broken")
	if _, err := NewFilter(iotest.ErrReader(broken), 1); !errors.Is(err, broken) {
		t.Error(err)
	}
	defer func() {
		if recover() == nil {
			t.Error("capacity 0 is taken")
		}
	}()
	_, _ = NewFilter(testRandom(""), 0)
}
