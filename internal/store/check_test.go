// SPDX-License-Identifier: BSD-3-Clause

package store

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// TestACheckFindsDamageAndChangesNothing: OpenTable is who puts it right.
func TestACheckFindsDamageAndChangesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "directory")
	table := openTable(t, path)
	write(t, table, set("self", "memory", "a promise"))
	if _, err := CheckTable(path); !errors.Is(err, ErrTableHeld) {
		t.Errorf("while it is open: %v", err)
	}
	if err := table.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	spoiled := bytes.Replace(whole, []byte("a promise"), []byte("no promise")[:9], 1)
	for name, c := range map[string]struct {
		data    []byte
		damaged bool
	}{
		"good": {whole, false}, "empty": {nil, true}, "cut": {whole[:os.Getpagesize()*2], true},
		"no table": {bytes.Repeat([]byte("x"), len(whole)), true}, "a value": {spoiled, true},
	} {
		put0600(t, path, c.data)
		if damaged, err := CheckTable(path); damaged != c.damaged || err != nil {
			t.Errorf("%s: %v, %v", name, damaged, err)
		}
		if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, c.data) {
			t.Errorf("%s: it was changed, or %v", name, err)
		}
		if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 2 { // and its counter
			t.Errorf("%s: %v, %v", name, entries, err)
		}
	}
	if _, err := CheckTable(path + "-not"); !errors.Is(err, ErrTable) {
		t.Errorf("one that is not there: %v", err)
	}
}
