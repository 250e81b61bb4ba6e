// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"chive/directory/genesis"
	"chive/directory/record"
	"chive/internal/store"
)

func declaring(addresses ...string) Declaring { return Declaring{Addresses: addresses} }

// TestInitMakesARelay: keys without a committee's, and what it declares; a second call
// changes what is said and keeps the rest.
func TestInitMakesARelay(t *testing.T) {
	w := found(t, 3, nil)
	w.sign(t)
	rules := filepath.Join(w.dir, "rules")
	if err := os.WriteFile(rules, []byte("accept tcp *:443\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := stateOf(t, filepath.Join(w.dir, "newcomer"))
	o := InitOptions{Genesis: w.doc, Declaring: Declaring{
		Addresses: []string{"127.0.0.1:9249"}, Rate: "2 MB/s", Exit: rules, Family: filepath.Join(w.dir, "family.key"),
		About: About{Nickname: "maple", Contact: "ops@example.net"},
	}}
	made, err := s.Init(o, rand.Reader, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if !made.KeysMade || !made.NewFamily || made.Founder || made.Network != "demo" || len(made.RID) != 32 || made.RateKbit != 16_000 || made.Exit != "tcp 443" {
		t.Errorf("%+v", made)
	}
	if len(made.Notes) != 1 || !strings.Contains(made.Notes[0], "3 relays to introduce it") {
		t.Errorf("notes %q", made.Notes)
	}
	keys, err := s.Keys()
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		if k.Use == "committee" {
			t.Error("a newcomer has a committee key before a term that it could serve")
		}
	}
	if err := os.Remove(rules); err != nil { // a copy is kept
		t.Fatal(err)
	}

	again, err := s.Init(InitOptions{Declaring: Declaring{Rate: "1 MB/s"}}, rand.Reader, time.Now())
	if err != nil || again.KeysMade || again.Identity != made.Identity || again.RateKbit != 8_000 || again.Exit != "tcp 443" || again.Addresses[0].Port() != 9249 {
		t.Errorf("%+v, %v", again, err)
	}
	d, err := s.declare(Declaring{})
	if err != nil || d.Nickname != "maple" || d.Contact != "ops@example.net" || d.RateKbit != 8_000 {
		t.Fatalf("%+v, %v", d, err)
	}
	doc, err := loadGenesis(w.doc)
	if err != nil {
		t.Fatal(err)
	}
	nid := doc.NetworkID()
	rid, err := hex.DecodeString(made.RID)
	if err != nil {
		t.Fatal(err)
	}
	if !ed25519.Verify(d.Family.Key, record.SigningInput("family", nid, rid), d.Family.Signature) {
		t.Error("the family's word is not the family's")
	}
	if e := ExamineState(s.Dir()); !strings.HasPrefix(e.Relay, `"demo", id `) || e.Client != "" {
		t.Errorf("the network that it is bound to is %q", e.Relay)
	}
	if strings.Join(again.Before, " ") != "nickname contact address exit family" || again.About != (About{"maple", "ops@example.net"}) {
		t.Errorf("it does not say what it kept: %+v", again)
	}
	_, err = s.Init(InitOptions{Declaring: Declaring{Withdrawn: Withdrawn{Contact: true}}}, rand.Reader, time.Now())
	wantFault(t, err, "contact_missing")
	if off, err := s.Init(InitOptions{Declaring: Declaring{Exit: "off", Withdrawn: Withdrawn{Contact: true}}}, rand.Reader, time.Now()); err != nil || off.Exit != "off" || off.About != (About{Nickname: "maple"}) || strings.Join(off.Before, " ") != "nickname address rate family" {
		t.Errorf("%+v, %v", off, err)
	}
}

// TestInitMistakes: what is refused leaves no keys behind, and keys that are there stay.
func TestInitMistakes(t *testing.T) {
	w := found(t, 3, nil)
	w.sign(t)
	elsewhere := found(t, 3, nil)
	elsewhere.sign(t)
	notKey := filepath.Join(w.dir, "nokey")
	if err := os.WriteFile(notKey, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, code string
		o          InitOptions
	}{
		{"no address", "address_missing", InitOptions{}},
		{"a name", "address", InitOptions{Declaring: declaring("relay.example.net:9240")}},
		{"bare rate", "rate", InitOptions{Declaring: Declaring{Addresses: []string{"127.0.0.1:9240"}, Rate: "100"}}},
		{"unknown exit", "exit_unknown", InitOptions{Declaring: Declaring{Addresses: []string{"127.0.0.1:9240"}, Exit: "some"}}},
		{"exit without contact", "contact_missing", InitOptions{Declaring: Declaring{Addresses: []string{"127.0.0.1:9240"}, Exit: "web"}}},
		{"family is no key", "key_damaged", InitOptions{Declaring: Declaring{Addresses: []string{"127.0.0.1:9240"}, Family: notKey}}},
		{"odd nickname", "nickname", InitOptions{Declaring: Declaring{Addresses: []string{"127.0.0.1:9240"}, About: About{Nickname: "a b"}}}},
		{"no such network", "file_missing", InitOptions{Declaring: declaring("127.0.0.1:9240"), Genesis: w.dir + "/none"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := stateOf(t, filepath.Join(t.TempDir(), "state"))
			wantFault(t, errOf(s.Init(c.o, rand.Reader, time.Now())), c.code)
			if _, err := os.Stat(s.Dir()); err == nil {
				t.Error("a mistake left something behind")
			}
		})
	}

	s := stateOf(t, filepath.Join(w.dir, "newcomer"))
	if _, err := s.Init(InitOptions{Declaring: declaring("127.0.0.1:9240"), Genesis: w.doc}, rand.Reader, time.Now()); err != nil {
		t.Fatal(err)
	}
	before := filesOf(t, s)
	f := wantFault(t, errOf(s.Init(InitOptions{Genesis: elsewhere.doc}, rand.Reader, time.Now())), "other_network")
	if !strings.Contains(f.Fix, "--state") || !strings.Contains(f.Text, "id ") {
		t.Errorf("%q, %q", f.Text, f.Fix)
	}
	wantFault(t, errOf(s.Init(InitOptions{Declaring: declaring("bad")}, rand.Reader, time.Now())), "address")
	if after := filesOf(t, s); !sameFiles(before, after) {
		t.Error("a refused call changed the state folder")
	}

	other := stateOf(t, s.Dir())
	wantFault(t, errOf(other.Init(InitOptions{Declaring: declaring("127.0.0.1:9241")}, rand.Reader, time.Now())), "state_locked")
	if err := os.WriteFile(s.path(aboutFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantFault(t, errOf(s.Init(InitOptions{Declaring: declaring("127.0.0.1:9241")}, rand.Reader, time.Now())), "about_damaged")
}

// filesOf reads every file of a state folder.
func filesOf(t *testing.T, s *State) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	err := filepath.Walk(s.Dir(), func(path string, info os.FileInfo, err error) error {
		if err != nil || !info.Mode().IsRegular() {
			return err
		}
		out[path], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func sameFiles(a, b map[string][]byte) bool {
	for path, data := range a {
		if !bytes.Equal(b[path], data) {
			return false
		}
	}
	return len(a) == len(b)
}

// TestPublicNetworksNeedPublicAddresses: strangers must reach the relay.
func TestPublicNetworksNeedPublicAddresses(t *testing.T) {
	public, testnet := &genesis.Document{Name: "demo"}, &genesis.Document{Name: "demo", Testnet: true}
	for text, good := range map[string]bool{"127.0.0.1:9240": false, "192.168.1.7:9240": false, "[fd00::1]:9240": false, "5.9.12.34:9240": true} {
		addrs, err := parseAddresses([]string{text})
		if err != nil {
			t.Fatal(err)
		}
		err = checkPublic(public, addrs)
		if (err == nil) != good {
			t.Errorf("%s: %v", text, err)
		}
		if err != nil {
			wantFault(t, err, "address_private")
		}
		if err := checkPublic(testnet, addrs); err != nil {
			t.Errorf("%s in a testnet: %v", text, err)
		}
	}
}

// TestAFounderMayBeMadeOfANewcomer: the first committee keys are made then; a relay that
// has served has no such way back.
func TestAFounderMayBeMadeOfANewcomer(t *testing.T) {
	dir := t.TempDir()
	s := stateOf(t, filepath.Join(dir, "state"))
	if _, err := s.Init(InitOptions{Declaring: declaring("127.0.0.1:9240")}, rand.Reader, time.Now()); err != nil {
		t.Fatal(err)
	}
	first, err := s.Found(FounderOptions{Out: filepath.Join(dir, "one")}, rand.Reader, time.Now())
	if err != nil || first.KeysMade {
		t.Fatal(first, err)
	}
	data, err := os.ReadFile(first.File)
	if err != nil {
		t.Fatal(err)
	}
	f, err := record.ParseFounderFile(data)
	if err != nil || f.Committee[0] == f.Committee[1] || f.Addresses[0].Port() != 9240 {
		t.Fatalf("%+v, %v", f, err)
	}
	ring := reopened(t, s)
	if err := ring.EraseCommittee(0); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.path(relayNetworkFile), []byte("ab demo\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantFault(t, errOf(s.Found(FounderOptions{Out: filepath.Join(dir, "two")}, rand.Reader, time.Now())), "keys_used")
}

// TestTheFamilyMustSpeakForEachNetwork: its key is needed once for each.
func TestTheFamilyMustSpeakForEachNetwork(t *testing.T) {
	s := stateOf(t, filepath.Join(t.TempDir(), "state"))
	file := filepath.Join(t.TempDir(), "family.key")
	d, err := s.declare(Declaring{Addresses: []string{"127.0.0.1:1"}, Family: file})
	if err != nil {
		t.Fatal(err)
	}
	if made, err := d.makeFamily(rand.Reader, time.Now()); err != nil || !made {
		t.Fatal(made, err)
	}
	one, two := [32]byte{1}, [32]byte{2}
	if err := d.joinFamily(one, record.RID{7}); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file, file+".away"); err != nil {
		t.Fatal(err)
	}
	if err := d.joinFamily(one, record.RID{7}); err != nil {
		t.Errorf("the second start needs the family's key: %v", err)
	}
	wantFault(t, d.joinFamily(two, record.RID{7}), "family_missing")
	if err := writeKey(file, &secretKey{use: useFamily, created: testStart}, rand.Reader); err != nil {
		t.Fatal(err)
	}
	wantFault(t, d.joinFamily(two, record.RID{7}), "family_other")
}

// TestALostStoreIsNotForgotten: a relay that has run, and finds no store, takes no seat
// (KEY-8); a kill before anything was stored again changes nothing.
func TestALostStoreIsNotForgotten(t *testing.T) {
	w := found(t, 3, nil)
	w.sign(t)
	doc, err := loadGenesis(w.doc)
	if err != nil {
		t.Fatal(err)
	}
	s := w.states[0]
	open := func(lost bool) *ledger {
		t.Helper()
		l, err := s.openLedger(doc)
		if err != nil {
			t.Fatal(err)
		}
		if l.Damaged() != lost || (l.note != "") != lost {
			t.Errorf("lost %v, note %q; want %v", l.Damaged(), l.note, lost)
		}
		return l
	}
	put := func(l *ledger) {
		t.Helper()
		if err := l.Put([]store.Write{{Bucket: "self", Key: []byte("k"), Value: []byte("v")}}); err != nil {
			t.Fatal(err)
		}
	}
	shut := func(l *ledger) {
		t.Helper()
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	l := open(false) // the first run ever
	shut(l)          // killed before it began
	l = open(false)
	if err := l.begin(); err != nil {
		t.Fatal(err)
	}
	put(l)
	shut(l)
	l = open(false)
	shut(l)
	if err := os.Remove(s.path(tableFile)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		l = open(true)
		if err := l.begin(); err != nil {
			t.Fatal(err)
		}
		shut(l) // killed before it stored anything
	}
	l = open(true)
	put(l)
	if l.Damaged() {
		t.Error("it is lost still, though what follows is kept")
	}
	shut(l)
	shut(open(false))
	if err := s.checkRelayNetwork(doc, w.doc); err != nil {
		t.Errorf("the mark is taken for another network: %v", err)
	}
	if err := os.WriteFile(s.path(tableFile), bytes.Repeat([]byte("no table "), 5000), 0o600); err != nil {
		t.Fatal(err)
	}
	l = open(true)
	if moved := l.MovedTo(); !strings.Contains(l.note, moved) || moved == "" {
		t.Errorf("note %q does not name %q", l.note, moved)
	}
	put(l)
	shut(l)
	// An old copy that was put back.
	held, err := os.ReadFile(s.path(tableFile))
	if err != nil {
		t.Fatal(err)
	}
	l = open(false)
	put(l)
	shut(l)
	if err := os.WriteFile(s.path(tableFile), held, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		l = open(true)
		if !strings.Contains(l.note, "is an old copy") || !strings.Contains(l.note, s.path(tableFile)+store.CountSuffix) {
			t.Errorf("note %q", l.note)
		}
		shut(l)
	}
	l = open(true)
	put(l)
	shut(l)
	shut(open(false))
}

// TestWhatAnotherFileMakesOfARelayIsSaid: the user's configuration counts for a relay with a
// state folder of its own, too, and its name and rate would change without a word.
func TestWhatAnotherFileMakesOfARelayIsSaid(t *testing.T) {
	before := declaration{About: About{Nickname: "birch"}, RateKbit: 24_000}
	for name, v := range map[string]struct {
		now  declaration
		want []string // empty: nothing
	}{
		"the same":      {before, nil},
		"another name":  {declaration{About: About{Nickname: "maple"}, RateKbit: 24_000}, []string{"was called birch, and is maple now", "-o relay.nickname=birch"}},
		"none any more": {declaration{RateKbit: 24_000}, []string{"is nothing now"}},
		"another rate":  {declaration{About: before.About, RateKbit: 8_000}, []string{"offered ", "--rate '"}},
	} {
		got := (&declared{declaration: v.now}).otherThan(&before)
		if (got == "") != (len(v.want) == 0) {
			t.Errorf("%s: %q", name, got)
		}
		for _, text := range v.want {
			if !strings.Contains(got, text) {
				t.Errorf("%s: %q lacks %q", name, got, text)
			}
		}
	}
	if got := (&declared{declaration: before}).otherThan(&declaration{}); got != "" {
		t.Errorf("a relay that never said anything: %q", got)
	}
}
