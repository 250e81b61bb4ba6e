// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"chive/internal/control"
)

func words(what, fix string) string { return strings.TrimSpace(what + ". " + fix) }

// TestKeyFilesThatAreGoneAreNoticed: of each key that is there, or was made since, and of
// none that was erased.
func TestKeyFilesThatAreGoneAreNoticed(t *testing.T) {
	s, r := ringOf(t)
	for _, term := range []uint64{4, 5} {
		if _, err := r.NewCommittee(term); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.EraseCommittee(4); err != nil {
		t.Fatal(err)
	}
	for day := range 3 { // successors come, and keys go
		if _, err := r.Onion(testStart.Add(testLife * time.Duration(day+1))); err != nil {
			t.Fatal(err)
		}
	}
	if words := words(r.gone(s.Dir())); words != "." {
		t.Fatalf("all are there: %s", words)
	}
	remove := func(name string) {
		t.Helper()
		if err := os.Remove(filepath.Join(r.folder, name)); err != nil {
			t.Fatal(err)
		}
	}
	remove(committeeName(5))
	if words := words(r.gone(s.Dir())); !strings.Contains(words, "while it runs: committee-5.key.") || !strings.Contains(words, "takes no part in the committee") {
		t.Error(words)
	}
	remove(identityFile)
	if words := words(r.gone(s.Dir())); !strings.Contains(words, "committee-5.key, identity.key.") || !strings.Contains(words, "cannot start again") {
		t.Error(words)
	}
	if err := os.RemoveAll(s.Dir()); err != nil {
		t.Fatal(err)
	}
	if words := words(r.gone(s.Dir())); !strings.Contains(words, "the folder of this relay's keys was removed while it runs: "+r.folder) || !strings.Contains(words, "chive keys restore") {
		t.Error(words)
	}
}

// TestARelayTellsThatItsKeysAreGone: its status, its operator, and once its log, which
// names no file.
func TestARelayTellsThatItsKeysAreGone(t *testing.T) {
	s, ring := ringOf(t)
	var log bytes.Buffer
	w := found(t, 1, func(int) FounderOptions {
		return FounderOptions{Declaring: Declaring{Addresses: []string{freePort(t)}}}
	})
	w.sign(t)
	info, err := ShowNetwork(w.doc)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended, ready, serving := make(chan error, 1), make(chan RelayReady, 1), make(chan control.Source, 1)
	go func() {
		ended <- RunRelay(ctx, RelayOptions{
			State: w.states[0].Dir(), Genesis: w.doc, Listen: listenOf(t, w.states[0], info), Drain: -1,
			Ready: func(r RelayReady) { ready <- r }, Serving: func(s control.Source) { serving <- s },
		})
	}()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	select {
	case <-ready:
	case err := <-ended:
		t.Fatal(err)
	}
	source := (<-serving).(*RelaySources)
	if keys := source.Status().Relays[0].Keys; keys != "" {
		t.Fatal(keys)
	}
	if err := os.Rename(w.states[0].path(keysFolder), w.states[0].path("elsewhere")); err != nil { // at once: it may be making keys
		t.Fatal(err)
	}
	if keys := source.Status().Relays[0].Keys; !strings.Contains(keys, "was removed while it runs") {
		t.Errorf("its status: %q", keys)
	}

	// What watches it, beside a ring whose files are gone.
	aside := filepath.Join(t.TempDir(), "aside")
	if err := os.Rename(s.Dir(), aside); err != nil {
		t.Fatal(err)
	}
	r, gone := &relayRun{state: s, ring: ring, doc: source.Document, log: zerolog.New(&log)}, false
	var told []string
	look := watch{tell: func(text string) { told = append(told, text) }, told: map[string]time.Time{}}
	for range 3 {
		look.relay(r.look(&source.Relays[0], &gone))
	}
	if !gone || strings.Count(log.String(), "keys_gone") != 1 || strings.Contains(log.String(), s.Dir()) {
		t.Errorf("logged: %s", log.String())
	}
	if n := len(told); n == 0 || !strings.Contains(strings.Join(told, "\n"), "was removed while it runs") || !strings.Contains(strings.Join(told, "\n"), ". Put them back, or") {
		t.Errorf("told: %q", told)
	}
	if err := os.Rename(aside, s.Dir()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		look.relay(r.look(&source.Relays[0], &gone))
	}
	if gone || strings.Count(log.String(), "keys_back") != 1 {
		t.Errorf("they are back: %s", log.String())
	}
}

// TestCertifiedKeysThatAreGoneAreNoticed: a relay whose identity is offline cannot start again
// without what that has certified.
func TestCertifiedKeysThatAreGoneAreNoticed(t *testing.T) {
	s, dir := offlineRelay(t)
	certify(t, s, dir, 5, time.Now())
	keys, err := s.loadKeys()
	if err != nil {
		t.Fatal(err)
	}
	defer keys.wipe()
	r := &keyRing{relayKeys: keys, files: knownFiles(keys)}
	if what, _ := r.gone(s.Dir()); what != "" {
		t.Fatal(what)
	}
	if err := os.Remove(filepath.Join(keys.folder, certifiedFile)); err != nil {
		t.Fatal(err)
	}
	what, fix := r.gone(s.Dir())
	if !strings.Contains(what, "while it runs: certified.key.") || !strings.Contains(what, "cannot start again") || !strings.Contains(fix, "chive keys restore") {
		t.Errorf("%s; %s", what, fix)
	}
}
