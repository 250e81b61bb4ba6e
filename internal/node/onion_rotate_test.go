// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"crypto/rand"
	"encoding/hex"
	"path/filepath"
	"testing"
	"time"
)

// TestTheOnionKeyIsReplacedBeforeItsTime (KEY-3): its successor is used, the key of before
// is answered to, and there is a new successor.
func TestTheOnionKeyIsReplacedBeforeItsTime(t *testing.T) {
	s := stateOf(t, filepath.Join(t.TempDir(), "relay"))
	wantFault(t, errOf(s.RotateOnion(rand.Reader, time.Now())), "keys_missing")
	if _, err := s.Init(InitOptions{Declaring: declaring("127.0.0.1:9240")}, rand.Reader, time.Now()); err != nil {
		t.Fatal(err)
	}
	began := time.Now().Add(-time.Hour)
	ring, err := s.openRing(rand.Reader, began, 28*24*time.Hour, 7*24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	was, err := ring.Onion(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	ring.wipe()
	now := time.Now().Add(time.Minute)
	done, err := s.RotateOnion(rand.Reader, now)
	if err != nil {
		t.Fatal(err)
	}
	if ring, err = s.openRing(rand.Reader, began, 28*24*time.Hour, 7*24*time.Hour); err != nil {
		t.Fatal(err)
	}
	defer ring.wipe()
	is, err := ring.Onion(now.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if is.Current.Public() != was.Next.Public() || len(is.Previous) != 1 || is.Previous[0].Public() != was.Current.Public() || is.Next.Public() == was.Next.Public() {
		t.Error("it is not the successor that is used, or the key of before is not answered to")
	}
	current, before := is.Current.Public(), was.Current.Public()
	if done.Current != hex.EncodeToString(current[:]) || done.Before != hex.EncodeToString(before[:]) {
		t.Errorf("%+v", done)
	}
	wantFault(t, errOf(s.RotateOnion(rand.Reader, now)), "onion_rotated")
	// The old one goes as any other does, and then it can be said again.
	if is, err = ring.Onion(now.Add(8 * 24 * time.Hour)); err != nil || len(is.Previous) != 0 {
		t.Errorf("%d keys of before: %v", len(is.Previous), err)
	}
	if _, err := s.RotateOnion(rand.Reader, now); err != nil {
		t.Error(err)
	}
}
