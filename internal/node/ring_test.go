// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"chive/internal/store"
	"chive/relay"
)

const (
	testLife    = 28 * 24 * time.Hour
	testOverlap = 7 * 24 * time.Hour
)

var testStart = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// A keyRing is what a relay asks its keys of.
var _ relay.Keyring = (*keyRing)(nil)

// ringOf makes a relay's keys and opens them.
func ringOf(t *testing.T) (*State, *keyRing) {
	t.Helper()
	s := stateOf(t, t.TempDir()+"/state")
	if err := s.createKeys(rand.Reader, testStart); err != nil {
		t.Fatal(err)
	}
	return s, reopened(t, s)
}

// reopened opens the keys as another run would.
func reopened(t *testing.T, s *State) *keyRing {
	t.Helper()
	r, err := s.openRing(rand.Reader, testStart, testLife, testOverlap)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func serials(r *keyRing) (out []int) {
	for _, k := range r.onion {
		out = append(out, k.serial)
	}
	return out
}

func mustPublic(t *testing.T, k *secretKey) [32]byte {
	t.Helper()
	p, err := k.public()
	if err != nil || bytes.Equal(p[:], make([]byte, 32)) {
		t.Fatalf("no public key: %v", err)
	}
	return p
}

// TestOnionKeysRotate walks a relay through three months: a successor is there, and so
// in the descriptor, a whole life before it is used; the key before it answers for the
// overlap and is erased; another run finds the same (KEY-3).
func TestOnionKeysRotate(t *testing.T) {
	s, r := ringOf(t)
	publics := map[int][32]byte{}
	for _, step := range []struct {
		day      int
		previous []int
		current  int
	}{
		{0, nil, 1},
		{27, nil, 1},
		{28, []int{1}, 2},
		{34, []int{1}, 2},
		{35, nil, 2},
		{56, []int{2}, 3},
		{62, []int{2}, 3},
		{63, nil, 3},
		{200, []int{3}, 4}, // it was off for months
		{206, []int{3}, 4},
		{207, nil, 4},
	} {
		now := testStart.AddDate(0, 0, step.day)
		for range 2 {
			ring := r
			keys, err := ring.Onion(now)
			if err != nil {
				t.Fatal(err)
			}
			want := append([]int{step.current + 1, step.current}, step.previous...)
			if got := serials(ring); !slices.Equal(got, want) {
				t.Fatalf("day %d: keys %v, want %v", step.day, got, want)
			}
			if len(keys.Previous) != len(step.previous) {
				t.Fatalf("day %d: %d previous keys, want %d", step.day, len(keys.Previous), len(step.previous))
			}
			for serial, public := range map[int][32]byte{step.current: keys.Current.Public(), step.current + 1: keys.Next.Public()} {
				if was, known := publics[serial]; known && was != public {
					t.Fatalf("day %d: key %d became another", step.day, serial)
				}
				publics[serial] = public
			}
			r = reopened(t, s)
		}
	}
	if entries, _ := os.ReadDir(r.folder); len(entries) != 4 {
		t.Errorf("%d files are left, want identity, vrf and two onion keys", len(entries))
	}
}

// TestTheKeyThatTheListNamesStays: clients know no other, however old it is.
func TestTheKeyThatTheListNamesStays(t *testing.T) {
	_, r := ringOf(t)
	old := mustPublic(t, r.onion[1].secretKey)
	named := true
	r.named = func(public [32]byte) bool { return named && public == old }
	for _, day := range []int{28, 35, 56, 100} {
		keys, err := r.Onion(testStart.AddDate(0, 0, day))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(serials(r), func(n int) bool { return n == 1 }) || keys.Previous[len(keys.Previous)-1].Public() != old {
			t.Fatalf("day %d: keys %v lack the one that is named", day, serials(r))
		}
	}
	named = false
	if _, err := r.Onion(testStart.AddDate(0, 0, 101)); err != nil || slices.Contains(serials(r), 1) {
		t.Errorf("the key that nothing names any more is kept: %v, %v", serials(r), err)
	}
}

// TestWrongClocksDoNoHarm: a clock before the network's begin rotates nothing, and a key
// that became current under a clock far ahead is replaced under a right one.
func TestWrongClocksDoNoHarm(t *testing.T) {
	_, r := ringOf(t)
	if _, err := r.Onion(testStart.AddDate(-20, 0, 0)); err != nil || !slices.Equal(serials(r), []int{2, 1}) {
		t.Errorf("a clock of the past: %v, %v", serials(r), err)
	}
	if _, err := r.Onion(testStart.AddDate(12, 0, 0)); err != nil || !slices.Equal(serials(r), []int{3, 2, 1}) {
		t.Errorf("a clock of the future: %v, %v", serials(r), err)
	}
	if _, err := r.Onion(testStart.AddDate(0, 0, 1)); err != nil || r.onion[r.onion.current()].serial != 3 {
		t.Errorf("a right clock again: %v, %v", serials(r), err)
	}
}

// TestKeysOfAVersionWithoutSuccessors: the newest key is the current one and gets a
// successor.
func TestKeysOfAVersionWithoutSuccessors(t *testing.T) {
	s, r := ringOf(t)
	if err := store.Remove(filepath.Join(r.folder, onionName(2))); err != nil {
		t.Fatal(err)
	}
	old := r.onion[1]
	old.active = time.Time{}
	if err := saveKey(filepath.Join(r.folder, onionName(1)), old.secretKey); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		r = reopened(t, s)
		keys, err := r.Onion(testStart.AddDate(0, 0, 1))
		if err != nil || keys.Current.Public() != mustPublic(t, old.secretKey) || !slices.Equal(serials(r), []int{2, 1}) {
			t.Fatalf("%v, %v", serials(r), err)
		}
	}
}

