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
	if err != nil || files != 4 {
		t.Errorf("%d key files, %v; want 4", files, err)
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
	for _, mode := range []fs.FileMode{0o770, 0o755, 0o711, 0o704} {
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		_, err := OpenState(dir)
		if f := wantFault(t, err, "permissions"); f.Fix != "Run: chmod 700 '"+dir+"'" {
			t.Errorf("mode %o: fix %q", mode, f.Fix)
		}
	}
}

// TestReadingCreatesNoState: a mistyped --state leaves nothing behind.
func TestReadingCreatesNoState(t *testing.T) {
	w := found(t, 3, nil)
	dir := filepath.Join(w.dir, "mistyped")
	s := stateOf(t, dir)
	for what, err := range map[string]error{
		"list": errOf(s.Keys()), "sign": errOf(s.SignNetwork(w.doc, time.Now())),
	} {
		if f := wantFault(t, err, "keys_missing"); !strings.Contains(f.Text, "no state folder") {
			t.Errorf("%s: %q does not say that the folder is not there", what, f.Text)
		}
	}
	_, err := s.Found(FounderOptions{Declaring: Declaring{Addresses: []string{"127.0.0.1:1"}, Rate: "fast"}, Out: filepath.Join(w.dir, "out")}, rand.Reader, time.Now())
	wantFault(t, err, "rate")
	w.sign(t)
	wantFault(t, RunRelay(t.Context(), RelayOptions{State: dir, Genesis: w.doc, Listen: "127.0.0.1:0"}), "keys_missing")
	for _, addr := range []string{"9250", "0.0.0.0:0", "unix:relative"} {
		o := ClientOptions{State: dir, Genesis: w.doc, Socks: SocksOptions{Addrs: []string{addr}}}
		if err := RunClient(t.Context(), o); err == nil {
			t.Errorf("--socks %s is taken", addr)
		}
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the folder was created: %v", err)
	}
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

// TestAFolderThatCannotBeWrittenIsNamed: what is not there cannot be owned by somebody else.
func TestAFolderThatCannotBeWrittenIsNamed(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a folder has no such mode there")
	}
	shut := filepath.Join(t.TempDir(), "shut")
	if err := os.Mkdir(shut, 0o500); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(shut, 0o700) })
	denied := &fs.PathError{Op: "open", Path: "p", Err: syscall.EACCES}
	faults := map[string]*Fault{
		"its lock":         stateOf(t, shut).lockFault(denied),
		"a state below it": fileFault(filepath.Join(shut, "new", "state"), "state folder", denied),
	}
	if os.Getuid() > 0 {
		faults["locked"] = wantFault(t, stateOf(t, shut).Lock(), "file_forbidden")
		faults["made"] = wantFault(t, stateOf(t, filepath.Join(shut, "state")).Lock(), "file_forbidden")
	}
	for name, f := range faults {
		if f.Code != "file_forbidden" || !strings.Contains(f.Text, "may not write in the folder "+shut+" (its mode is 0500)") ||
			!strings.Contains(f.Fix, "chmod u+rwx "+quote(shut)) || !strings.Contains(f.Fix, "--state DIR") {
			t.Errorf("%s: %s | %s", name, f.Text, f.Fix)
		}
	}
	there := filepath.Join(shut, "..", "there")
	if err := os.WriteFile(there, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if f := fileFault(there, "file", denied); !strings.Contains(f.Text, "no access to the file "+there) {
		t.Errorf("one that is there: %s", f.Text)
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
	for serial := 1; serial <= 2; serial++ {
		if err := os.Remove(filepath.Join(folder, onionName(serial))); err != nil {
			t.Fatal(err)
		}
	}
	_, err = s.Keys()
	wantFault(t, err, "key_missing")
	if err := os.Remove(identity); err != nil {
		t.Fatal(err)
	}
	_, err = s.Keys()
	if f := wantFault(t, err, "key_missing"); !strings.Contains(f.Fix, "backup") || !strings.Contains(f.Fix, "relay init") {
		t.Errorf("fix %q", f.Fix)
	}
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
		{&fs.PathError{Op: "open", Path: "p", Err: syscall.ENOTDIR}, "file_missing"},
		{store.ErrSize, "file_too_large"},
	} {
		f := wantFault(t, fileFault("/p", "file", c.err), c.code)
		if !strings.Contains(f.Text, "/p") {
			t.Errorf("%s does not name the file", c.code)
		}
	}
}

// TestFoldersInPlaceOfFilesAreNamed: each command that reads a file says so.
func TestFoldersInPlaceOfFilesAreNamed(t *testing.T) {
	dir := t.TempDir()
	for what, err := range map[string]error{
		"genesis": errOf(loadGenesis(dir)), "policy": (policyFault(dir)),
		"founder": errOf(NewNetwork("demo", []string{dir}, true, time.Now(), filepath.Join(dir, "out"))),
	} {
		if f := wantFault(t, err, "file_is_folder"); !strings.Contains(f.Text, "is a folder") {
			t.Errorf("%s: %q", what, f.Text)
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
