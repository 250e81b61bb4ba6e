// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"chive/internal/store"
)

// TestAFolderWithoutAStoreSaysWhy: a founder's before and after it signed, one that relay
// init made, and one that has run and lost it; each with its own fix, to the doctor and to
// who needs its list.
func TestAFolderWithoutAStoreSaysWhy(t *testing.T) {
	w := found(t, 2, func(int) FounderOptions {
		return FounderOptions{Declaring: Declaring{Addresses: []string{freePort(t)}}}
	})
	unsigned := ExamineState(w.states[0].Dir())
	w.sign(t)
	doc, err := loadGenesis(w.doc)
	if err != nil {
		t.Fatal(err)
	}
	made, _ := newcomer(t, freePort(t))
	lost := w.states[1]
	if err := lost.markRelay(doc, wordRan); err != nil {
		t.Fatal(err)
	}
	whole := stateOf(t, filepath.Join(t.TempDir(), "whole"))
	for _, c := range []struct {
		name            string
		e               Examined
		code, text, fix string
	}{
		{"a founder that has not signed", unsigned, "founder_unrun", "was made to found a network", "chive network sign"},
		{"a founder that has", ExamineState(w.states[0].Dir()), "founder_unrun", "has signed a network's document and has never run", "chive relay run"},
		{"one of relay init", ExamineState(made.Dir()), "relay_unrun", "(chive relay init) and has never run", "chive relay run"},
		{"one that has run", ExamineState(lost.Dir()), "memory_lost", "has run, and its directory's store", "Never put an old copy back"},
		{"no relay's", ExamineState(whole.Dir()), "", "", ""},
	} {
		if len(c.e.Faults) > 0 || c.e.Storeless != c.code || !strings.Contains(c.e.StorelessText, c.text) || !strings.Contains(c.e.StorelessFix, c.fix) {
			t.Errorf("%s: %+v", c.name, c.e)
		}
	}
	_, err = lost.StoredAnchor(w.doc, filepath.Join(w.dir, "a"), time.Now())
	wantFault(t, err, "no_anchor")
	if !strings.Contains(err.Error(), "is gone") {
		t.Error(err)
	}
	lost.Close()
	made.Close()
	_, _, err = Succeeding{From: made.Dir(), Genesis: w.doc}.read()
	wantFault(t, err, "no_list")
	if !strings.Contains(err.Error(), "has never run") {
		t.Error(err)
	}
	if err := os.WriteFile(lost.path(tableFile), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if l, err := lost.storeless(); err != nil || l.code != "" {
		t.Errorf("one with a store: %+v, %v", l, err)
	}
	if e := ExamineState(lost.Dir()); e.Storeless != "memory_damaged" || !strings.Contains(e.StorelessFix, "moves the file aside") || len(e.Faults) > 0 {
		t.Errorf("one whose store is damaged: %+v", e)
	}
	if err := os.Remove(lost.path(tableFile)); err != nil {
		t.Fatal(err)
	}
	table, err := store.OpenTable(lost.path(tableFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := table.Close(); err != nil {
		t.Fatal(err)
	}
	if e := ExamineState(lost.Dir()); e.Storeless != "" || len(e.Faults) > 0 {
		t.Errorf("one whose store is whole: %+v", e)
	}
}
