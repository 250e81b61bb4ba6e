// SPDX-License-Identifier: BSD-3-Clause

package store

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

func mode(t *testing.T, path string) fs.FileMode {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode().Perm()
}

func skipOnWindows(t *testing.T) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("no permission bits here")
	}
}

func TestWrittenFilesComeBackAndArePrivate(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "a", "b")
	if err := MakeFolder(folder); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "key")
	for _, want := range [][]byte{[]byte("one"), {}, bytes.Repeat([]byte("two"), 5_000)} {
		if err := WriteFile(path, want); err != nil {
			t.Fatal(err)
		}
		got, err := ReadKey(path)
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("read %d bytes, %v; want %d", len(got), err, len(want))
		}
	}
	if runtime.GOOS != "windows" {
		if mode(t, path) != 0o600 || mode(t, folder) != 0o700 || mode(t, filepath.Dir(folder)) != 0o700 {
			t.Errorf("modes %v %v %v", mode(t, path), mode(t, folder), mode(t, filepath.Dir(folder)))
		}
	}
	if err := CheckFolder(folder); err != nil {
		t.Error(err)
	}
	if entries, _ := os.ReadDir(folder); len(entries) != 1 {
		t.Errorf("%d files left, want 1", len(entries))
	}
}

func TestAnOldAttemptNeitherStopsNorExposesAWrite(t *testing.T) {
	skipOnWindows(t)
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path+newSuffix, []byte("half, and far too long"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path+newSuffix, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(path, []byte("whole")); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadKey(path); err != nil || string(got) != "whole" {
		t.Errorf("read %q, %v", got, err)
	}
}

func TestExposedKeysAreRefusedWithTheCommand(t *testing.T) {
	skipOnWindows(t)
	folder := filepath.Join(t.TempDir(), "it's here")
	if err := MakeFolder(folder); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "key")
	if err := WriteFile(path, []byte("k")); err != nil {
		t.Fatal(err)
	}
	for _, wide := range []fs.FileMode{0o640, 0o604, 0o610, 0o666, 0o601} {
		if err := os.Chmod(path, wide); err != nil {
			t.Fatal(err)
		}
		_, err := ReadKey(path)
		var exposed *ExposedError
		if !errors.As(err, &exposed) {
			t.Fatalf("mode %v: %v", wide, err)
		}
		if strings.Contains(err.Error(), folder) {
			t.Errorf("the error's text holds a path: %v", err)
		}
		if exposed.Path() != path {
			t.Errorf("the path is %q", exposed.Path())
		}
		if out, err := exec.Command("sh", "-c", exposed.Fix()).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v %s", exposed.Fix(), err, out)
		}
		if _, err := ReadKey(path); err != nil {
			t.Errorf("after the fix: %v", err)
		}
	}
	if err := os.Chmod(path, 0o400); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadKey(path); err != nil {
		t.Errorf("a read-only key is refused: %v", err)
	}
	if err := os.Chmod(folder, 0o750); err != nil {
		t.Fatal(err)
	}
	err := CheckFolder(folder)
	var exposed *ExposedError
	if !errors.As(err, &exposed) || !strings.HasPrefix(exposed.Fix(), "chmod 700 ") {
		t.Errorf("an open folder gives %v", err)
	}
}

func TestReadingBoundsAndKinds(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "key")
	for size, want := range map[int]error{MaxKeySize - 1: nil, MaxKeySize: nil, MaxKeySize + 1: ErrSize} {
		if err := WriteFile(path, make([]byte, size)); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadKey(path); !errors.Is(err, want) {
			t.Errorf("%d bytes: %v, want %v", size, err, want)
		}
	}
	if _, err := ReadFile(filepath.Join(folder, "none"), 10); !errors.Is(err, ErrRead) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file gives %v", err)
	}
	if _, err := ReadKey(folder); !errors.Is(err, ErrRead) {
		t.Errorf("a folder gives %v", err)
	}
	if err := CheckFolder(path); !errors.Is(err, ErrFolder) {
		t.Errorf("a file as folder gives %v", err)
	}
	if err := MakeFolder(filepath.Join(path, "below")); !errors.Is(err, ErrFolder) {
		t.Errorf("a folder below a file gives %v", err)
	}
}

func TestRemove(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	if err := WriteFile(path, []byte("k")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the file is still there")
	}
}

