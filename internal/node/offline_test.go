// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"chive/internal/agefile"
)

// away moves the identity key of a relay into a folder of its own, as its operator does.
func away(t *testing.T, s *State) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "identity")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(s.path(keysFolder), identityFile), filepath.Join(dir, identityFile)); err != nil {
		t.Fatal(err)
	}
	if r, err := s.Init(InitOptions{Offline: dir}, rand.Reader, time.Now()); err != nil || r.KeysMade || !r.Offline {
		t.Fatalf("%+v, %v", r, err)
	}
	s.Close()
	return dir
}

// certify is the way of the three commands.
func certify(t *testing.T, s *State, dir string, days int, now time.Time) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "maple.request")
	asked, err := s.Request(file, "", false, rand.Reader, now)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := SignRequest(dir, file, "", days, now)
	if err != nil || signed.Fingerprint != asked.Fingerprint || signed.Identity != asked.Identity || signed.Answer != strings.TrimSuffix(file, "request")+"answer" {
		t.Fatalf("%+v, %v", signed, err)
	}
	if want := now.Add(time.Duration(days)*24*time.Hour - clockGrace).Truncate(time.Second); !signed.Ends.Equal(want) {
		t.Errorf("it ends %v, not %v", signed.Ends, want)
	}
	done, err := s.Install(signed.Answer, now)
	if err != nil || done.Links != days+1 || !done.Ends.Equal(signed.Ends) || done.Network != asked.Network {
		t.Fatalf("%+v, %v", done, err)
	}
	return signed.Answer
}

// TestARelayRunsWithoutItsIdentityKey in a network of three, and a client fetches a page
// through it. Spec: product REL-12.
func TestARelayRunsWithoutItsIdentityKey(t *testing.T) {
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "the page") }))
	defer page.Close()
	rules := filepath.Join(t.TempDir(), "rules")
	if err := os.WriteFile(rules, []byte("accept tcp *:"+page.URL[strings.LastIndex(page.URL, ":")+1:]+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w := found(t, 3, func(i int) FounderOptions {
		o := FounderOptions{Declaring: Declaring{Addresses: []string{freePort(t)}, About: About{Contact: "ops@example.net"}}}
		if i == 2 {
			o.Exit = rules
		}
		return o
	})
	w.sign(t)
	info, err := ShowNetwork(w.doc)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	numbers := ""
	for i, s := range w.states {
		o := RelayOptions{State: s.Dir(), Genesis: w.doc, Listen: listenOf(t, s, info)}
		if i == 2 {
			o.Exit = rules
		}
		if i == 0 {
			o.Metrics = freePort(t)
			numbers = o.Metrics
		}
		dir := away(t, s)
		wantFault(t, runFor(t, o), "certificates_missing")
		certify(t, s, dir, 1+i, time.Now())
		if _, err := os.Stat(filepath.Join(s.path(keysFolder), identityFile)); err == nil {
			t.Fatal("the identity key is here")
		}
		ready := make(chan RelayReady, 1)
		o.Ready = func(r RelayReady) { ready <- r }
		ended := make(chan error, 1)
		running.Go(func() {
			err := RunRelay(ctx, o)
			if err != nil {
				t.Errorf("relay %d: %v", i, err)
			}
			ended <- err
		})
		select {
		case <-ready:
		case err := <-ended:
			t.Fatalf("relay %d: %v", i, err)
		}
	}
	o := ClientOptions{State: filepath.Join(w.dir, "client"), Genesis: w.doc, Socks: SocksOptions{Addrs: []string{"127.0.0.1:0"}}, Wait: 30 * time.Second}
	withClient(t, ctx, o, func(socks string) { fetchThrough(t, socks, page.URL) })

	metrics := string(fetched(t, "http://"+numbers+"/metrics"))
	for _, kind := range []string{"signing", "link"} {
		if !strings.Contains(metrics, `chive_relay_cert_expiry_timestamp_seconds{kind="`+kind+`"} `) {
			t.Errorf("no time of %s", kind)
		}
	}

	// New certificates and a spent link key while it runs.
	s := w.states[0]
	if keys, err := s.loadKeys(); err != nil || keys.identity != nil {
		t.Fatalf("%v", err)
	}
	if r, err := s.RotateLink(time.Now()); err != nil || r.Left != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	wantFault(t, errOf(s.RotateLink(time.Now())), "link_last")
}

func fetched(t *testing.T, url string) []byte {
	t.Helper()
	answer, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// offlineRelay makes a relay whose identity is in dir, bound to a network.
func offlineRelay(t *testing.T) (s *State, dir string) {
	t.Helper()
	w := found(t, 3, nil)
	w.sign(t)
	dir = filepath.Join(t.TempDir(), "identity")
	made, err := InitOffline(dir, rand.Reader, testStart)
	if err != nil {
		t.Fatal(err)
	}
	s = stateOf(t, filepath.Join(t.TempDir(), "relay"))
	r, err := s.Init(InitOptions{Declaring: declaring("127.0.0.1:9241"), Genesis: w.doc, Offline: dir}, rand.Reader, testStart)
	if err != nil || !r.KeysMade || !r.Offline || r.Certified || r.Identity != made.Identity {
		t.Fatalf("%+v, %v", r, err)
	}
	s.Close()
	return s, dir
}

// TestKeysOfAnOfflineIdentityAreListed, with their ends, and none of their secrets.
func TestKeysOfAnOfflineIdentityAreListed(t *testing.T) {
	s, dir := offlineRelay(t)
	now := time.Now()
	certify(t, s, dir, 30, now)
	if _, err := s.Request(filepath.Join(t.TempDir(), "next.request"), "", false, rand.Reader, now); err != nil {
		t.Fatal(err)
	}
	keys, err := s.Keys()
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, k := range keys {
		count[k.Use]++
		if k.Public == "" || k.File == "" {
			t.Errorf("%+v", k)
		}
	}
	if count["identity"] != 1 || count["signing"] != 1 || count["link"] != 31 || count["request"] != 1 || count["vrf"] != 1 || count["onion"] != 2 {
		t.Errorf("%v", count)
	}
	if r, err := s.RotateLink(now); err != nil || r.Left != 30 {
		t.Errorf("%+v, %v", r, err)
	}
	spent := 0
	if keys, err = s.Keys(); err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		if k.Spent {
			spent++
		}
	}
	if spent != 1 {
		t.Errorf("%d are spent", spent)
	}
	loaded, err := s.loadKeys()
	if err != nil {
		t.Fatal(err)
	}
	defer loaded.wipe()
	for _, v := range []any{loaded, loaded.offline.certified, loaded.offline.requested} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%x"} {
			if got := fmt.Sprintf(verb, v); !strings.Contains(got, "redacted") {
				t.Errorf("%s prints %s", verb, got)
			}
		}
	}
	for path, data := range filesOf(t, s) { // KEY-4
		info, err := os.Stat(path)
		if err != nil || runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
		_ = data
	}
}

