// SPDX-License-Identifier: BSD-3-Clause

package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	bolt "go.etcd.io/bbolt"
)

func openTable(t *testing.T, path string) *Table {
	t.Helper()
	table, err := OpenTable(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = table.Close() })
	return table
}

func write(t *testing.T, table *Table, writes ...Write) {
	t.Helper()
	if err := table.Put(writes); err != nil {
		t.Fatal(err)
	}
}

// contents reads a bucket and checks the order of its keys.
func contents(t *testing.T, table *Table, bucket string) map[string]string {
	t.Helper()
	out, last := map[string]string{}, ""
	if err := table.Each(bucket, func(k, v []byte) error {
		if string(k) <= last {
			t.Errorf("key %q comes after %q", k, last)
		}
		last = string(k)
		out[last] = string(v)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

func want(t *testing.T, table *Table, bucket string, pairs ...string) {
	t.Helper()
	all := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		all[pairs[i]] = pairs[i+1]
	}
	if got := contents(t, table, bucket); !maps.Equal(got, all) {
		t.Errorf("bucket %q holds %q, want %q", bucket, got, all)
	}
}

func set(bucket, key, value string) Write {
	return Write{Bucket: bucket, Key: []byte(key), Value: []byte(value)}
}

// TestATableWhoseFileIsGoneTakesNothing unlinks, replaces and puts back the file of an
// open table: what it took meanwhile would be lost with the process.
func TestATableWhoseFileIsGoneTakesNothing(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "relay")
	path := filepath.Join(folder, "directory")
	table := openTable(t, path)
	write(t, table, set("self", "a", "1"))
	refused := func(when string) {
		t.Helper()
		err := table.Put([]Write{set("self", "a", "2")})
		if !table.Gone() || !errors.Is(err, ErrTable) || !errors.Is(err, ErrTableGone) || !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: gone is %v, and Put says %v", when, table.Gone(), err)
		}
	}
	if err := os.Rename(path, path+".moved"); err != nil {
		t.Skip("this system keeps an open file where it is")
	}
	refused("moved away")
	if err := os.WriteFile(path, nil, FileMode); err != nil {
		t.Fatal(err)
	}
	refused("another in its place")
	if err := os.Rename(path+".moved", path); err != nil {
		t.Fatal(err)
	}
	if table.Gone() {
		t.Error("it is back, and called gone")
	}
	write(t, table, set("self", "a", "3"))
	want(t, table, "self", "a", "3")
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	refused("the folder removed")
	if err := os.WriteFile(folder, nil, FileMode); err != nil {
		t.Fatal(err)
	}
	refused("a file in the folder's place")
}

func TestATableKeepsWhatWasPut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b", "directory")
	table := openTable(t, path)
	want(t, table, "desc")
	big := strings.Repeat("state", 1<<20)
	write(t, table, set("desc", "b", "2"), set("desc", "a", "1"), set("aux", "s", big), set("desc", "c", ""))
	write(t, table, set("desc", "b", "3"), Write{Bucket: "desc", Key: []byte("a")}, Write{Bucket: "none", Key: []byte("never")})
	write(t, table)
	want(t, table, "desc", "b", "3", "c", "")
	if err := table.Close(); err != nil {
		t.Fatal(err)
	}
	table = openTable(t, path)
	want(t, table, "desc", "b", "3", "c", "")
	want(t, table, "aux", "s", big)
	want(t, table, "none")
	if table.Damaged() || table.MovedTo() != "" {
		t.Error("a good table counts as damaged")
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 2 {
		t.Errorf("%d files are in the folder, %v", len(left), err)
	}
}

func TestATableIsPrivate(t *testing.T) {
	skipOnWindows(t)
	folder := filepath.Join(t.TempDir(), "state")
	path := filepath.Join(folder, "directory")
	table := openTable(t, path)
	if mode(t, path) != FileMode || mode(t, folder) != FolderMode {
		t.Errorf("modes %v and %v", mode(t, path), mode(t, folder))
	}
	if err := table.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	openTable(t, path)
	if mode(t, path) != FileMode {
		t.Errorf("an exposed table stays so: %v", mode(t, path))
	}
}

