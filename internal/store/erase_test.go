// SPDX-License-Identifier: BSD-3-Clause

package store

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// TestErasedFilesAreGoneAndWereOverwritten: a second name of the same file shows
// what was left on the disk.
func TestErasedFilesAreGoneAndWereOverwritten(t *testing.T) {
	for _, size := range []int{0, 1, 250, MaxKeySize, MaxKeySize + 1, 3*MaxKeySize + 7} {
		folder := t.TempDir()
		path, witness := filepath.Join(folder, "key"), filepath.Join(folder, "witness")
		if err := WriteFile(path, bytes.Repeat([]byte("s"), size)); err != nil {
			t.Fatal(err)
		}
		if err := os.Link(path, witness); err != nil {
			t.Skip("no hard links here")
		}
		if err := Erase(path); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(witness)
		if err != nil || !bytes.Equal(got, make([]byte, size)) {
			t.Errorf("%d bytes: left %d bytes, %v", size, len(bytes.Trim(got, "\x00")), err)
		}
		entries, err := os.ReadDir(folder)
		if err != nil || len(entries) != 1 {
			t.Errorf("%d bytes: %v, %v", size, entries, err)
		}
	}
}

// TestEraseGoesOnAfterAKill: the file has lost its name, or was never there.
func TestEraseGoesOnAfterAKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	if err := Erase(path); err != nil {
		t.Errorf("no file: %v", err)
	}
	if err := WriteFile(path+ErasedSuffix, []byte("half gone")); err != nil {
		t.Fatal(err)
	}
	if err := Erase(path); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path + ErasedSuffix); !errors.Is(err, fs.ErrNotExist) {
		t.Error("what a kill left behind is still there")
	}
	if err := Erase(filepath.Join(path, "below", string([]byte{0}))); !errors.Is(err, ErrWrite) {
		t.Errorf("a name that cannot be: %v", err)
	}
}

// TestReplacedSecretsAreOverwritten keeps the old file open, as a disk would: behind the
// new one nothing of the old secret is left.
func TestReplacedSecretsAreOverwritten(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no open file can be replaced there")
	}
	path := filepath.Join(t.TempDir(), "key")
	if err := Replace(path, []byte("first secret")); err != nil {
		t.Fatal(err)
	}
	old, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	if err := Replace(path, []byte("other secret")); err != nil {
		t.Fatal(err)
	}
	left, err := io.ReadAll(old)
	if err != nil || !bytes.Equal(left, make([]byte, len("first secret"))) {
		t.Errorf("behind the new file: %q, %v", left, err)
	}
	if now, err := os.ReadFile(path); err != nil || string(now) != "other secret" {
		t.Errorf("the new file: %q, %v", now, err)
	}
}
