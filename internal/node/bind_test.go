// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"crypto/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestAFounderIsBoundByWhatItSigns, and not by one run with another network's document:
// that is refused before anything is written, and the way out keeps the keys.
func TestAFounderIsBoundByWhatItSigns(t *testing.T) {
	w, elsewhere := found(t, 3, nil), found(t, 3, nil)
	elsewhere.sign(t)
	founder := w.states[0]
	wrong := func() error {
		return runFor(t, RelayOptions{State: founder.Dir(), Genesis: elsewhere.doc, Listen: "127.0.0.1:0"})
	}

	// Not signed yet: the folder is bound to nothing, and stays so.
	f := wantFault(t, wrong(), "not_founder")
	for _, want := range []string{"Check --genesis", "chive network show", "chive relay init --state " + founder.Dir() + " --genesis"} {
		if !strings.Contains(f.Fix, want) {
			t.Errorf("the fix %q lacks %q", f.Fix, want)
		}
	}
	if _, err := os.Stat(founder.path(relayNetworkFile)); err == nil {
		t.Fatal("a refused run has bound the folder")
	}

	// Signed: bound, and another document is refused with the way back to its own.
	w.sign(t)
	if mark, err := founder.relayMark(); err != nil || mark != wordSigned {
		t.Fatalf("mark %q, %v", mark, err)
	}
	f = wantFault(t, wrong(), "other_network")
	if !strings.Contains(f.Text, "a founder of another network") || !strings.Contains(f.Fix, "the document that this relay has signed") {
		t.Errorf("%q %q", f.Text, f.Fix)
	}
	// Founded anew with the same keys, before anybody has run: the folder follows.
	again := filepath.Join(w.dir, "again")
	if _, err := NewNetwork("again", w.files, true, time.Now(), again); err != nil {
		t.Fatal(err)
	}
	for i, s := range w.states {
		info, err := s.SignNetwork(again, time.Now())
		if err != nil || len(info.Notes) != 1 || !strings.Contains(info.Notes[0], "it is bound to again now") {
			t.Fatalf("founder %d: %+v, %v", i, info, err)
		}
	}
	doc, err := loadGenesis(again)
	if err != nil {
		t.Fatal(err)
	}
	if err := founder.checkRelayNetwork(doc, again); err != nil {
		t.Error(err)
	}
	if info, err := founder.SignNetwork(again, time.Now()); err != nil || len(info.Notes) != 0 {
		t.Errorf("signing twice: %+v, %v", info, err)
	}

	// The first document again: its founder is told how to come back to it.
	first, err := loadGenesis(w.doc)
	if err != nil {
		t.Fatal(err)
	}
	f = wantFault(t, founder.checkRelayNetwork(first, w.doc), "other_network")
	if !strings.Contains(f.Fix, "chive network sign --state "+founder.Dir()+" "+w.doc) {
		t.Errorf("fix %q", f.Fix)
	}

	// Once it has run, a signature for another network leaves it where it is.
	if err := founder.markRelay(doc, wordRan); err != nil {
		t.Fatal(err)
	}
	if info, err := founder.SignNetwork(w.doc, time.Now()); err != nil || len(info.Notes) != 1 || !strings.Contains(info.Notes[0], "stays bound to it") {
		t.Errorf("%+v, %v", info, err)
	}
	if err := founder.checkRelayNetwork(doc, again); err != nil {
		t.Error(err)
	}
	f = wantFault(t, founder.checkRelayNetwork(first, w.doc), "other_network")
	if !strings.HasSuffix(f.Fix, "rm "+founder.path(relayNetworkFile)) || strings.Contains(f.Fix, "relay init") {
		t.Errorf("fix %q", f.Fix)
	}
	if err := os.WriteFile(founder.path(tableFile), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f = wantFault(t, founder.checkRelayNetwork(first, w.doc), "other_network")
	if !strings.HasSuffix(f.Fix, "rm "+founder.path(relayNetworkFile)+" "+founder.path(tableFile)) {
		t.Errorf("a fix that leaves what is there: %q", f.Fix)
	}
}

// TestAFounderMayJoinElsewhereIfItSaysSo: with relay init, which binds the folder.
func TestAFounderMayJoinElsewhereIfItSaysSo(t *testing.T) {
	w, elsewhere := found(t, 1, nil), found(t, 3, nil)
	elsewhere.sign(t)
	s := w.states[0]
	doc, err := loadGenesis(elsewhere.doc)
	if err != nil {
		t.Fatal(err)
	}
	wantFault(t, s.checkFounding(doc), "not_founder")
	made, err := s.Init(InitOptions{Genesis: elsewhere.doc}, rand.Reader, time.Now())
	s.Close()
	if err != nil || made.KeysMade || made.Founder {
		t.Fatalf("%+v, %v", made, err)
	}
	if err := s.checkFounding(doc); err != nil {
		t.Error(err)
	}
	if err := s.checkRelayNetwork(doc, elsewhere.doc); err != nil {
		t.Error(err)
	}
	// Its own network: signing binds it, since it has not run.
	if info, err := s.SignNetwork(w.doc, time.Now()); err != nil || len(info.Notes) != 1 {
		t.Fatalf("%+v, %v", info, err)
	}
	f := wantFault(t, s.checkRelayNetwork(doc, elsewhere.doc), "other_network")
	if !strings.Contains(f.Text, "founder") {
		t.Errorf("%q", f.Text)
	}
}

// TestAnyOtherRelayIsBoundByItsFirstRun: it has made no promise yet, and there is
// nothing to mistake.
func TestAnyOtherRelayIsBoundByItsFirstRun(t *testing.T) {
	w := found(t, 3, nil)
	w.sign(t)
	doc, err := loadGenesis(w.doc)
	if err != nil {
		t.Fatal(err)
	}
	s := stateOf(t, filepath.Join(w.dir, "newcomer"))
	if _, err := s.Init(InitOptions{Declaring: declaring("127.0.0.1:9249")}, rand.Reader, time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := s.checkFounding(doc); err != nil {
		t.Error(err)
	}
}

// TestADamagedBindingIsWrittenAgain: it is no other network's, and what is told puts it
// right and keeps everything.
func TestADamagedBindingIsWrittenAgain(t *testing.T) {
	w := found(t, 1, nil)
	w.sign(t)
	doc, err := loadGenesis(w.doc)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []struct {
		file  string
		check func(s *State) error
	}{
		{networkFile, func(s *State) error { return s.checkNetwork(doc) }},
		{relayNetworkFile, func(s *State) error { return s.checkRelayNetwork(doc, w.doc) }},
	} {
		for _, damage := range []string{"", "zzz\n", strings.Repeat("ab", 32) + "\n", strings.Repeat("zz", 32) + " name\n", networkLine(doc)[2:] + "\n"} {
			s := stateOf(t, filepath.Join(t.TempDir(), "state"))
			if _, err := s.folder(filepath.Dir(part.file)); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(s.path(part.file), []byte(damage), 0o600); err != nil {
				t.Fatal(err)
			}
			f := wantFault(t, part.check(s), "network_damaged")
			_, run, ok := strings.Cut(f.Fix, "stays: ")
			if !ok {
				t.Fatalf("no command in %q", f.Fix)
			}
			if out, err := exec.Command("sh", "-c", run).CombinedOutput(); err != nil {
				t.Fatalf("%s: %v\n%s", run, err, out)
			}
			if err := part.check(s); err != nil {
				t.Errorf("after what it told: %v", err)
			}
			if word, err := s.relayMark(); part.file == relayNetworkFile && (word != wordRan || err != nil) {
				t.Errorf("the relay's mark is %q, %v", word, err)
			}
		}
	}
}