// TestABackupOfAnOfflineRelayBringsItBack, with what was certified, and never its identity.
func TestABackupOfAnOfflineRelayBringsItBack(t *testing.T) {
	s, dir := offlineRelay(t)
	now := time.Now()
	certify(t, s, dir, 2, now)
	if _, err := s.Request(filepath.Join(t.TempDir(), "next.request"), "", false, rand.Reader, now); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "backup.age")
	made, err := s.writeBackup(file, testPassphrase, now, 1)
	if err != nil || made.Keys != 6 {
		t.Fatalf("%+v, %v", made, err)
	}
	again := stateOf(t, filepath.Join(t.TempDir(), "again"))
	back, err := again.ReadBackup(file, testPassphrase, now)
	if err != nil || back.Identity != made.Identity || back.Keys != made.Keys {
		t.Fatalf("%+v, %v", back, err)
	}
	again.Close()
	for _, name := range []string{offlinePublicFile, certifiedFile, requestedFile} {
		a, errA := os.ReadFile(filepath.Join(s.path(keysFolder), name))
		b, errB := os.ReadFile(filepath.Join(again.path(keysFolder), name))
		if errA != nil || errB != nil || !bytes.Equal(a, b) {
			t.Errorf("%s: %v, %v", name, errA, errB)
		}
	}
	certify(t, again, dir, 1, now) // it asks what the backup's request asked
}

// TestTwoIdentitiesInABackupAreNone.
func TestTwoIdentitiesInABackupAreNone(t *testing.T) {
	s, dir := offlineRelay(t)
	loaded, err := s.loadKeys()
	if err != nil {
		t.Fatal(err)
	}
	defer loaded.wipe()
	files, err := loaded.packed()
	if err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(filepath.Join(dir, identityFile))
	if err != nil {
		t.Fatal(err)
	}
	note := packed{backupNote, []byte(backupFirst + "\n" + testStart.UTC().Format(time.RFC3339) + "\n\n")}
	files = append([]packed{note}, append(files, packed{keysFolder + "/" + identityFile, key})...)
	archive, err := pack(files, testStart)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := agefile.Seal(testPassphrase, archive, 1)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "both.age")
	if err := os.WriteFile(file, sealed, 0o600); err != nil {
		t.Fatal(err)
	}
	wantFault(t, errOf(stateOf(t, filepath.Join(t.TempDir(), "again")).ReadBackup(file, testPassphrase, testStart)), "backup_unknown")
}

