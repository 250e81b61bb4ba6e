// SPDX-License-Identifier: BSD-3-Clause

//go:build unix

package node

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestAStateFolderLeadsToItsSocket: who knows the folder alone finds the daemon, and nobody
// who is not its owner can lead it elsewhere.
func TestAStateFolderLeadsToItsSocket(t *testing.T) {
	dir := t.TempDir()
	folder, path := filepath.Join(dir, "state"), filepath.Join(dir, "s")
	usual, err := ControlPath("", filepath.Join(dir, "none"))
	if err != nil {
		t.Fatal(err)
	}
	state, err := OpenState(folder)
	if err != nil || state.Lock() != nil {
		t.Fatal(err)
	}
	at := ControlSocket{Path: path, Fixed: true}
	l, err := OpenControl(at)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	state.sayControl(at)
	leads := func(why string, want bool) {
		t.Helper()
		if got := usual.Or(folder); (got.Path == path) != want || !want && got != usual {
			t.Errorf("%s: %+v", why, got)
		}
	}
	leads("it runs", true)
	if got := (ControlSocket{Path: usual.Path, Fixed: true}).Or(folder); got.Path != usual.Path {
		t.Errorf("a flag named a socket, and %s is asked", got.Path)
	}
	if got := usual.Or(""); got != usual {
		t.Errorf("no folder: %+v", got)
	}
	for _, c := range []struct {
		what       string
		path       string
		bad, right os.FileMode
	}{
		{"the socket is everybody's", path, 0o666, 0o600},
		{"the folder is everybody's", folder, 0o777, 0o700},
	} {
		if os.Chmod(c.path, c.bad) != nil {
			t.Fatal(c.what)
		}
		leads(c.what, false)
		if os.Chmod(c.path, c.right) != nil {
			t.Fatal(c.what)
		}
		leads("put right", true)
	}
	place := filepath.Join(folder, controlPlaceFile)
	said, err := os.ReadFile(place)
	if err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 { // a socket that another user has
		if os.Chown(path, 65534, -1) != nil {
			t.Fatal("chown")
		}
		leads("another user's socket", false)
		_ = os.Chown(path, 0, -1)
	}
	state.Close()
	leads("it has ended", false)
	if _, err := os.Lstat(place); err == nil {
		t.Error("what it said is still there")
	}
	if os.WriteFile(place, said, 0o600) != nil {
		t.Fatal("no file")
	}
	leads("it was killed, and another has the socket", false)
	again, err := OpenState(folder)
	if err != nil || again.Lock() != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if _, err := os.Lstat(place); err == nil {
		t.Error("what a killed one said is there after the next start")
	}
	again.sayControl(at)
	leads("it runs again", true)
	_, where, _ := strings.Cut(string(said), " ")
	for _, other := range []string{"1 " + where, where, "0 " + where} {
		if os.WriteFile(place, []byte(other), 0o600) != nil {
			t.Fatal("no file")
		}
		leads("another process wrote "+other, false)
	}
	if os.WriteFile(place, said, 0o600) != nil {
		t.Fatal("no file")
	}
	leads("the holder wrote it", true)
	if os.Remove(place) != nil {
		t.Fatal("no file")
	}
	again.sayControl(ControlSocket{Path: "/" + strings.Repeat("x", maxSocketPath)})
	if _, err := os.Lstat(place); err == nil {
		t.Error("a path that no socket can have is said")
	}
	beside, err := ControlPath("", folder)
	if err != nil {
		t.Fatal(err)
	}
	again.sayControl(beside)
	leads("its socket is in the folder", false)
}
