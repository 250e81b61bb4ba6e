// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"crypto/rand"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"chive/internal/store"
)

func onUnix(t *testing.T) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no permission bits")
	}
}

func TestStateIsPrivateFromTheStart(t *testing.T) {
	onUnix(t)
	dir := filepath.Join(t.TempDir(), "a", "state")
	s := stateOf(t, dir)
	if err := s.createKeys(rand.Reader, time.Now()); err != nil {
		t.Fatal(err)
	}
	files := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if d.IsDir() {
			want = 0o700
		} else {
			files++
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %o, want %o (KEY-4)", path, info.Mode().Perm(), want)
		}
		return nil
	})
	if err != nil || files != 5 {
		t.Errorf("%d key files, %v; want 5", files, err)
	}
}

func TestExposedStateIsRefusedWithTheCommand(t *testing.T) {
	onUnix(t)
	dir := filepath.Join(t.TempDir(), "state of mine")
	s := stateOf(t, dir)
	if err := s.createKeys(rand.Reader, time.Now()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path   string
		mode   fs.FileMode
		repair string
	}{
		{filepath.Join(dir, "relay", "keys", identityFile), 0o640, "chmod 600"},
		{filepath.Join(dir, "relay", "keys", onionName(1)), 0o604, "chmod 600"},
		{filepath.Join(dir, "relay", "keys"), 0o755, "chmod 700"},
		{filepath.Join(dir, "relay"), 0o701, "chmod 700"},
	} {
		info, err := os.Stat(c.path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(c.path, c.mode); err != nil {
			t.Fatal(err)
		}
		_, err = s.Keys()
		f := wantFault(t, err, "permissions")
		if want := "Run: " + c.repair + " '" + c.path + "'"; f.Fix != want || f.Kind != Usage {
			t.Errorf("fix %q, want %q", f.Fix, want)
		}
		if err := os.Chmod(c.path, info.Mode().Perm()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Keys(); err != nil {
		t.Errorf("after the repair: %v", err)
	}
	if err := os.Chmod(dir, 0o770); err != nil {
		t.Fatal(err)
	}
	_, err := OpenState(dir)
	wantFault(t, err, "permissions")
}

func TestStateFolderMistakes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := OpenState("")
	wantFault(t, err, "state_unknown")
	_, err = OpenState(file)
	wantFault(t, err, "state_not_folder")
	if os.Getuid() > 0 {
		closed := filepath.Join(t.TempDir(), "closed")
		if err := os.Mkdir(closed, 0o000); err != nil {
			t.Fatal(err)
		}
		_, err = OpenState(filepath.Join(closed, "state"))
		wantFault(t, err, "file_forbidden")
	}
}

func TestSecondDaemonIsTurnedAwayByNumber(t *testing.T) {
	dir := t.TempDir() + "/state"
	first, second := stateOf(t, dir), stateOf(t, dir)
	if err := first.Lock(); err != nil {
		t.Fatal(err)
	}
	if err := first.Lock(); err != nil {
		t.Errorf("the holder is turned away: %v", err)
	}
	f := wantFault(t, second.Lock(), "state_locked")
	if !strings.Contains(f.Text, "process") || !strings.Contains(f.Fix, "--state") {
		t.Errorf("text %q, fix %q", f.Text, f.Fix)
	}
	first.Close()
	if err := second.Lock(); err != nil {
		t.Errorf("after the first has gone: %v", err)
	}
}

func TestKeyMistakes(t *testing.T) {
	s := stateOf(t, t.TempDir()+"/state")
	_, err := s.Keys()
	wantFault(t, err, "keys_missing")
	if err := s.createKeys(iotest.ErrReader(syscall.EIO), time.Now()); err == nil {
		t.Fatal("keys without randomness")
	}
	if there, err := s.hasKeys(); err != nil || there {
		t.Fatalf("half a set of keys is left: %v, %v", there, err)
	}
	if err := s.createKeys(rand.Reader, time.Now()); err != nil {
		t.Fatalf("after a failure: %v", err)
	}
	folder := s.path(keysFolder)
	identity := filepath.Join(folder, identityFile)
	good, err := os.ReadFile(identity)
	if err != nil {
		t.Fatal(err)
	}
	spoil := func(path string, data []byte, code string) {
		t.Helper()
		old, readErr := os.ReadFile(path)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := s.Keys()
		wantFault(t, err, code)
		if readErr != nil {
			err = os.Remove(path)
		} else {
			err = os.WriteFile(path, old, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	spoil(identity, nil, "key_damaged")
	spoil(identity, good[:len(good)-40], "key_damaged")
	spoil(identity, make([]byte, store.MaxKeySize+1), "file_too_large")
	spoil(filepath.Join(folder, vrfFile), good, "key_damaged")
	spoil(filepath.Join(folder, "onion-x.key"), good, "key_folder")
	spoil(filepath.Join(folder, "onion-01.key"), good, "key_folder")
	if _, err := s.Keys(); err != nil {
		t.Fatalf("after the repair: %v", err)
	}
	if err := os.Remove(filepath.Join(folder, onionName(1))); err != nil {
		t.Fatal(err)
	}
	_, err = s.Keys()
	wantFault(t, err, "key_missing")
	if err := os.Remove(identity); err != nil {
		t.Fatal(err)
	}
	_, err = s.Keys()
	wantFault(t, err, "file_missing")
	for i := range maxKeyFiles + 1 {
		if err := os.WriteFile(filepath.Join(folder, "x"+strings.Repeat("x", i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, err = s.Keys()
	wantFault(t, err, "key_folder")
}

// TestEveryFileErrorHasWords: none ends in a raw text of the system (LOG-5).
func TestEveryFileErrorHasWords(t *testing.T) {
	for _, c := range []struct {
		err  error
		code string
	}{
		{&fs.PathError{Op: "open", Path: "p", Err: syscall.ENOENT}, "file_missing"},
		{&fs.PathError{Op: "open", Path: "p", Err: syscall.EACCES}, "file_forbidden"},
		{&fs.PathError{Op: "write", Path: "p", Err: syscall.ENOSPC}, "disk_full"},
		{&fs.PathError{Op: "write", Path: "p", Err: syscall.EROFS}, "disk_read_only"},
		{&fs.PathError{Op: "write", Path: "p", Err: syscall.EIO}, "file_failed"},
		{store.ErrSize, "file_too_large"},
	} {
		f := wantFault(t, fileFault("/p", "file", c.err), c.code)
		if !strings.Contains(f.Text, "/p") {
			t.Errorf("%s does not name the file", c.code)
		}
	}
}

func TestPathsAreQuotedForTheShell(t *testing.T) {
	for path, want := range map[string]string{
		"/a/b-c_d.e": "/a/b-c_d.e", "/a b": "'/a b'", "/it's": `'/it'\''s'`, "": "''", "/$HOME": "'/$HOME'",
	} {
		if got := quote(path); got != want {
			t.Errorf("%q: %s, want %s", path, got, want)
		}
	}
}