func TestAnErrorOfEachIsTheCallers(t *testing.T) {
	table := openTable(t, filepath.Join(t.TempDir(), "directory"))
	write(t, table, set("x", "1", "a"), set("x", "2", "b"))
	enough := errors.New("enough")
	n := 0
	err := table.Each("x", func(_, _ []byte) error {
		n++
		return enough
	})
	if err != enough || n != 1 {
		t.Errorf("%v after %d values", err, n)
	}
}

func TestASecondProcessIsKeptOut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "directory")
	openTable(t, path)
	if _, err := OpenTable(path); !errors.Is(err, ErrTableHeld) {
		t.Errorf("a held table gives %v", err)
	}
}

// TestAFailedPutHasNoEffect, names its cause, and is followed by one that has.
func TestAFailedPutHasNoEffect(t *testing.T) {
	table := openTable(t, filepath.Join(t.TempDir(), "directory"))
	write(t, table, set("self", "memory", "old"))
	good := table.update
	table.update = func(f func(*bolt.Tx) error) error {
		return table.db.Update(func(tx *bolt.Tx) error {
			if err := f(tx); err != nil {
				return err
			}
			return &fs.PathError{Op: "write", Path: "/srv/alice/directory", Err: syscall.ENOSPC}
		})
	}
	err := table.Put([]Write{set("self", "memory", "new"), set("desc", "k", "v")})
	if !errors.Is(err, ErrTable) || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a full disk gives %v", err)
	}
	if strings.Contains(fmt.Sprintf("%v %+v", err, err), "alice") {
		t.Error("the error's text holds a path")
	}
	want(t, table, "self", "memory", "old")
	want(t, table, "desc")
	table.update = good
	write(t, table, set("self", "memory", "new"))
	want(t, table, "self", "memory", "new")
	for _, bad := range []Write{{Bucket: "", Key: []byte("k"), Value: []byte("v")}, {Bucket: "b", Value: []byte("v")}} {
		if err := table.Put([]Write{set("self", "memory", "newer"), bad}); !errors.Is(err, ErrTable) {
			t.Errorf("a write without bucket or key gives %v", err)
		}
	}
	want(t, table, "self", "memory", "new")
}

// spoiled returns ways of spoiling a file that must all be found out.
func spoiled(t *testing.T, good []byte, secret string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{
		"empty": {}, "one byte": {1}, "cut to one page": good[:os.Getpagesize()],
		"cut in half": good[:len(good)/2], "zeros": make([]byte, len(good)), "text": bytes.Repeat([]byte("text "), len(good)/5),
	}
	at := bytes.LastIndex(good, []byte(secret))
	if at < 0 {
		t.Fatal("the value is not in the file")
	}
	for name, i := range map[string]int{"bit in a value": at + 3, "bit in a checksum": at - 1} {
		b := slices.Clone(good)
		for ; i >= 0; i = bytes.LastIndex(b[:i], []byte(secret)) { // in older pages too
			b[i] ^= 1
			break
		}
		out[name] = b
	}
	metas := slices.Clone(good)
	for page := range 2 {
		metas[page*os.Getpagesize()+40] ^= 1
	}
	out["both heads"] = metas
	return out
}

