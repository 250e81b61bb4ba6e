// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"bytes"
	"crypto/rand"
	"os"
	"testing"
	"time"
)

const (
	testLife    = 28 * 24 * time.Hour
	testOverlap = 7 * 24 * time.Hour
)

// TestOnionKeysRotate walks a relay through three months (KEY-3).
func TestOnionKeysRotate(t *testing.T) {
	s := stateOf(t, t.TempDir()+"/state")
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	if err := s.createKeys(rand.Reader, start); err != nil {
		t.Fatal(err)
	}
	first := loaded(t, s)
	named := mustPublic(t, first.onion[0].secretKey) // the table never changes here
	for _, step := range []struct {
		day  int
		want []int // serials, the newest first
	}{
		{0, []int{1}},
		{27, []int{1}},
		{28, []int{2, 1}},
		{34, []int{2, 1}},
		{35, []int{2, 1}}, // the overlap is over, but the table names it
		{56, []int{3, 2, 1}},
		{62, []int{3, 2, 1}},
		{63, []int{3, 1}},
		{84, []int{4, 3, 1}},
		{85, []int{4, 3, 1}},
	} {
		k := loaded(t, s)
		if err := k.rotateOnion(rand.Reader, start.AddDate(0, 0, step.day), testLife, testOverlap, named); err != nil {
			t.Fatal(err)
		}
		onDisk := loaded(t, s)
		for _, keys := range []onionKeys{k.onion, onDisk.onion} {
			var got []int
			for _, o := range keys {
				got = append(got, o.serial)
			}
			if len(got) != len(step.want) {
				t.Fatalf("day %d: keys %v, want %v", step.day, got, step.want)
			}
			for i := range got {
				if got[i] != step.want[i] {
					t.Fatalf("day %d: keys %v, want %v", step.day, got, step.want)
				}
			}
		}
	}
}

// TestAKeyThatTheTableNoLongerNamesGoes: forward secrecy needs the erasure.
func TestAKeyThatTheTableNoLongerNamesGoes(t *testing.T) {
	s := stateOf(t, t.TempDir()+"/state")
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	if err := s.createKeys(rand.Reader, start); err != nil {
		t.Fatal(err)
	}
	k := loaded(t, s)
	old := mustPublic(t, k.onion[0].secretKey)
	if err := k.rotateOnion(rand.Reader, start.Add(testLife), testLife, testOverlap, old); err != nil {
		t.Fatal(err)
	}
	successor := mustPublic(t, k.onion[0].secretKey)
	path := s.path(keysFolder) + "/" + onionName(1)
	if err := k.rotateOnion(rand.Reader, start.Add(testLife+testOverlap), testLife, testOverlap, successor); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) || len(k.onion) != 1 {
		t.Errorf("the old key is kept: %v, %d keys", err, len(k.onion))
	}
}

// TestAClockBehindMakesNoKeys: a key made in the future is not due.
func TestAClockBehindMakesNoKeys(t *testing.T) {
	k := testKey(useOnion, 0)
	if (onionKeys{{k, 1}}).due(k.created.Add(-time.Hour), testLife) {
		t.Error("a key that is younger than the clock is due")
	}
}

func loaded(t *testing.T, s *State) *relayKeys {
	t.Helper()
	k, err := s.loadKeys()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func mustPublic(t *testing.T, k *secretKey) [32]byte {
	t.Helper()
	p, err := k.public()
	if err != nil || bytes.Equal(p[:], make([]byte, 32)) {
		t.Fatalf("no public key: %v", err)
	}
	return p
}
