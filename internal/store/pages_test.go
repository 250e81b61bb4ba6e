// SPDX-License-Identifier: BSD-3-Clause

package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
)

// enough is the memory that opening a small file may take, whatever is in it.
const enough = 8 << 20

// smallTable makes a file that has pages of every kind, of which some have others that
// belong to them: branches and leaves of three buckets, one of which is within a leaf,
// and a list of free pages.
func smallTable(t *testing.T) (path string, data []byte) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "directory")
	table := openTable(t, path)
	var all []Write
	for i := range 40 {
		all = append(all, set("desc", fmt.Sprintf("key %03d", i), strings.Repeat("value ", 50)))
	}
	write(t, table, all...)
	write(t, table, set("aux", "long", strings.Repeat("long", os.Getpagesize()/2)), set("self", "memory", "a promise"))
	write(t, table, set("self", "memory", "another"))
	if err := table.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return path, data
}

// livePages returns where pages begin that the table's latest transaction goes by.
func livePages(t *testing.T, data []byte) (at []int) {
	t.Helper()
	size := os.Getpagesize()
	w := &pages{file: bytes.NewReader(data)}
	_, free, ok := w.begin(uint64(len(data)))
	if !ok {
		t.Fatal("no table")
	}
	page := data[int(free)*size:]
	gone := map[int]bool{}
	for i := range int(binary.NativeEndian.Uint16(page[10:])) {
		gone[int(binary.NativeEndian.Uint64(page[pageHead+8*i:]))] = true
	}
	for p := 0; p < int(w.end); p++ {
		if gone[p] {
			continue
		}
		at = append(at, p*size)
		if p >= 2 {
			p += int(binary.NativeEndian.Uint32(data[p*size+12:]))
		}
	}
	return at
}

// measured runs f, and fails if that took more memory than a small file is worth.
func measured(t *testing.T, what string, f func()) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began := time.Now()
	f()
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > enough {
		t.Fatalf("%s: %d bytes of memory, %v", what, n, time.Since(began))
	}
}

// TestEachBitOfAPageMayBeWrong: whichever bit of a page's head or of its first elements is
// flipped, the table is found good or damaged, and neither takes memory or time.
func TestEachBitOfAPageMayBeWrong(t *testing.T) {
	path, good := smallTable(t)
	found := map[uint16]int{}
	for _, page := range livePages(t, good) {
		found[binary.NativeEndian.Uint16(good[page+8:])]++
		for bit := range 8 * (pageHead + 2*elementSize) {
			data := slices.Clone(good)
			data[page+bit/8] ^= 1 << (bit % 8)
			put0600(t, path, data)
			what := fmt.Sprintf("page at %d, bit %d", page, bit)
			measured(t, what, func() {
				damaged, err := CheckTable(path)
				if err != nil {
					t.Fatalf("%s: %v", what, err)
				}
				// What nobody reads may be wrong: of the two heads one is enough.
				if !damaged && page >= 2*os.Getpagesize() && bit < 8*pageHead {
					t.Errorf("%s: counts as good", what)
				}
			})
		}
	}
	if found[kindBranch] == 0 || found[kindLeaf] < 3 || found[kindFree] != 1 {
		t.Errorf("pages of each kind: %v", found)
	}
}

// TestAWrongBitOfAPagesHeadKeepsNoTableFromOpening, as such or as an empty one that knows.
func TestAWrongBitOfAPagesHeadKeepsNoTableFromOpening(t *testing.T) {
	path, good := smallTable(t)
	for _, page := range livePages(t, good) {
		for _, bit := range []int{0, 63, 64, 71, 80, 95, 96, 97, 110, 126, 127} { // number, kind, elements, pages that follow
			t.Run(fmt.Sprintf("%d/%d", page/os.Getpagesize(), bit), func(t *testing.T) {
				path := filepath.Join(filepath.Dir(path), fmt.Sprintf("%d-%d", page, bit))
				data := slices.Clone(good)
				data[page+bit/8] ^= 1 << (bit % 8)
				put0600(t, path, data)
				var table *Table
				measured(t, "open", func() { table = openTable(t, path) })
				if table.Damaged() == (table.MovedTo() == "") {
					t.Fatalf("damaged %v, moved to %q", table.Damaged(), table.MovedTo())
				}
				if !table.Damaged() {
					want(t, table, "self", "memory", "another")
				}
				write(t, table, set("self", "memory", "since then"))
				want(t, table, "self", "memory", "since then")
			})
		}
	}
}