// TestADamagedTableIsMovedAside, whatever is wrong with it, and that is remembered
// until something could be noted about it.
func TestADamagedTableIsMovedAside(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "good")
	table := openTable(t, path)
	const secret = "a promise that was made and must not be forgotten"
	write(t, table, set("self", "memory", secret), set("desc", "d", strings.Repeat("long", 5000)))
	if err := table.Close(); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range spoiled(t, good, secret) {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "directory")
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
			table := openTable(t, path)
			if !table.Damaged() || table.MovedTo() != path+".damaged-1" {
				t.Fatalf("damaged %v, moved to %q", table.Damaged(), table.MovedTo())
			}
			if aside, err := os.ReadFile(table.MovedTo()); err != nil || !bytes.Equal(aside, data) {
				t.Errorf("what was moved aside is not what was there: %v", err)
			}
			want(t, table, "self")
			want(t, table, string(ownBucket[1:]))
			if err := table.Close(); err != nil {
				t.Fatal(err)
			}
			table = openTable(t, path)
			if !table.Damaged() || table.MovedTo() != "" {
				t.Errorf("after a restart: damaged %v, moved to %q", table.Damaged(), table.MovedTo())
			}
			write(t, table, set("self", "lost", "until then"))
			if table.Damaged() {
				t.Error("still damaged after a Put")
			}
			if err := table.Close(); err != nil {
				t.Fatal(err)
			}
			table = openTable(t, path)
			if table.Damaged() {
				t.Error("damaged again")
			}
			want(t, table, "self", "lost", "until then")
		})
	}
}

// TestAKillWhileADamagedTableIsReplacedForgetsNothing at whichever step.
func TestAKillWhileADamagedTableIsReplacedForgetsNothing(t *testing.T) {
	for _, step := range []string{"making", "made", "moved"} {
		t.Run(step, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "directory")
			if err := os.WriteFile(path, []byte("no table"), 0o600); err != nil {
				t.Fatal(err)
			}
			switch step {
			case "making":
				if err := os.WriteFile(path+makingSuffix, []byte("half"), 0o600); err != nil {
					t.Fatal(err)
				}
			case "made", "moved":
				if err := makeTable(path+instandSuffix, true); err != nil {
					t.Fatal(err)
				}
			}
			if step == "moved" {
				if err := os.Rename(path, path+".damaged-1"); err != nil {
					t.Fatal(err)
				}
			}
			if table := openTable(t, path); !table.Damaged() {
				t.Error("the damage is forgotten")
			}
			if aside, err := os.ReadFile(path + ".damaged-1"); err != nil || string(aside) != "no table" {
				t.Errorf("moved aside: %q, %v", aside, err)
			}
		})
	}
}

// TestAKillWhileATableIsMadeIsNoDamage: nothing was in it.
func TestAKillWhileATableIsMadeIsNoDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "directory")
	if err := os.WriteFile(path+makingSuffix, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if table := openTable(t, path); table.Damaged() {
		t.Error("a table that never was counts as lost")
	}
}

// TestAKillAtAnyInstantLeavesATransactionWhole copies the file while it is written,
// which is what a kill leaves, and opens each copy.
func TestAKillAtAnyInstantLeavesATransactionWhole(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "directory")
	table := openTable(t, path)
	for round := range 12 {
		text := strings.Repeat(fmt.Sprint(round, " "), 2000)
		write(t, table, set("self", "memory", text), set("aux", fmt.Sprint(round%2), text))
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		copied := filepath.Join(folder, fmt.Sprint("copy", round))
		if err := os.WriteFile(copied, data, 0o600); err != nil {
			t.Fatal(err)
		}
		killed := openTable(t, copied)
		if killed.Damaged() {
			t.Fatalf("round %d: damaged", round)
		}
		want(t, killed, "self", "memory", text)
	}
}

func TestErrorsOfATableHoldNoPath(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "alice")
	if err := os.MkdirAll(filepath.Join(folder, "table"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(folder, "table"), filepath.Join(folder, "file", "below")} {
		_, err := OpenTable(path)
		if err == nil || strings.Contains(fmt.Sprintf("%v %+v", err, err), "alice") {
			t.Errorf("%v", err)
		}
	}
}

