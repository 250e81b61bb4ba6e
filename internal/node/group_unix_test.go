// SPDX-License-Identifier: BSD-3-Clause

//go:build unix

package node

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestASocketIsItsOwnersFromTheFirstMoment: whatever the process was started with.
func TestASocketIsItsOwnersFromTheFirstMoment(t *testing.T) {
	before := syscall.Umask(0)
	defer syscall.Umask(before)
	path := filepath.Join(t.TempDir(), "s")
	l, err := bindUnix(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o077 != 0 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if now := syscall.Umask(0); now != 0 {
		t.Errorf("the umask is %o afterwards", now)
	}
}