func TestErrorTextsHoldNoPath(t *testing.T) {
	path := filepath.Join(t.TempDir(), "alice", "key")
	errs := []error{WriteFile(path, nil), Remove(string([]byte{0})), CheckFolder(path)}
	_, err := ReadKey(path)
	errs = append(errs, err)
	_, err = TakeLock(path)
	for _, err := range append(errs, err) {
		if err == nil {
			t.Fatal("no error")
		}
		if text := fmt.Sprintf("%v %+v %s", err, err, err); strings.Contains(text, "alice") || strings.Contains(text, string(filepath.Separator)+"key") {
			t.Errorf("the text holds a path: %s", text)
		}
	}
}

func TestQuotedPathsAreOneWord(t *testing.T) {
	for path, want := range map[string]string{
		"/var/lib/chive/key": "/var/lib/chive/key",
		"a b":                "'a b'",
		"a'b;rm":             `'a'\''b;rm'`,
		"-rf":                "./-rf",
		"":                   "''",
		"~x":                 "'~x'",
	} {
		if got := quote(path); got != want {
			t.Errorf("quote(%q) = %s, want %s", path, got, want)
		}
	}
}

var errFault = errors.New("fault")

// faulty fails the step of that number; with stop, nothing happens after it
// either, as if the process had been killed there.
type faulty struct {
	system
	at, step int
	stop     bool
	synced   []string
}

func (f *faulty) fails() bool {
	f.step++
	return f.step == f.at || f.stop && f.step > f.at
}

func (f *faulty) create(path string) (handle, error) {
	if f.fails() {
		return nil, errFault
	}
	file, err := f.system.create(path)
	return &faultyFile{file, f}, err
}

func (f *faulty) rename(from, to string) error {
	if f.fails() {
		return errFault
	}
	return f.system.rename(from, to)
}

func (f *faulty) remove(path string) error {
	if f.fails() {
		return errFault
	}
	return f.system.remove(path)
}

func (f *faulty) syncFolder(path string) error {
	if f.fails() {
		return errFault
	}
	f.synced = append(f.synced, "folder")
	return f.system.syncFolder(path)
}

type faultyFile struct {
	handle
	f *faulty
}

func (h *faultyFile) Write(p []byte) (int, error) {
	if h.f.fails() {
		n, _ := h.handle.Write(p[:len(p)/2]) // a full disk takes a part
		return n, syscall.ENOSPC
	}
	return h.handle.Write(p)
}

func (h *faultyFile) Sync() error {
	if h.f.fails() {
		return errFault
	}
	h.f.synced = append(h.f.synced, "file")
	return h.handle.Sync()
}

func (h *faultyFile) Close() error {
	err := h.handle.Close()
	if h.f.fails() {
		return errFault
	}
	return err
}

// TestAFaultAtAnyStepLeavesOldOrNew fails each step in turn, once as an error
// and once as the last thing that ever happens, then writes again.
func TestAFaultAtAnyStepLeavesOldOrNew(t *testing.T) {
	const steps = 7 // remove, create, write, sync, close, rename, sync of the folder
	older, newer := bytes.Repeat([]byte("o"), 1000), bytes.Repeat([]byte("n"), 2000)
	for _, stop := range []bool{false, true} {
		for at := 1; at <= steps+1; at++ {
			path := filepath.Join(t.TempDir(), "key")
			if err := WriteFile(path, older); err != nil {
				t.Fatal(err)
			}
			sys := &faulty{at: at, stop: stop}
			err := writeFile(sys, path, newer)
			if failed := err != nil; failed != (at <= steps) {
				t.Fatalf("step %d: error %v", at, err)
			}
			got, readErr := os.ReadFile(path)
			if readErr != nil || !bytes.Equal(got, older) && !bytes.Equal(got, newer) {
				t.Fatalf("step %d: %d bytes, %v", at, len(got), readErr)
			}
			if err == nil && (!bytes.Equal(got, newer) || strings.Join(sys.synced, " ") != "file folder") {
				t.Fatalf("success before the disk had it: %v", sys.synced)
			}
			if _, err := os.Stat(path + newSuffix); !stop && err == nil {
				t.Errorf("step %d: a part is left", at)
			}
			if err := WriteFile(path, newer); err != nil {
				t.Fatalf("after a fault at step %d: %v", at, err)
			}
			if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) != 1 {
				t.Errorf("step %d: %d files left, want 1", at, len(entries))
			}
		}
	}
}