// TestATableThatIsSpoiledWhileOpenIsLeftAlone cuts, overwrites and sets back the file
// under an open table: no panic, nothing is put, and the next start finds out.
func TestATableThatIsSpoiledWhileOpenIsLeftAlone(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("this system keeps others from an open file")
	}
	var older []byte
	big := bytes.Repeat([]byte("x"), 200<<10)
	for name, spoil := range map[string]func(path string) error{
		"cut":         func(path string) error { return os.Truncate(path, 4096) },
		"emptied":     func(path string) error { return os.Truncate(path, 0) },
		"noise":       func(path string) error { return overwriteWith(path, bytes.Repeat([]byte{0xa5}, 1<<20)) },
		"zeros":       func(path string) error { return overwriteWith(path, make([]byte, 1<<20)) },
		"an old copy": func(path string) error { return overwriteWith(path, older) },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "directory")
			table := openTable(t, path)
			write(t, table, set("self", "a", "1"), Write{Bucket: "desc", Key: []byte("d"), Value: big})
			var err error
			if older, err = os.ReadFile(path); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				write(t, table, set("self", "a", "2"))
			}
			if err := spoil(path); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				err := table.Put([]Write{set("self", "a", "3")})
				if !errors.Is(err, ErrTable) || !errors.Is(err, ErrTableSpoiled) || !table.Spoiled() {
					t.Fatalf("Put says %v, spoiled is %v", err, table.Spoiled())
				}
				if err := table.Each("desc", func(_, _ []byte) error { return nil }); !errors.Is(err, ErrTable) {
					t.Errorf("Each says %v", err)
				}
			}
			if err := table.Close(); err != nil {
				t.Error(err)
			}
			table = openTable(t, path)
			defer table.Close()
			if table.Spoiled() || !table.Damaged() || table.Old() != (name == "an old copy") {
				t.Errorf("after a restart: spoiled %v, damaged %v, old %v", table.Spoiled(), table.Damaged(), table.Old())
			}
			write(t, table, set("self", "a", "4"))
			want(t, table, "self", "a", "4")
		})
	}
}

// TestAPanicOfTheCallerIsTheCallers: it goes through, and the table goes on.
func TestAPanicOfTheCallerIsTheCallers(t *testing.T) {
	table := openTable(t, filepath.Join(t.TempDir(), "directory"))
	defer table.Close()
	write(t, table, set("self", "a", "1"))
	func() {
		defer func() {
			if recover() != "mine" {
				t.Error("it was swallowed")
			}
		}()
		_ = table.Each("self", func(_, _ []byte) error { panic("mine") })
	}()
	if table.Spoiled() {
		t.Error("the table counts as spoiled")
	}
	write(t, table, set("self", "a", "2"))
	want(t, table, "self", "a", "2")
}

// overwriteWith writes over a file that stays the same one.
func overwriteWith(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}

// TestAnElementThatLeadsOutOfTheFileIsDamage: one byte may send a reader far beyond what is
// mapped, which no goroutine of the library may meet first.
func TestAnElementThatLeadsOutOfTheFileIsDamage(t *testing.T) {
	for _, at := range []int{4, 8, 12} { // position, size of the key, size of the value
		path := filepath.Join(t.TempDir(), "directory")
		table := openTable(t, path)
		for i := range 30 {
			write(t, table, set("self", fmt.Sprint("key ", i), strings.Repeat("value ", 30)))
		}
		if err := table.Close(); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		spoiled := 0
		for page := 0; page+os.Getpagesize() <= len(data); page += os.Getpagesize() {
			// A page begins with number 8, flags 2 (leaf: 2), count 2, overflow 4; an element is flags, position, sizes.
			if leaf := data[page:]; binary.NativeEndian.Uint16(leaf[8:]) == 2 && binary.NativeEndian.Uint16(leaf[10:]) >= 3 {
				binary.NativeEndian.PutUint32(leaf[16+at:], 0x7ffffff0)
				spoiled++
			}
		}
		if err := os.WriteFile(path, data, 0o600); err != nil || spoiled == 0 {
			t.Fatalf("%d pages, %v", spoiled, err)
		}
		if table = openTable(t, path); !table.Damaged() || table.MovedTo() != path+".damaged-1" {
			t.Errorf("field %d: damaged %v, moved to %q", at, table.Damaged(), table.MovedTo())
		}
	}
}