// TestCommitteeKeysAreDurableAndErased: a term has one key, also for another run; once
// erased it is nowhere on the disk.
func TestCommitteeKeysAreDurableAndErased(t *testing.T) {
	s, r := ringOf(t)
	made := map[uint64]ed25519.PrivateKey{}
	for _, term := range []uint64{7, 5, 6} {
		key, err := r.NewCommittee(term)
		if err != nil {
			t.Fatal(err)
		}
		made[term] = bytes.Clone(key)
		clear(key) // the caller's
	}
	for _, ring := range []*keyRing{r, reopened(t, s)} {
		kept, err := ring.Committee()
		if err != nil || len(kept) != 3 {
			t.Fatalf("%d keys, %v", len(kept), err)
		}
		for term, key := range made {
			again, err := ring.NewCommittee(term)
			if err != nil || !again.Equal(key) || !kept[term].Equal(key) {
				t.Errorf("term %d has another key now: %v", term, err)
			}
			clear(kept[term])
		}
	}
	seed := made[5].Seed()
	for range 2 { // again is no error
		if err := r.EraseCommittee(5); err != nil {
			t.Fatal(err)
		}
	}
	for _, ring := range []*keyRing{r, reopened(t, s)} {
		if kept, err := ring.Committee(); err != nil || len(kept) != 2 || kept[5] != nil {
			t.Errorf("%d keys, %v", len(kept), err)
		}
	}
	encoded := (&secretKey{use: useCommittee, term: 5, created: testStart, seed: [seedSize]byte(seed)})
	data, err := encoded.encode()
	if err != nil {
		t.Fatal(err)
	}
	secret := bytes.Split(data, []byte("\n"))[5]
	_ = filepath.WalkDir(s.Dir(), func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		if held, err := os.ReadFile(path); err != nil || bytes.Contains(held, secret) || bytes.Contains(held, seed) {
			t.Errorf("%s holds the erased key, %v", path, err)
		}
		return nil
	})
}

// TestAStandstillDoesNotFillTheFolder: of the terms that pass while no list comes, those
// in the middle can never be used; the first and the last are kept.
func TestAStandstillDoesNotFillTheFolder(t *testing.T) {
	s, r := ringOf(t)
	const last = 3 * maxCommitteeKeys
	for term := range uint64(last) {
		if _, err := r.NewCommittee(term); err != nil {
			t.Fatal(err)
		}
	}
	r = reopened(t, s)
	kept, err := r.Committee()
	if err != nil || len(kept) != maxCommitteeKeys {
		t.Fatalf("%d keys, %v", len(kept), err)
	}
	for _, term := range []uint64{0, 1, keptCommitteeKeys - 1, last - 3, last - 2, last - 1} {
		if kept[term] == nil {
			t.Errorf("the key of term %d is gone", term)
		}
	}
}

