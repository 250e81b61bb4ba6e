// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"chive/internal/agefile"
	"chive/internal/store"
)

var testPassphrase = []byte("correct horse battery")

// TestABackupBringsARelayBack: its keys and what it declares, and not its memory.
func TestABackupBringsARelayBack(t *testing.T) {
	w := found(t, 3, nil)
	w.sign(t)
	doc, err := loadGenesis(w.doc)
	if err != nil {
		t.Fatal(err)
	}
	s := w.states[0]
	l, err := s.openLedger(doc) // it runs, and remembers
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(w.dir, "backup.age")
	made, err := s.writeBackup(file, testPassphrase, testStart, 1) // of a relay that has not begun
	if err != nil || made.Keys != 6 {
		t.Fatalf("%+v, %v", made, err)
	}
	if err := l.begin(); err != nil {
		t.Fatal(err)
	}
	if err := l.Put([]store.Write{{Bucket: "self", Key: []byte("signed"), Value: []byte("7")}}); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	wantFault(t, errOf(s.writeBackup(file, testPassphrase, testStart, 1)), "file_exists")
	if info, err := os.Stat(file); err != nil || info.Mode().Perm()&0o077 != 0 {
		t.Errorf("others read the backup: %v, %v", info.Mode(), err)
	}

	again := stateOf(t, filepath.Join(w.dir, "again"))
	back, err := again.ReadBackup(file, testPassphrase, time.Now())
	if err != nil || back.Identity != made.Identity || back.Keys != made.Keys || !back.Made.Equal(testStart) || !back.Ran {
		t.Fatalf("%+v, %v", back, err)
	}
	was, is := filesOf(t, s), filesOf(t, again)
	for path, data := range was {
		name := strings.TrimPrefix(path, s.Dir())
		_, there := is[again.Dir()+name]
		switch {
		case strings.HasSuffix(name, filepath.Base(tableFile)):
			if there {
				t.Error("the memory came back")
			}
		case strings.HasPrefix(name, "/relay/keys/") || strings.HasSuffix(name, "about"):
			if !bytes.Equal(is[again.Dir()+name], data) {
				t.Errorf("%s is not what it was", name)
			}
		}
	}
	// The backup is from before the first run, so that no mark says that it ran.
	if mark, err := again.relayMark(); err != nil || mark != wordSigned {
		t.Fatalf("mark %q, %v", mark, err)
	}
	for range 2 { // a kill before anything was stored changes nothing
		l, err := again.openLedger(doc)
		if err != nil {
			t.Fatal(err)
		}
		if !l.Damaged() || !strings.Contains(l.note, "restored") {
			t.Errorf("a restored relay would sign again: damaged %v, %q", l.Damaged(), l.note)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(again.path(tableFile)); err != nil {
			t.Fatal(err)
		}
	}
	if l, err = again.openLedger(doc); err != nil {
		t.Fatal(err)
	}
	if err := l.Put([]store.Write{{Bucket: "self", Key: []byte("lost"), Value: []byte("9")}}); err != nil || l.Damaged() {
		t.Errorf("it is lost still, though what follows is kept: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if l, err = again.openLedger(doc); err != nil || l.Damaged() {
		t.Errorf("it loses its seats with every start: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestARestoredNewcomerAbstains: a backup of a relay of no network has no mark at all.
func TestARestoredNewcomerAbstains(t *testing.T) {
	w := found(t, 3, nil)
	w.sign(t)
	doc, err := loadGenesis(w.doc)
	if err != nil {
		t.Fatal(err)
	}
	s, _ := ringOf(t)
	file := filepath.Join(t.TempDir(), "backup.age")
	if _, err := s.writeBackup(file, testPassphrase, testStart, 1); err != nil {
		t.Fatal(err)
	}
	again := stateOf(t, filepath.Join(t.TempDir(), "again"))
	if back, err := again.ReadBackup(file, testPassphrase, time.Now()); err != nil || back.Ran {
		t.Fatalf("%+v, %v", back, err)
	}
	l, err := again.openLedger(doc)
	if err != nil || !l.Damaged() {
		t.Errorf("it would sign again: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := again.checkRelayNetwork(doc, w.doc); err != nil {
		t.Errorf("it is bound to another network: %v", err)
	}
}

// TestBackupMistakes: what is refused leaves nothing behind.
func TestBackupMistakes(t *testing.T) {
	dir := t.TempDir()
	s, _ := ringOf(t)
	file := filepath.Join(dir, "backup.age")
	wantFault(t, errOf(s.WriteBackup(file, []byte("short"), testStart)), "passphrase_short")
	none := stateOf(t, filepath.Join(dir, "none"))
	wantFault(t, errOf(none.WriteBackup(file, testPassphrase, testStart)), "keys_missing")
	if _, err := os.Stat(file); err == nil {
		t.Fatal("a refused backup was written")
	}
	if _, err := s.writeBackup(file, testPassphrase, testStart, 1); err != nil {
		t.Fatal(err)
	}
	before := filesOf(t, s)
	wantFault(t, errOf(s.ReadBackup(file, testPassphrase, testStart)), "keys_there")
	if !sameFiles(before, filesOf(t, s)) {
		t.Error("keys were overwritten")
	}
	wantFault(t, errOf(none.ReadBackup(file, []byte("another one"), testStart)), "passphrase_wrong")
	wantFault(t, errOf(none.ReadBackup(filepath.Join(dir, "nothing"), testPassphrase, testStart)), "file_missing")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, data []byte) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	data[len(data)-1] ^= 1
	wantFault(t, errOf(none.ReadBackup(write("damaged", data), testPassphrase, testStart)), "backup_damaged")
	wantFault(t, errOf(none.ReadBackup(write("text", []byte("hello")), testPassphrase, testStart)), "backup_unknown")
	note := packed{backupNote, []byte(backupFirst + "\n2026-01-01T00:00:00Z\n")}
	keys, err := s.loadKeys()
	if err != nil {
		t.Fatal(err)
	}
	whole, err := keys.packed()
	if err != nil {
		t.Fatal(err)
	}
	for name, files := range map[string][]packed{
		"empty":           nil,
		"no note":         whole,
		"no keys":         {note},
		"no identity":     append([]packed{note}, whole[1:]...),
		"no onion key":    append([]packed{note}, whole[:2]...),
		"the memory":      append(append([]packed{note}, whole...), packed{tableFile, []byte("x")}),
		"outside":         append(append([]packed{note}, whole...), packed{"../../etc/passwd", []byte("x")}),
		"outside by name": append(append([]packed{note}, whole...), packed{keysFolder + "/../../x.key", []byte("x")}),
		"no such key":     append(append([]packed{note}, whole...), packed{keysFolder + "/" + committeeName(1), whole[0].data}),
		"twice":           append(append([]packed{note}, whole...), whole[0]),
		"another's key":   {note, {whole[0].name, whole[1].data}, whole[1], whole[2]},
	} {
		archive, err := pack(files, testStart)
		if err != nil {
			t.Fatal(err)
		}
		sealed, err := agefile.Seal(testPassphrase, archive, 1)
		if err != nil {
			t.Fatal(err)
		}
		wantFault(t, errOf(none.ReadBackup(write("crafted", sealed), testPassphrase, testStart)), "backup_unknown")
		if _, err := os.Stat(none.Dir()); err == nil {
			t.Fatalf("%s: something was left behind", name)
		}
	}
	memory := stateOf(t, filepath.Join(dir, "memory"))
	if _, err := memory.folder("relay"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(memory.path(tableFile), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	wantFault(t, errOf(memory.ReadBackup(file, testPassphrase, testStart)), "memory_there")
}

// TestAStorePutBesideARestoredRelayIsNotItsMemory: keys come back from a backup, and
// somebody copies an old directory.db in before the first start.
func TestAStorePutBesideARestoredRelayIsNotItsMemory(t *testing.T) {
	w := found(t, 3, nil)
	w.sign(t)
	doc, err := loadGenesis(w.doc)
	if err != nil {
		t.Fatal(err)
	}
	put := func(s *State, first bool) {
		t.Helper()
		l, err := s.openLedger(doc)
		if err != nil {
			t.Fatal(err)
		}
		if lost := l.note != ""; lost != first {
			t.Errorf("lost %v, note %q", lost, l.note)
		}
		if err := l.begin(); err != nil {
			t.Fatal(err)
		}
		if err := l.Put([]store.Write{{Bucket: "self", Key: []byte("memory"), Value: []byte("7")}}); err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	put(w.states[0], false)
	old, err := os.ReadFile(w.states[0].path(tableFile))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(w.dir, "backup.age")
	if _, err := w.states[0].writeBackup(file, testPassphrase, testStart, 1); err != nil {
		t.Fatal(err)
	}
	again := stateOf(t, filepath.Join(w.dir, "again"))
	if _, err := again.ReadBackup(file, testPassphrase, testStart); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(again.path(tableFile), old, 0o600); err != nil {
		t.Fatal(err)
	}
	put(again, true)
	put(again, false) // started since, with a memory of its own
}
