// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestTheNextTestnetRemovesWhatAKilledOneLeft: and nothing that lives, is young or is not
// a testnet's.
func TestTheNextTestnetRemovesWhatAKilledOneLeft(t *testing.T) {
	parent, err := os.MkdirTemp("", "chive")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(parent)
	place := func(name string, dead bool, age time.Duration) string {
		folder := filepath.Join(parent, name)
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(folder, controlFile), Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		if dead {
			l.SetUnlinkOnClose(false)
			_ = l.Close()
		} else {
			t.Cleanup(func() { _ = l.Close() })
		}
		old := time.Now().Add(-age)
		if err := os.Chtimes(folder, old, old); err != nil {
			t.Fatal(err)
		}
		return folder
	}
	killed := place("testnet-1234", true, time.Hour)
	kept := []string{
		place("testnet-5678", false, time.Hour), place("testnet-9", true, 0), place("testnet-mine", true, time.Hour), place("other", true, time.Hour),
	}
	more := place("testnet-77", true, time.Hour)
	if err := os.WriteFile(filepath.Join(more, "notes"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	made, err := TestnetFolder(parent)
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range append(kept, made, more) {
		if _, err := os.Stat(folder); err != nil {
			t.Errorf("%s is gone", filepath.Base(folder))
		}
	}
	if _, err := os.Stat(killed); err == nil {
		t.Error("the folder of a killed testnet stays")
	}
}