// TestPagesThatClaimTooMuchAreDamage: each of these ended the process, or kept it busy
// until the memory was full.
func TestPagesThatClaimTooMuchAreDamage(t *testing.T) {
	path, good := smallTable(t)
	size := os.Getpagesize()
	of := func(kind uint16) int {
		for _, at := range livePages(t, good) {
			if binary.NativeEndian.Uint16(good[at+8:]) == kind {
				return at
			}
		}
		t.Fatalf("no page of kind %d", kind)
		return 0
	}
	free, branch, leaf := of(kindFree), of(kindBranch), of(kindLeaf)
	for name, spoil := range map[string]func(b []byte){
		"a billion pages belong to a leaf": func(b []byte) { b[leaf+15] ^= 0x40 },
		"a billion free pages": func(b []byte) {
			binary.NativeEndian.PutUint16(b[free+10:], freeBeyond)
			binary.NativeEndian.PutUint64(b[free+pageHead:], 1<<36)
		},
		"free pages beyond the file": func(b []byte) {
			binary.NativeEndian.PutUint16(b[free+10:], freeBeyond)
			binary.NativeEndian.PutUint64(b[free+pageHead:], uint64(len(b)/8))
		},
		"a free page far away": func(b []byte) { binary.NativeEndian.PutUint64(b[free+pageHead:], 1<<60) },
		"a branch below itself": func(b []byte) {
			binary.NativeEndian.PutUint64(b[branch+pageHead+8:], uint64(branch/size))
		},
	} {
		t.Run(name, func(t *testing.T) {
			data := slices.Clone(good)
			spoil(data)
			put0600(t, path, data)
			measured(t, "check", func() {
				if damaged, err := CheckTable(path); !damaged || err != nil {
					t.Errorf("a check says %v, %v", damaged, err)
				}
			})
			measured(t, "open", func() {
				table := openTable(t, path)
				if !table.Damaged() || table.MovedTo() == "" {
					t.Errorf("damaged %v, moved to %q", table.Damaged(), table.MovedTo())
				}
				if err := table.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestWhateverWasPutIsSound: buckets grow out of a leaf and back, are emptied and filled.
func TestWhateverWasPutIsSound(t *testing.T) {
	path := filepath.Join(t.TempDir(), "directory")
	table := openTable(t, path)
	table.db.NoSync = true
	rng := rand.New(rand.NewPCG(1, 2))
	for round := range 400 {
		var all []Write
		for range 1 + rng.IntN(60) {
			w := set([]string{"desc", "aux", "self"}[rng.IntN(3)], fmt.Sprint("key ", rng.IntN(300)), "")
			switch n := rng.IntN(100); {
			case n < 40 || round%100 > 70:
				w.Value = nil
			case n < 95:
				w.Value = make([]byte, rng.IntN(300))
			default:
				w.Value = make([]byte, rng.IntN(30000))
			}
			all = append(all, w)
		}
		write(t, table, all...)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !soundPages(bytes.NewReader(data), int64(len(data))) {
			t.Fatalf("round %d: counts as damaged", round)
		}
	}
	if err := table.Close(); err != nil {
		t.Fatal(err)
	}
	if damaged, err := CheckTable(path); damaged || err != nil {
		t.Errorf("a check says %v, %v", damaged, err)
	}
}

// TestManyFreePagesAreNoDamage: their number stands at another place then.
func TestManyFreePagesAreNoDamage(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 270 MB")
	}
	path := filepath.Join(t.TempDir(), "directory")
	table := openTable(t, path)
	table.db.NoSync = true
	var gone []Write
	for i := range 17 {
		key := []byte{byte(i + 1)}
		write(t, table, Write{Bucket: "aux", Key: key, Value: make([]byte, 16<<20)})
		gone = append(gone, Write{Bucket: "aux", Key: key})
	}
	write(t, table, gone...)
	write(t, table, set("self", "memory", "a promise"))
	if err := table.Close(); err != nil {
		t.Fatal(err)
	}
	table = openTable(t, path)
	if table.Damaged() {
		t.Error("a good table counts as damaged")
	}
	if n := table.db.Stats().FreePageN; os.Getpagesize() == 4096 && n <= freeBeyond {
		t.Errorf("%d free pages are no test", n)
	}
	want(t, table, "self", "memory", "a promise")
}

// failing fails to read from an offset on.
type failing struct {
	io.ReaderAt
	from int64
}

func (f failing) ReadAt(p []byte, at int64) (int, error) {
	if at+int64(len(p)) > f.from {
		return 0, syscall.EIO
	}
	return f.ReaderAt.ReadAt(p, at)
}

// TestAFileThatCannotBeReadIsNotDamaged: an error of the disk is told, and nothing is put away.
func TestAFileThatCannotBeReadIsNotDamaged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "table.db")
	db, err := bolt.Open(path, 0o600, nil)
	if err == nil {
		err = db.Update(func(tx *bolt.Tx) error {
			b, err := tx.CreateBucket([]byte("b"))
			if err != nil {
				return err
			}
			return b.Put([]byte("k"), make([]byte, 20000))
		})
	}
	if err == nil {
		err = db.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := walk(bytes.NewReader(data), int64(len(data))); err != nil {
		t.Fatal(err)
	}
	for from := int64(0); from < int64(len(data)); from += 512 {
		if err := walk(failing{bytes.NewReader(data), from}, int64(len(data))); err != nil && !errors.Is(err, syscall.EIO) {
			t.Fatalf("from %d: %v", from, err)
		}
	}
	if err := walk(failing{bytes.NewReader(data), 0}, int64(len(data))); !errors.Is(err, syscall.EIO) {
		t.Errorf("%v", err)
	}
	if err := walk(bytes.NewReader(data[:len(data)/2]), int64(len(data)/2)); !errors.Is(err, errDamaged) {
		t.Errorf("cut short: %v", err)
	}
}