// TestAKillLeavesWholeKeys: whatever a kill left in the folder, the next run has the
// same keys as the one before, and nothing else lies there.
func TestAKillLeavesWholeKeys(t *testing.T) {
	s, r := ringOf(t)
	if _, err := r.NewCommittee(1); err != nil {
		t.Fatal(err)
	}
	before, err := r.Onion(testStart)
	if err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(r.folder)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string]string{
		committeeName(9) + ".new":                "half a key that nobody was told of",
		onionName(3) + ".new":                    "",
		committeeName(0) + store.ErasedSuffix:    "a key on its way out",
		onionName(1) + ".new.erased":             "half a key on its way out",
		committeeName(2) + ".new" + ".something": "whatever",
	} {
		if err := os.WriteFile(filepath.Join(r.folder, name), []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r = reopened(t, s)
	after, err := r.Onion(testStart)
	if err != nil || after.Current.Public() != before.Current.Public() || after.Next.Public() != before.Next.Public() {
		t.Errorf("other onion keys: %v", err)
	}
	if kept, err := r.Committee(); err != nil || len(kept) != 1 || kept[1] == nil {
		t.Errorf("other committee keys: %v", err)
	}
	if left, err := os.ReadDir(r.folder); err != nil || len(left) != len(files) {
		t.Errorf("%d files, want %d: %v", len(left), len(files), err)
	}
}

// TestAChangeThatFailsChangesNothing: where the disk or the randomness fails the keys
// that were there go on, and the change is made when it can be.
func TestAChangeThatFailsChangesNothing(t *testing.T) {
	s, r := ringOf(t)
	due := testStart.Add(testLife)
	r.rand = io.LimitReader(rand.Reader, 10)
	if _, err := r.NewCommittee(3); err == nil {
		t.Error("a key without randomness")
	}
	wantFault(t, errOf(r.Onion(due)), "no_randomness") // the successor's successor
	if cur := r.onion.current(); r.onion[cur].serial != 2 {
		t.Errorf("current is %d", r.onion[cur].serial)
	}
	r.rand = rand.Reader
	keys, err := r.Onion(due)
	if err != nil || !slices.Equal(serials(r), []int{3, 2, 1}) || len(keys.Previous) != 1 {
		t.Errorf("%v, %v", serials(r), err)
	}
	if os.Getuid() == 0 {
		return // nothing is forbidden to root
	}
	if err := os.Chmod(r.folder, 0o500); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.Chmod(r.folder, 0o700) }()
	wantFault(t, errOf(r.NewCommittee(3)), "file_forbidden")
	wantFault(t, errOf(r.Onion(due.Add(testLife))), "file_forbidden")
	if got := serials(reopened(t, s)); !slices.Equal(got, []int{3, 2, 1}) {
		t.Errorf("keys %v", got)
	}
}

// TestKeysThatOthersCanReadStopTheStart (KEY-4), and so do damaged ones, saying what a
// lost committee key costs.
func TestKeysThatOthersCanReadStopTheStart(t *testing.T) {
	s, r := ringOf(t)
	if _, err := r.NewCommittee(4); err != nil {
		t.Fatal(err)
	}
	open := func() error { return errOf(s.openRing(rand.Reader, testStart, testLife, testOverlap)) }
	path := filepath.Join(r.folder, committeeName(4))
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if f := wantFault(t, open(), "permissions"); !strings.Contains(f.Fix, "chmod 600 ") {
		t.Errorf("fix %q", f.Fix)
	}
	if err := os.WriteFile(path, []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if f := wantFault(t, open(), "key_damaged"); !strings.Contains(f.Fix, "no part in the committee") {
		t.Errorf("fix %q", f.Fix)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	for i := range maxKeyFiles {
		if err := os.WriteFile(filepath.Join(r.folder, fmt.Sprintf("file%d", i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	wantFault(t, open(), "key_folder")
	if err := os.RemoveAll(r.folder); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	wantFault(t, open(), "keys_missing")
}
