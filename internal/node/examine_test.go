// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"chive/internal/store"
)

// TestExamineStateFindsWhatAStartWouldRefuse looks at folders as they should not be.
//
// Spec: product CLI-11.
func TestExamineStateFindsWhatAStartWouldRefuse(t *testing.T) {
	if e := ExamineState(filepath.Join(t.TempDir(), "none")); e.There || len(e.Faults) > 0 {
		t.Errorf("a folder that is not there: %+v", e)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if e := ExamineState(file); len(e.Faults) != 1 || e.Faults[0].Code != "state_not_folder" {
		t.Errorf("a file: %+v", e)
	}

	dir := filepath.Join(t.TempDir(), "state")
	s, err := OpenState(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.folder(clientFolder); err != nil {
		t.Fatal(err)
	}
	if err := store.WriteFile(filepath.Join(dir, filepath.FromSlash(guardsFile)), []byte("x")); err != nil {
		t.Fatal(err)
	}
	if e := ExamineState(dir); !e.There || e.InUse || e.Newest.IsZero() || len(e.Faults) > 0 {
		t.Errorf("a good folder: %+v", e)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("looking left %v, %v", entries, err)
	}
	if err := s.Lock(); err != nil {
		t.Fatal(err)
	}
	if e := ExamineState(dir); !e.InUse || e.Holder != os.Getpid() {
		t.Errorf("a folder in use: %+v", e)
	}
	s.Close()
	if e := ExamineState(dir); e.InUse {
		t.Errorf("a folder in use no more: %+v", e)
	}

	if err := os.MkdirAll(filepath.Join(dir, "relay", "keys"), 0o700); err != nil {
		t.Fatal(err)
	}
	if e := ExamineState(dir); !e.Keys || len(e.Faults) != 1 {
		t.Errorf("a folder of keys without keys: %+v", e)
	}
	if runtime.GOOS == "windows" {
		return
	}
	exposed := filepath.Join(dir, clientFolder)
	if err := os.Chmod(exposed, 0o755); err != nil {
		t.Fatal(err)
	}
	e := ExamineState(dir)
	if len(e.Faults) != 1 || e.Faults[0].Code != "permissions" || !strings.Contains(e.Faults[0].Fix, "chmod 700 "+exposed) {
		t.Errorf("a folder that others can look into: %+v", e)
	}
}