// TestOfflineMistakes: each says what to do, and nothing is lost.
func TestOfflineMistakes(t *testing.T) {
	s, dir := offlineRelay(t)
	other, otherDir := offlineRelay(t)
	online, _ := ringOf(t)
	now := time.Now()
	temp := t.TempDir()
	at := func(name string) string { return filepath.Join(temp, name) }
	put := func(name, text string) string {
		if err := os.WriteFile(at(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return at(name)
	}
	ask := func(s *State, name string) string {
		t.Helper()
		if _, err := s.Request(at(name), "", false, rand.Reader, now); err != nil {
			t.Fatal(err)
		}
		return at(name)
	}
	read := func(path string) string {
		t.Helper()
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	file, foreign := ask(s, "a.request"), ask(other, "b.request")
	before := filesOf(t, s)
	answer := func(file, dir, out string, days int, when time.Time) string {
		t.Helper()
		r, err := SignRequest(dir, file, at(out), days, when)
		if err != nil {
			t.Fatal(err)
		}
		return r.Answer
	}
	damage := func(text string) string {
		i := strings.Index(text, "\n") + 200
		c := byte('A')
		if text[i] == c {
			c = 'B'
		}
		return text[:i] + string(c) + text[i+1:]
	}
	// Making an identity, and asking.
	wantFault(t, errOf(InitOffline(dir, rand.Reader, now)), "identity_there")
	wantFault(t, errOf(InitOffline("", rand.Reader, now)), "folder_missing")
	wantFault(t, errOf(InitOffline(put("file", ""), rand.Reader, now)), "folder_is_file")
	wantFault(t, errOf(s.Request(file, "", false, rand.Reader, now)), "file_exists")
	wantFault(t, errOf(online.Request(at("c.request"), "", false, rand.Reader, now)), "identity_not_offline")
	fresh := stateOf(t, filepath.Join(temp, "fresh"))
	if _, err := fresh.Init(InitOptions{Declaring: declaring("127.0.0.1:9241"), Offline: filepath.Join(dir, offlinePublicFile)}, rand.Reader, now); err != nil {
		t.Fatal(err)
	}
	wantFault(t, errOf(fresh.Request(at("c.request"), "", false, rand.Reader, now)), "network_unknown")
	wantFault(t, errOf(fresh.Install(answer(file, dir, "early.answer", 1, now), now)), "answer_unasked")
	// Adopting one.
	wantFault(t, errOf(online.Init(InitOptions{Declaring: declaring("127.0.0.1:9241"), Offline: dir}, rand.Reader, now)), "identity_online")
	wantFault(t, errOf(s.Init(InitOptions{Offline: otherDir}, rand.Reader, now)), "identity_other")
	wantFault(t, errOf(s.Init(InitOptions{Offline: temp}, rand.Reader, now)), "identity_missing")
	wantFault(t, errOf(s.Init(InitOptions{Offline: put("damaged.pub", "x")}, rand.Reader, now)), "identity_damaged")
	wantFault(t, errOf(s.Init(InitOptions{Offline: at("nothing")}, rand.Reader, now)), "file_missing")
	s.Close()
	if r, err := s.Init(InitOptions{Offline: dir}, rand.Reader, now); err != nil || r.KeysMade { // again: nothing happens
		t.Errorf("%+v, %v", r, err)
	}
	s.Close()
	// Signing.
	for _, days := range []int{-1, 0, 31, 1 << 40} {
		wantFault(t, errOf(SignRequest(dir, file, at("x"), days, now)), "days")
	}
	wantFault(t, errOf(SignRequest("", file, at("x"), 30, now)), "identity_missing")
	wantFault(t, errOf(SignRequest(emptyFolder(t), file, at("x"), 30, now)), "identity_missing")
	wantFault(t, errOf(SignRequest(temp, file, at("x"), 30, now)), "permissions")
	wantFault(t, errOf(SignRequest(dir, at("none"), at("x"), 30, now)), "file_missing")
	wantFault(t, errOf(SignRequest(dir, put("damaged.request", damage(read(file))), at("x"), 30, now)), "request_damaged")
	wantFault(t, errOf(SignRequest(dir, put("large.request", strings.Repeat("x", maxRequestSize+1)), at("x"), 30, now)), "file_too_large")
	wantFault(t, errOf(SignRequest(dir, foreign, at("x"), 30, now)), "request_other_identity")
	wantFault(t, errOf(SignRequest(dir, file, at("x"), 30, now.Add(-2*time.Hour))), "clock")
	wantFault(t, errOf(SignRequest(dir, file, file, 30, now)), "file_exists")
	// Installing.
	good := answer(file, dir, "good.answer", 30, now)
	wantFault(t, errOf(s.Install(at("none"), now)), "file_missing")
	wantFault(t, errOf(s.Install(file, now)), "answer_damaged")
	wantFault(t, errOf(s.Install(put("damaged.answer", damage(read(good))), now)), "answer_damaged")
	wantFault(t, errOf(s.Install(put("large.answer", strings.Repeat("x", maxAnswerSize+1)), now)), "file_too_large")
	wantFault(t, errOf(s.Install(answer(foreign, otherDir, "b.answer", 30, now), now)), "answer_other_relay")
	wantFault(t, errOf(online.Install(good, now)), "identity_not_offline")
	wantFault(t, errOf(s.Install(good, now.Add(30*24*time.Hour))), "answer_expired")
	wantFault(t, errOf(s.Install(good, now.Add(-2*time.Hour))), "answer_times")
	wantFault(t, errOf(s.Install(answer(file, dir, "soon.answer", 1, now.Add(72*time.Hour)), now)), "answer_times")
	if !sameFiles(before, filesOf(t, s)) {
		t.Error("something was changed")
	}
	// The relay of one identity in another network.
	elsewhere := stateOf(t, filepath.Join(temp, "elsewhere"))
	w := found(t, 3, nil)
	w.sign(t)
	if _, err := elsewhere.Init(InitOptions{Declaring: declaring("127.0.0.1:9241"), Genesis: w.doc, Offline: dir}, rand.Reader, now); err != nil {
		t.Fatal(err)
	}
	elsewhere.Close()
	ask(elsewhere, "e.request")
	wantFault(t, errOf(elsewhere.Install(good, now)), "answer_other_network")
	// A request that is not the one that waits.
	if r, err := s.Request(at("again.request"), "", false, rand.Reader, now.Add(time.Hour)); err != nil || read(at("again.request")) != read(file) || !r.Made.Equal(now.UTC().Truncate(time.Second)) {
		t.Errorf("the request that waits is written otherwise: %v", err)
	}
	if _, err := s.Request(at("new.request"), "", true, rand.Reader, now); err != nil || read(at("new.request")) == read(file) {
		t.Errorf("a new one: %v", err)
	}
	wantFault(t, errOf(s.Install(good, now)), "answer_other_request")
	good = answer(at("new.request"), dir, "new.answer", 30, now)
	if _, err := s.Install(good, now); err != nil {
		t.Fatal(err)
	}
	wantFault(t, errOf(s.Install(good, now)), "answer_used")
	if _, err := s.Request(at("later.request"), "", false, rand.Reader, now); err != nil {
		t.Fatal(err)
	}
	wantFault(t, errOf(s.Install(good, now)), "answer_used")
	// What only the identity signs.
	wantFault(t, errOf(s.Found(FounderOptions{Declaring: declaring("127.0.0.1:9241"), Out: at("founder")}, rand.Reader, now)), "identity_offline")
	wantFault(t, errOf(online.RotateLink(now)), "link_in_memory")
	wantFault(t, errOf(elsewhere.RotateLink(now)), "certificates_missing")
	wantFault(t, errOf(s.RotateLink(now.Add(30*24*time.Hour))), "certificates_over")
	// Files that do not belong together, or are damaged.
	keys := s.path(keysFolder)
	was := read(filepath.Join(keys, certifiedFile))
	spoil := func(name, text, code string) {
		t.Helper()
		path := filepath.Join(keys, name)
		old, err := os.ReadFile(path)
		if werr := os.WriteFile(path, []byte(text), 0o600); werr != nil {
			t.Fatal(werr)
		}
		wantFault(t, errOf(s.Keys()), code)
		if err != nil {
			_ = os.Remove(path)
		} else if err := os.WriteFile(path, old, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	spoil(certifiedFile, damage(was), "key_damaged")
	spoil(requestedFile, "", "key_damaged")
	spoil(offlinePublicFile, "x", "identity_damaged")
	spoil(offlinePublicFile, read(filepath.Join(otherDir, offlinePublicFile)), "key_mixed")
	spoil(identityFile, read(filepath.Join(dir, identityFile)), "identity_twice")
	if runtime.GOOS != "windows" {
		if err := os.Chmod(filepath.Join(keys, certifiedFile), 0o640); err != nil {
			t.Fatal(err)
		}
		wantFault(t, errOf(s.Keys()), "permissions")
		if err := os.Chmod(filepath.Join(keys, certifiedFile), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(dir, identityFile), 0o644); err != nil {
			t.Fatal(err)
		}
		wantFault(t, errOf(SignRequest(dir, at("later.request"), at("x"), 30, now)), "permissions")
	}
	if _, err := s.Keys(); err != nil {
		t.Error(err)
	}
}

// TestAKillBetweenTheStepsOfAnInstallationLosesNothing: the answer is in force, and the next
// request is another one.
func TestAKillBetweenTheStepsOfAnInstallationLosesNothing(t *testing.T) {
	s, dir := offlineRelay(t)
	now := time.Now()
	waits := filepath.Join(s.path(keysFolder), requestedFile)
	for _, again := range []bool{true, false} {
		file := filepath.Join(t.TempDir(), "a.request")
		if _, err := s.Request(file, "", false, rand.Reader, now); err != nil {
			t.Fatal(err)
		}
		kept, err := os.ReadFile(waits)
		if err != nil {
			t.Fatal(err)
		}
		signed, err := SignRequest(dir, file, "", 30, now)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Install(signed.Answer, now); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(waits, kept, 0o600); err != nil { // the kill
			t.Fatal(err)
		}
		if again {
			wantFault(t, errOf(s.Install(signed.Answer, now)), "answer_used")
			if _, err := os.Stat(waits); err == nil {
				t.Error("what was asked is kept")
			}
		}
		certify(t, s, dir, 30, now)
	}
}

// TestARelayWithoutGoodCertificatesDoesNotStart, and says why.
func TestARelayWithoutGoodCertificatesDoesNotStart(t *testing.T) {
	s, dir := offlineRelay(t)
	now := time.Now()
	certify(t, s, dir, 5, now)
	keys, err := s.loadKeys()
	if err != nil {
		t.Fatal(err)
	}
	defer keys.wipe()
	w := found(t, 3, nil)
	w.sign(t)
	foreign, err := loadGenesis(w.doc)
	if err != nil {
		t.Fatal(err)
	}
	doc := *foreign
	wantFault(t, errOf(s.openCertified(keys, &doc, now)), "certificates_other_network")
	line, err := s.boundNetwork()
	if err != nil {
		t.Fatal(err)
	}
	keys.offline.certified.answer.nid = doc.NetworkID() // for this network, if line were
	if line == networkLine(&doc) {
		t.Fatal("one network")
	}
	wantFault(t, errOf(s.openCertified(keys, &doc, now.Add(5*24*time.Hour))), "certificates_over")
	keys.offline.certified.relay.Cert.NotAfter = now.Add(31 * 24 * time.Hour)
	wantFault(t, errOf(s.openCertified(keys, &doc, now)), "certificates_ahead")
}

// TestARunningRelaySeesNewCertificates, and keeps what it has when the file is gone.
func TestARunningRelaySeesNewCertificates(t *testing.T) {
	s, dir := offlineRelay(t)
	now := time.Now()
	certify(t, s, dir, 5, now)
	keys, err := s.loadKeys()
	if err != nil {
		t.Fatal(err)
	}
	defer keys.wipe()
	source := &certifiedSource{folder: keys.folder, identity: keys.offline.public, nid: keys.offline.certified.answer.nid}
	first, err := source.Certified()
	if err != nil {
		t.Fatal(err)
	}
	if again, err := source.Certified(); err != nil || again != first {
		t.Errorf("it is read anew: %v", err)
	}
	certify(t, s, dir, 9, now)
	second, err := source.Certified()
	if err != nil || second == first || !second.Ends().After(first.Ends()) {
		t.Errorf("it is not seen: %v", err)
	}
	path := filepath.Join(keys.folder, certifiedFile)
	for _, spoil := range []func() error{
		func() error { return os.WriteFile(path, []byte("x"), 0o600) },
		func() error { return os.Remove(path) },
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		if held, err := source.Certified(); err != nil || held != second {
			t.Errorf("it has lost what it had: %v", err)
		}
	}
	if _, err := (&certifiedSource{folder: keys.folder, identity: keys.offline.public, nid: source.nid}).Certified(); err == nil {
		t.Error("nothing is something")
	}
	// Another relay's are not taken.
	foreign, foreignDir := offlineRelay(t)
	certify(t, foreign, foreignDir, 9, now)
	data, err := os.ReadFile(filepath.Join(foreign.path(keysFolder), certifiedFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if held, err := source.Certified(); err != nil || held != second {
		t.Errorf("another's were taken: %v", err)
	}
}

// emptyFolder is one that only its owner can enter.
func emptyFolder(t *testing.T) string {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}
