// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"chive/directory/record"
	"chive/internal/control"
)

// newcomer makes a relay that is no founder, and returns its identity.
func newcomer(t *testing.T, address string) (*State, string) {
	t.Helper()
	s := stateOf(t, filepath.Join(t.TempDir(), "newcomer"))
	made, err := s.Init(InitOptions{Declaring: Declaring{Addresses: []string{address}}}, rand.Reader, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	return s, made.Identity
}

// TestARelayVouchesForANewcomer, as its running status lets it; the newcomer takes the
// voucher at its making or its start, and keeps it.
func TestARelayVouchesForANewcomer(t *testing.T) {
	w := found(t, 1, func(int) FounderOptions {
		return FounderOptions{Declaring: Declaring{Addresses: []string{freePort(t)}}}
	})
	w.sign(t)
	sponsor := w.states[0]
	info, err := ShowNetwork(w.doc)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	ready, serving := make(chan RelayReady, 1), make(chan control.Source, 1)
	o := RelayOptions{State: sponsor.Dir(), Genesis: w.doc, Listen: listenOf(t, sponsor, info), Drain: -1}
	o.Ready, o.Serving = func(r RelayReady) { ready <- r }, func(s control.Source) { serving <- s }
	go func() { ended <- RunRelay(ctx, o) }()
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
	status := (<-serving).Status()
	if v := status.Relays[0].Vouching; v == nil || !v.May {
		t.Fatalf("%+v", v)
	}

	guest, identity := newcomer(t, freePort(t))
	file := filepath.Join(w.dir, "guest.voucher")
	made, err := sponsor.Vouch(status, identity, file, false)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil || string(text) != made.Text+"\n" || made.Sponsor != status.Relays[0].RID || made.Days != 30 {
		t.Fatalf("%q %+v %v", text, made, err)
	}
	// Again for the same one, by what its operator's command has printed.
	printed := filepath.Join(w.dir, "printed")
	for _, said := range []string{"relay guest\nidentity " + identity + "\naddresses 192.0.2.1:9240\n", `{"schema":"chive.relay.init/1","identity":"` + identity + `"}`, identity + "\n"} {
		if err := os.WriteFile(printed, []byte(said), 0o600); err != nil {
			t.Fatal(err)
		}
		if again, err := sponsor.Vouch(status, printed, "", false); err != nil || again.Text != made.Text {
			t.Fatalf("%q: %v", said, err)
		}
	}

	// The newcomer.
	done, err := guest.Init(InitOptions{Voucher: file, Genesis: w.doc}, rand.Reader, time.Now())
	if err != nil || done.Vouched != made.Sponsor {
		t.Fatalf("%+v %v", done, err)
	}
	guest.Close()
	prepared := func(file string) (*relayRun, error) {
		state, err := OpenState(guest.Dir())
		if err != nil {
			t.Fatal(err)
		}
		defer state.Close()
		r, err := prepareRelay(t.Context(), RelayOptions{State: guest.Dir(), Genesis: w.doc, Listen: "127.0.0.1:0", Voucher: file}, state)
		if err == nil {
			r.close()
		}
		return r, err
	}
	for _, named := range []string{"", file, filepath.Join(w.dir, "gone")} {
		r, err := prepared(named)
		if err != nil || r.voucher == nil || r.voucher.Encode() != made.Text {
			t.Fatalf("--voucher %q: %v", named, err)
		}
	}
	if err := os.Remove(guest.path(voucherFile)); err != nil {
		t.Fatal(err)
	}
	_, err = prepared(filepath.Join(w.dir, "gone"))
	wantFault(t, err, "file_missing")
	if r, err := prepared(""); err != nil || r.voucher != nil {
		t.Errorf("without: %v", err)
	}

	// One that is for somebody else, of another network, or damaged.
	_, other := newcomer(t, freePort(t))
	elsewhere := found(t, 1, nil)
	elsewhere.sign(t)
	for code, text := range map[string]func() string{
		"voucher_other": func() string {
			v, err := sponsor.Vouch(status, other, "", true)
			if err != nil {
				t.Fatal(err)
			}
			return v.Text
		},
		"voucher_network": func() string {
			key := ed25519.NewKeyFromSeed(append([]byte{1}, make([]byte, 31)...))
			raw, _ := hex.DecodeString(identity)
			v, err := record.NewVoucherText([32]byte{9}, key, raw, 0)
			if err != nil {
				t.Fatal(err)
			}
			return v.Encode()
		},
		"voucher_damaged": func() string { return strings.Replace(made.Text, "A", "B", 1) },
	} {
		bad := filepath.Join(t.TempDir(), "bad")
		if err := os.WriteFile(bad, []byte(text()), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := prepared(bad)
		wantFault(t, err, code)
		// One that was placed in the folder stops no relay: it may be on the list long since.
		if err := os.WriteFile(guest.path(voucherFile), []byte(text()), 0o600); err != nil {
			t.Fatal(err)
		}
		key, _ := hex.DecodeString(identity)
		doc, err := loadGenesis(w.doc)
		if err != nil {
			t.Fatal(err)
		}
		if v, note, err := guest.takeVoucher("", [32]byte(key), doc, 1); v != nil || !strings.Contains(note, "runs without") || err != nil {
			t.Errorf("%s in the folder: %q %v", code, note, err)
		}
		if err := os.Remove(guest.path(voucherFile)); err != nil {
			t.Fatal(err)
		}
		// What the daemon goes on without, its check before the start lets pass.
		if err := CheckVoucher(bad, w.dir); (err != nil) != (code == "voucher_damaged") {
			t.Errorf("checked, %s: %v", code, err)
		}
	}
	gone := filepath.Join(w.dir, "gone")
	wantFault(t, CheckVoucher(gone, guest.Dir()), "file_missing") // as the run would say
	if err := os.WriteFile(guest.path(voucherFile), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := CheckVoucher(gone, guest.Dir()); err != nil {
		t.Errorf("gone since the first run: %v", err)
	}
	if err := os.Remove(guest.path(voucherFile)); err != nil {
		t.Fatal(err)
	}

	// One whose time is over is left out, and the relay says so.
	doc, err := loadGenesis(w.doc)
	if err != nil {
		t.Fatal(err)
	}
	key, _ := hex.DecodeString(identity)
	if v, note, err := guest.takeVoucher(file, [32]byte(key), doc, 29); v == nil || note != "" || err != nil {
		t.Errorf("on its last day: %q %v", note, err)
	}
	if v, note, err := guest.takeVoucher(file, [32]byte(key), doc, 30); v != nil || !strings.Contains(note, "has expired") || err != nil {
		t.Errorf("a day later: %q %v", note, err)
	}
}

func fixOf(err error) string {
	var f *Fault
	errors.As(err, &f)
	return f.Fix
}

// TestARelayThatMayNotVouchSaysWhy, and does not make a second voucher unasked.
func TestARelayThatMayNotVouchSaysWhy(t *testing.T) {
	w := found(t, 1, nil)
	w.sign(t)
	s := w.states[0]
	info, err := ShowNetwork(w.doc)
	if err != nil {
		t.Fatal(err)
	}
	_, identity := newcomer(t, "127.0.0.1:9999")
	_, second := newcomer(t, "127.0.0.1:9999")
	status := func(change func(r *control.Relay)) *control.Status {
		r := control.Relay{RID: info.Founders[0].RID, Vouching: &control.Vouching{May: true, Day: 100, GapDays: 30}}
		r.Directory.Epoch, r.Directory.CurrentEpoch = 100, 100
		change(&r)
		return &control.Status{Network: control.Network{ID: info.NetworkID}, Relays: []control.Relay{r}}
	}
	for code, change := range map[string]func(r *control.Relay){
		"voucher_other_relay": func(r *control.Relay) { r.RID = strings.Repeat("0", 32) },
		"voucher_unknown":     func(r *control.Relay) { r.Vouching = nil },
		"voucher_behind":      func(r *control.Relay) { r.Directory.CurrentEpoch = 105 },
		"voucher_not_eligible": func(r *control.Relay) {
			r.Vouching.May, r.Vouching.Text = false, "it has served for 3 days, and must have for 60"
		},
	} {
		_, err := s.Vouch(status(change), identity, "", false)
		wantFault(t, err, code)
	}
	good := status(func(*control.Relay) {})
	for _, whom := range []string{"nobody", strings.Repeat("0", 64), strings.Repeat("f", 64)} {
		if _, err := s.Vouch(good, whom, "", false); err == nil {
			t.Errorf("vouches for %s", whom)
		}
	}
	_, err = s.Vouch(good, info.Founders[0].Identity, "", false)
	wantFault(t, err, "voucher_self")
	if made, err := s.Vouch(good, identity, "", false); err != nil || made.Others != 0 || made.GapDays != 30 {
		t.Fatalf("%+v %v", made, err)
	}
	_, err = s.Vouch(good, second, "", false)
	wantFault(t, err, "voucher_given")
	if text := err.Error(); !strings.Contains(text, "None is left") || !strings.Contains(text, "good through day 129") || !strings.Contains(fixOf(err), "the next counts 30 days after that") {
		t.Error(err)
	}
	// Several in a row: none that is good still is forgotten.
	if made, err := s.Vouch(good, second, "", true); err != nil || made.Others != 1 {
		t.Errorf("%+v %v", made, err)
	}
	_, third := newcomer(t, "127.0.0.1:9999")
	if made, err := s.Vouch(good, third, "", true); err != nil || made.Others != 2 {
		t.Errorf("%+v %v", made, err)
	}
	if made, err := s.Vouch(good, second, "", true); err != nil || made.Others != 2 {
		t.Errorf("for the same one again: %+v %v", made, err)
	}
	unlimited := status(func(r *control.Relay) { r.Vouching.GapDays = 0 })
	if made, err := s.Vouch(unlimited, third, "", false); err != nil || made.GapDays != 0 {
		t.Errorf("%+v %v", made, err)
	}
	spent := status(func(r *control.Relay) {
		r.Vouching = &control.Vouching{Text: "a newcomer is on the list", Day: 100, GapDays: 30, FromDay: 130, FromTime: time.Date(2027, 1, 2, 0, 0, 0, 0, time.UTC)}
	})
	_, err = s.Vouch(spent, identity, "", false)
	wantFault(t, err, "voucher_not_eligible")
	if !strings.Contains(err.Error(), "from day 130 of the network on, which begins at 2027-01-02 00:00:00 UTC") {
		t.Error(err)
	}
	later := status(func(r *control.Relay) { r.Vouching.Day = 130 })
	if made, err := s.Vouch(later, identity, "", false); err != nil || made.Others != 0 {
		t.Errorf("%+v %v", made, err)
	}
}

// TestAShortIdentityIsSaidToBeShort, and whose RID it is where that is known.
func TestAShortIdentityIsSaidToBeShort(t *testing.T) {
	full := strings.Repeat("ab", 16)
	list := &control.Relays{Relays: []control.ListedRelay{{RID: full}, {RID: "cd" + full[2:]}, {RID: "cd12" + full[4:]}}}
	for whom, want := range map[string]string{
		"abababababab": "it is the RID, or its beginning, of the relay " + full, full: "of the relay " + full, "ABABABABABAB": "of the relay " + full,
		"0f6d62e1": "0f6d62e1 has 8 digits, and an identity has 64", "cdab": "of the relay cd" + full[2:], strings.Repeat("1", 63): "has 63 digits",
	} {
		if f := ShortIdentity(whom, list); f == nil || !strings.Contains(f.Text, want) || !strings.Contains(f.Fix, "all 64 digits") {
			t.Errorf("%s: %+v", whom, f)
		}
		if f := ShortIdentity(whom, nil); f == nil || !strings.Contains(f.Text, "and an identity has 64") {
			t.Errorf("%s, without a list: %+v", whom, f)
		}
	}
	list.Relays[2].RID = "cdab" + full[4:]
	if f := ShortIdentity("cdab", list); f == nil || !strings.Contains(f.Text, "2 relays of the list") {
		t.Errorf("%+v", f)
	}
	t.Chdir(t.TempDir())
	if err := os.WriteFile("beef", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, whom := range []string{"beef", strings.Repeat("ab", 32), "abc", "maple.txt", ""} {
		if f := ShortIdentity(whom, list); f != nil {
			t.Errorf("%q: %+v", whom, f)
		}
	}
}
