// SPDX-License-Identifier: BSD-3-Clause

package testnet

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"chive/internal/control"
	"chive/internal/store"
	"chive/internal/testutil"
)

func TestProcessLogsAreBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l, err := openLog(path)
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	l.said = func(line string) { said = append(said, line) }
	piece := append(bytes.Repeat([]byte("x"), 10_000), '\n')
	for range 5 * logSize / len(piece) {
		if n, err := l.Write(piece); n != len(piece) || err != nil {
			t.Fatal(n, err)
		}
	}
	_, _ = l.Write(bytes.Repeat([]byte("y"), 3*logSize))
	_, _ = l.Write([]byte("\nthe "))
	_, _ = l.Write([]byte("last\n\n"))
	l.close()
	var size int64
	all, _ := filepath.Glob(path + "*")
	for _, name := range all {
		info, err := os.Stat(name)
		if err != nil || info.Size() > logSize || info.Mode().Perm() != store.FileMode {
			t.Error(name, info, err)
		}
		size += info.Size()
	}
	if len(all) != 2 || size < logSize {
		t.Errorf("%v hold %d bytes", all, size)
	}
	if l.last != "the last" || said[len(said)-1] != "the last" || slices.ContainsFunc(said, func(s string) bool { return len(s) > maxLineSize }) {
		t.Errorf("said %d lines, the last %q", len(said), l.last)
	}
	again, err := openLog(path)
	if err != nil || again.size == 0 {
		t.Fatal("a log that is opened again does not know its size", err)
	}
	again.close()
}

func TestProcessesDoNotSeeTheUsersConfiguration(t *testing.T) {
	got := ProcessEnv([]string{"PATH=/bin", "CHIVE_RELAY_RATE=1 MiB/s", "NOTIFY_SOCKET=/x", "LISTEN_FDS=1", "XDG_CONFIG_HOME=/other/me", "HOME=/other/me"}, "/lab")
	if want := []string{"PATH=/bin", "HOME=/other/me", "XDG_CONFIG_HOME=/lab/no-configuration"}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

// TestAProcessThatWasJustKilledHasEnded: its kill may be seen before its end.
func TestAProcessThatWasJustKilledHasEnded(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		n := &processNode{}
		if !n.ends(t.Context()) {
			t.Error("there was none")
		}
		n.process = &process{done: make(chan struct{})}
		began := time.Now()
		if n.ends(t.Context()) || time.Since(began) != endingTime {
			t.Errorf("one that runs has ended, after %v", time.Since(began))
		}
		time.AfterFunc(endingTime/2, func() { close(n.process.done) })
		if !n.ends(t.Context()) {
			t.Error("it was killed half a second ago")
		}
	})
}

func TestHowAProcessHasEnded(t *testing.T) {
	code, signal := exec.Command("sh", "-c", "exit 3").Run(), exec.Command("sh", "-c", "kill -9 $$").Run()
	for _, c := range []struct {
		err  error
		want string
	}{
		{nil, "in order"}, {errors.New("other"), "it has ended"}, {code, "exit code 3: why"}, {signal, "by a signal (killed)"},
	} {
		if got := how(c.err, "why"); !strings.HasSuffix(got, c.want) {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

func TestCommandsToPasteAreWordsOfAShell(t *testing.T) {
	for _, word := range []string{"", "/tmp/a-b", "it's here", "$HOME", "a;b", "ü", "x\ny"} {
		out, err := exec.Command("sh", "-c", "printf %s "+quoted(word)).Output()
		if err != nil || string(out) != word {
			t.Errorf("%q came as %q, %v", word, out, err)
		}
	}
}

func TestTheListSaysWhichRelaysAreMarked(t *testing.T) {
	out := &control.Testnet{Nodes: []control.TestnetNode{{RID: "aa"}, {RID: "bb"}, {RID: "cc"}, {Role: "client"}}}
	mark(out, &control.Relays{Epoch: 7, Relays: []control.ListedRelay{{RID: "aa", Running: true}, {RID: "bb"}}})
	for i, want := range []struct{ listed, marked bool }{{true, false}, {true, true}, {false, false}, {false, false}} {
		if n := out.Nodes[i]; n.Listed != want.listed || n.Marked != want.marked {
			t.Errorf("node %d: %+v", i, n)
		}
	}
	if out.ListEpoch != 7 {
		t.Errorf("epoch %d", out.ListEpoch)
	}
}

// TestOnlyFoldersOfKilledTestnetsAreRemoved: not those of others, of testnets that run,
// or that are young.
func TestOnlyFoldersOfKilledTestnetsAreRemoved(t *testing.T) {
	parent := t.TempDir()
	place := func(name string, said bool, age time.Duration) string {
		folder := filepath.Join(parent, name)
		if err := os.Mkdir(folder, store.FolderMode); err != nil {
			t.Fatal(err)
		}
		if said {
			if _, err := WritePlace(folder, "unix:/run/x"); err != nil {
				t.Fatal(err)
			}
		}
		old := time.Now().Add(-age)
		if err := os.Chtimes(folder, old, old); err != nil {
			t.Fatal(err)
		}
		return folder
	}
	killed, runs := place(folderPrefix+"1", true, time.Hour), place(folderPrefix+"2", true, time.Hour)
	young, silent, other := place(folderPrefix+"3", true, 0), place(folderPrefix+"4", false, time.Hour), place("other", true, time.Hour)
	lock, err := store.TakeLock(runs)
	if err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(runs, old, old); err != nil {
		t.Fatal(err)
	}
	removeDead(parent)
	_ = lock.Release()
	for _, folder := range []string{runs, young, silent, other} {
		if !fileThere(folder) {
			t.Errorf("%s is gone", filepath.Base(folder))
		}
	}
	if fileThere(killed) {
		t.Error("what a killed testnet left stays")
	}
}
