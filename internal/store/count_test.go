// SPDX-License-Identifier: BSD-3-Clause

package store

import (
	"os"
	"path/filepath"
	"testing"
)

// counted is a closed table of three transactions, with copies of its file after each.
func counted(t *testing.T) (path string, copies [][]byte) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "directory")
	for _, value := range []string{"1", "2", "3"} {
		table := openTable(t, path)
		if table.Old() || table.Damaged() {
			t.Fatal("a good table counts as old")
		}
		write(t, table, set("self", "memory", value))
		if err := table.Close(); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		copies = append(copies, data)
	}
	return path, copies
}

func put0600(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestAnOldCopyOfATableIsNoticed when it was put back, until something could be noted
// about it, and what it holds is there.
func TestAnOldCopyOfATableIsNoticed(t *testing.T) {
	path, copies := counted(t)
	put0600(t, path, copies[1])
	for range 2 { // over a restart
		table := openTable(t, path)
		if !table.Old() || !table.Damaged() || table.MovedTo() != "" {
			t.Fatalf("old %v, damaged %v, moved to %q", table.Old(), table.Damaged(), table.MovedTo())
		}
		want(t, table, "self", "memory", "2")
		if err := table.Close(); err != nil {
			t.Fatal(err)
		}
	}
	table := openTable(t, path)
	write(t, table, set("self", "lost", "until then"))
	if table.Damaged() || !table.Old() {
		t.Error("after a Put")
	}
	if err := table.Close(); err != nil {
		t.Fatal(err)
	}
	table = openTable(t, path)
	if table.Old() || table.Damaged() {
		t.Error("old again")
	}
	want(t, table, "self", "memory", "2", "lost", "until then")
	if err := table.Close(); err != nil {
		t.Fatal(err)
	}
	put0600(t, path, copies[2]) // newer than the copy, but not than what came of it
	if table = openTable(t, path); !table.Old() {
		t.Error("another copy is not noticed")
	}
}

// TestACounterThatIsBehindOrCannotBeReadSaysNothing: a kill between the two leaves it
// behind, and tables of former versions have none.
func TestACounterThatIsBehindOrCannotBeReadSaysNothing(t *testing.T) {
	for name, spoil := range map[string]func(path string) error{
		"missing":       os.Remove,
		"empty":         func(path string) error { return os.WriteFile(path, nil, 0o600) },
		"cut":           func(path string) error { return os.Truncate(path, countSize-1) },
		"long":          func(path string) error { return os.Truncate(path, countSize+1) },
		"zeros":         func(path string) error { return os.WriteFile(path, make([]byte, countSize), 0o600) },
		"a folder":      func(path string) error { _ = os.Remove(path); return os.Mkdir(path, 0o700) },
		"of the future": func(path string) error { return os.WriteFile(path, []byte("99999999999"), 0o600) },
	} {
		path, _ := counted(t)
		if err := spoil(path + CountSuffix); err != nil {
			t.Fatal(err)
		}
		table := openTable(t, path)
		if table.Old() || table.Damaged() {
			t.Errorf("%s: the table counts as old", name)
		}
		write(t, table, set("self", "memory", "4"))
		want(t, table, "self", "memory", "4")
	}
	path, copies := counted(t)
	held, err := os.ReadFile(path + CountSuffix)
	if err != nil {
		t.Fatal(err)
	}
	table := openTable(t, path)
	write(t, table, set("self", "memory", "4"))
	if err := table.Close(); err != nil {
		t.Fatal(err)
	}
	put0600(t, path+CountSuffix, held) // as a kill leaves it
	if table = openTable(t, path); table.Old() {
		t.Error("a table that is ahead of its counter counts as old")
	}
	write(t, table, set("self", "memory", "5"))
	if err := table.Close(); err != nil {
		t.Fatal(err)
	}
	put0600(t, path, copies[2])
	if table = openTable(t, path); !table.Old() {
		t.Error("the counter did not catch up")
	}
}

// TestATableThatWasRemovedIsNotAnOldOne: whoever keeps it knows whether there was one.
func TestATableThatWasRemovedIsNotAnOldOne(t *testing.T) {
	path, _ := counted(t)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	table := openTable(t, path)
	if table.Old() || table.Damaged() {
		t.Error("an empty table counts as an old one")
	}
	write(t, table, set("self", "memory", "new"))
	if err := table.Close(); err != nil {
		t.Fatal(err)
	}
	if table = openTable(t, path); table.Old() {
		t.Error("and later")
	}
	if err := table.Close(); err != nil {
		t.Fatal(err)
	}
	put0600(t, path, []byte("spoiled"))
	if table = openTable(t, path); table.Old() || !table.Damaged() || table.MovedTo() == "" {
		t.Error("a damaged one counts as an old one")
	}
}
