// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"bytes"
	"crypto/rand"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"chive/directory/genesis"
	"chive/directory/record"
)

// founding makes n relays' state folders and founder's files, and the unsigned
// document of a testnet.
type founding struct {
	dir    string
	states []*State
	files  []string
	doc    string
}

func found(t *testing.T, n int, options func(i int) FounderOptions) *founding {
	t.Helper()
	w := &founding{dir: t.TempDir()}
	for i := range n {
		s := stateOf(t, filepath.Join(w.dir, "relay"+strconv.Itoa(i)))
		o := FounderOptions{Declaring: Declaring{Rate: "1 MiB/s"}}
		if options != nil {
			o = options(i)
		}
		if o.Addresses == nil {
			o.Addresses = []string{"127.0.0.1:" + strconv.Itoa(9240+i)}
		}
		o.Out = filepath.Join(w.dir, "founder"+strconv.Itoa(i))
		if _, err := s.Found(o, rand.Reader, time.Now()); err != nil {
			t.Fatal(err)
		}
		s.Close()
		w.states = append(w.states, s)
		w.files = append(w.files, o.Out)
	}
	w.doc = filepath.Join(w.dir, "genesis")
	if _, err := NewNetwork("demo", w.files, true, time.Now(), w.doc); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *founding) sign(t *testing.T) {
	t.Helper()
	for _, s := range w.states {
		if _, err := s.SignNetwork(w.doc, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFoundingANetwork(t *testing.T) {
	w := found(t, 3, func(i int) FounderOptions {
		o := FounderOptions{Declaring: Declaring{Rate: "10 Mbit/s", About: About{Contact: "ops@example.net"}}}
		if i == 2 {
			o.Exit, o.Family = "web", filepath.Join(t.TempDir(), "family.key")
		}
		return o
	})
	info, err := ShowNetwork(w.doc)
	if err != nil || info.Missing != 3 || len(info.Founders) != 3 || !info.Testnet || info.Name != "demo" {
		t.Fatalf("%+v, %v", info, err)
	}
	_, err = loadGenesis(w.doc)
	f := wantFault(t, err, "genesis_unsigned")
	if !strings.Contains(f.Text, "3 of its 3") || !strings.Contains(f.Fix, "network sign") {
		t.Errorf("%q, %q", f.Text, f.Fix)
	}
	_, findings, err := LintNetwork(w.doc, time.Now())
	if err != nil || len(findings) == 0 || !findings[len(findings)-1].Error {
		t.Errorf("an unsigned document passes: %v, %v", findings, err)
	}
	w.sign(t)
	if _, err := w.states[0].SignNetwork(w.doc, time.Now()); err != nil {
		t.Errorf("signing twice: %v", err)
	}
	doc, err := loadGenesis(w.doc)
	if err != nil {
		t.Fatal(err)
	}
	_, findings, err = LintNetwork(w.doc, time.Now())
	for _, f := range findings {
		if f.Error {
			t.Errorf("lint: %s", f.Text)
		}
	}
	if err != nil {
		t.Error(err)
	}
	exits := 0
	for _, f := range doc.Founders {
		if f.DeclaredRate != 10_000 {
			t.Errorf("declared %d kbit/s, want 10000", f.DeclaredRate)
		}
		if f.Roles&record.RoleExit != 0 {
			exits++
			if len(f.Family) == 0 || describePolicy(f.Policy) != "tcp 80, 443; udp 53, 443" {
				t.Errorf("family %x, policy %s", f.Family, describePolicy(f.Policy))
			}
		}
	}
	if exits != 1 {
		t.Errorf("%d exits, want 1", exits)
	}
}

func TestFounderFileIsStableAndKeysStay(t *testing.T) {
	dir := t.TempDir()
	s := stateOf(t, filepath.Join(dir, "state"))
	o := FounderOptions{Declaring: Declaring{Addresses: []string{"127.0.0.1:9240", "[::1]:9240"}, Rate: "1 MiB/s"}, Out: filepath.Join(dir, "one")}
	first, err := s.Found(o, rand.Reader, time.Now())
	if err != nil || !first.KeysMade {
		t.Fatal(first, err)
	}
	o.Out = filepath.Join(dir, "two")
	second, err := s.Found(o, rand.Reader, time.Now().Add(time.Hour))
	if err != nil || second.KeysMade || second.Identity != first.Identity {
		t.Fatal(second, err)
	}
	a, errA := os.ReadFile(first.File)
	b, errB := os.ReadFile(second.File)
	if errA != nil || errB != nil || !bytes.Equal(a, b) {
		t.Error("the same relay writes another file the second time")
	}
	if info, err := os.Stat(second.File); err != nil || info.Mode().Perm()&0o044 == 0 {
		t.Error("a founder's file is public, but others cannot read it")
	}
}

func TestFounderMistakes(t *testing.T) {
	dir := t.TempDir()
	taken := filepath.Join(dir, "taken")
	if err := os.WriteFile(taken, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	rules := filepath.Join(dir, "rules")
	if err := os.WriteFile(rules, []byte("# mine\naccept tcp *:99999\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	nothing, narrow := filepath.Join(dir, "nothing"), filepath.Join(dir, "narrow")
	for path, text := range map[string]string{nothing: "# all of it later\nreject *:*\n", narrow: "accept tcp 203.0.113.7:443\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	good := FounderOptions{Declaring: Declaring{Addresses: []string{"127.0.0.1:9240"}, Rate: "1 MiB/s"}, Out: filepath.Join(dir, "out")}
	for _, c := range []struct {
		name, code string
		change     func(o *FounderOptions)
	}{
		{"no address", "address_missing", func(o *FounderOptions) { o.Addresses = nil }},
		{"a name", "address", func(o *FounderOptions) { o.Addresses = []string{"example.net:9240"} }},
		{"no port", "address", func(o *FounderOptions) { o.Addresses = []string{"127.0.0.1"} }},
		{"unspecified", "address", func(o *FounderOptions) { o.Addresses = []string{"0.0.0.0:9240"} }},
		{"three of one version", "address", func(o *FounderOptions) {
			o.Addresses = []string{"127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"}
		}},
		{"bare rate", "rate", func(o *FounderOptions) { o.Rate = "1000" }},
		{"tiny rate", "rate_small", func(o *FounderOptions) { o.Rate = "1 B/s" }},
		{"no rate at all", "rate_small", func(o *FounderOptions) { o.Rate = "0 B/s" }},
		{"rate beyond the record", "rate", func(o *FounderOptions) { o.Rate = "100000 GB/s" }},
		{"unknown exit", "exit_unknown", func(o *FounderOptions) { o.Exit = "everything" }},
		{"bad rule", "exit_policy", func(o *FounderOptions) { o.Exit = rules }},
		{"rules that permit nothing", "exit_policy", func(o *FounderOptions) { o.Exit = nothing }},
		{"rules that clients do not see", "exit_policy", func(o *FounderOptions) { o.Exit = narrow }},
		{"exit without contact", "contact_missing", func(o *FounderOptions) { o.Exit = "web" }},
		{"blank contact", "contact_missing", func(o *FounderOptions) { o.Exit, o.About.Contact = "web", " " }},
		{"long contact", "contact", func(o *FounderOptions) { o.About.Contact = strings.Repeat("x", record.MaxContactSize+1) }},
		{"contact of two lines", "contact", func(o *FounderOptions) { o.About.Contact = "a\nb" }},
		{"long nickname", "nickname", func(o *FounderOptions) { o.About.Nickname = strings.Repeat("x", record.MaxNicknameSize+1) }},
		{"odd nickname", "nickname", func(o *FounderOptions) { o.About.Nickname = "a b" }},
		{"no file", "out_missing", func(o *FounderOptions) { o.Out = "" }},
		{"taken file", "file_exists", func(o *FounderOptions) { o.Out = taken }},
		{"no folder", "file_missing", func(o *FounderOptions) { o.Out = filepath.Join(dir, "none", "out") }},
		{"family is no key", "key_damaged", func(o *FounderOptions) { o.Family = taken }},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := good
			c.change(&o)
			s := stateOf(t, filepath.Join(t.TempDir(), "state"))
			_, err := s.Found(o, rand.Reader, time.Now())
			if f := wantFault(t, err, c.code); f.Kind != Usage {
				t.Errorf("kind %d, want usage", f.Kind)
			}
		})
	}
	for path, want := range map[string]string{nothing: "permits nothing", narrow: "permits nothing that could be reached: line 1"} {
		if f := wantFault(t, policyFault(path), "exit_policy"); !strings.Contains(f.Text, want) {
			t.Errorf("%q, want %q", f.Text, want)
		}
	}
	f := wantFault(t, policyFault(rules), "exit_policy")
	if !strings.Contains(f.Text, "line 2") || !strings.Contains(f.Text, "*:99999") {
		t.Errorf("%q does not name line and rule", f.Text)
	}
}

func policyFault(path string) error { _, _, err := readPolicy(path); return err }

func errOf[T any](_ T, err error) error { return err }

func TestNetworkMistakes(t *testing.T) {
	w := found(t, 3, nil)
	fresh := filepath.Join(w.dir, "fresh")
	now := time.Now()
	wantFault(t, errOf(NewNetwork("demo", nil, true, now, fresh)), "founders_missing")
	wantFault(t, errOf(NewNetwork("demo", w.files, true, now, w.doc)), "file_exists")
	wantFault(t, errOf(NewNetwork("demo", []string{w.dir + "/none"}, true, now, fresh)), "file_missing")
	wantFault(t, errOf(NewNetwork("demo", []string{w.doc}, true, now, fresh)), "file_too_large")
	wantFault(t, errOf(NewNetwork("De mo", w.files, true, now, fresh)), "genesis_refused")
	wantFault(t, errOf(NewNetwork("demo", append(w.files, w.files[0]), true, now, fresh)), "genesis_refused")
	f := wantFault(t, errOf(NewNetwork("demo", w.files, false, now, fresh)), "genesis_refused")
	if lines := strings.Split(f.Text, "\n"); len(lines) < 3 || !strings.Contains(f.Text, "\n  A public network needs at least 7 founders") {
		t.Errorf("%q does not say how many founders a public network needs, on a line of its own", f.Text)
	}
	if !strings.Contains(f.Fix, "--testnet") {
		t.Errorf("fix %q", f.Fix)
	}

	changed, err := os.ReadFile(w.files[0])
	if err != nil {
		t.Fatal(err)
	}
	changed[len(changed)/2] ^= 1
	forged := filepath.Join(w.dir, "forged")
	if err := os.WriteFile(forged, changed, 0o600); err != nil {
		t.Fatal(err)
	}
	wantFault(t, errOf(NewNetwork("demo", []string{forged}, true, now, fresh)), "founder_damaged")

	other := stateOf(t, filepath.Join(w.dir, "other"))
	wantFault(t, errOf(other.SignNetwork(w.doc, time.Now())), "keys_missing")
	if err := other.createKeys(rand.Reader, now); err != nil {
		t.Fatal(err)
	}
	wantFault(t, errOf(other.SignNetwork(w.doc, time.Now())), "not_founder")
	wantFault(t, errOf(other.SignNetwork(w.files[0], time.Now())), "genesis_is_founder")
	wantFault(t, errOf(loadGenesis(w.dir+"/none")), "file_missing")
	if f := wantFault(t, errOf(loadGenesis("")), "no_network"); f.Kind != Unreachable {
		t.Errorf("kind %d, want unreachable (NET-1)", f.Kind)
	}
	if _, err := os.Stat(fresh); err == nil {
		t.Error("a refused network left a file")
	}
}

// TestANetworkThatBeginsLaterIsNotSigned: the clock of its maker was fast, or this one is slow. A
// document that is a moment ahead, or long since made, is signed.
func TestANetworkThatBeginsLaterIsNotSigned(t *testing.T) {
	w := found(t, 3, nil)
	info, err := ShowNetwork(w.doc)
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(w.doc)
	if err != nil {
		t.Fatal(err)
	}
	warned := func(now time.Time) bool {
		_, findings, err := LintNetwork(w.doc, now)
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(findings, func(f Finding) bool {
			return !f.Error && !f.Good && strings.Contains(f.Text, "The network demo begins at ") && strings.Contains(f.Text, "Set this machine's clock")
		})
	}
	for off, much := range map[time.Duration]string{-3 * time.Hour: "3 hours before", -30 * 24 * time.Hour: "30 days before", -61 * time.Second: "61 seconds before"} {
		now := info.Time.Add(off)
		f := wantFault(t, errOf(w.states[0].SignNetwork(w.doc, now)), "genesis_ahead")
		if f.Kind != Usage || !strings.Contains(f.Text, "is not signed. The network demo begins at "+info.Time.Format(time.DateTime)+" UTC") || !strings.Contains(f.Text, much) ||
			!strings.Contains(f.Fix, "Set this machine's clock") || !strings.Contains(f.Fix, "chive network new") {
			t.Errorf("%v: %q, %q", off, f.Text, f.Fix)
		}
		if !warned(now) {
			t.Errorf("%v: lint does not say so", off)
		}
	}
	if after, err := os.ReadFile(w.doc); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the document was changed: %v", err)
	}
	if _, _, bound, err := w.states[0].readBinding(networkFile); bound || err != nil {
		t.Errorf("the folder was bound to that network: %v, %v", bound, err)
	}
	for i, off := range []time.Duration{-genesisSlack, 0, 60 * 24 * time.Hour} {
		if _, err := w.states[i].SignNetwork(w.doc, info.Time.Add(off)); err != nil {
			t.Errorf("%v: %v", off, err)
		}
		if warned(info.Time.Add(off)) {
			t.Errorf("%v: lint warns", off)
		}
	}
}

// TestTamperedGenesisIsRefused: no single flipped bit passes.
func TestTamperedGenesisIsRefused(t *testing.T) {
	w := found(t, 3, nil)
	w.sign(t)
	good, err := os.ReadFile(w.doc)
	if err != nil {
		t.Fatal(err)
	}
	bad := filepath.Join(w.dir, "bad")
	codes := map[string]bool{}
	for i := 0; i < len(good); i += 7 {
		data := bytes.Clone(good)
		data[i] ^= 1 << (i % 8)
		if err := os.WriteFile(bad, data, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := loadGenesis(bad)
		var f *Fault
		if err == nil {
			t.Fatalf("bit %d of byte %d may be flipped", i%8, i)
		} else if f = wantFault(t, err, codeOf(err)); f.Kind != Usage {
			t.Fatalf("kind %d", f.Kind)
		}
		codes[f.Code] = true
	}
	if !codes["genesis_forged"] || !codes["genesis_damaged"] {
		t.Errorf("codes %v", codes)
	}
	doc, err := genesis.Parse(good)
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(w.dir, "a", "kept")
	if err := MakeGenesisFolder(folder); err != nil {
		t.Fatal(err)
	}
	path, err := WriteGenesis(folder, doc)
	if err != nil {
		t.Fatal(err)
	}
	wantFault(t, MakeGenesisFolder(folder), "folder_used")
	wantFault(t, errOf(WriteGenesis(folder, doc)), "file_exists")
	wantFault(t, MakeGenesisFolder(bad), "folder_is_file")
	wantFault(t, MakeGenesisFolder(bad+"/below"), "file_missing")
	wantFault(t, MakeGenesisFolder(""), "folder_missing")
	if kept, err := os.ReadFile(path); err != nil || !bytes.Equal(kept, good) {
		t.Error("WriteGenesis writes another document")
	}
}

func codeOf(err error) string {
	if f, ok := err.(*genesisError); ok {
		return f.Code
	}
	return "genesis_damaged"
}

func TestDeclarationsAreKeptAndOverridden(t *testing.T) {
	s := stateOf(t, t.TempDir()+"/state")
	rules := filepath.Join(t.TempDir(), "rules")
	if err := os.WriteFile(rules, []byte("accept tcp *:25\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	keep := func(o Declaring) {
		t.Helper()
		d, err := s.declare(o)
		if err == nil {
			err = s.keepDeclared(d)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	keep(Declaring{Addresses: []string{"127.0.0.1:1", "[::1]:1"}, Rate: "2 MB/s", Exit: rules, About: About{Nickname: "one", Contact: "a@example.net"}})
	keep(Declaring{About: About{Nickname: "two"}})
	got, err := s.declare(Declaring{})
	if err != nil || got.About != (About{Nickname: "two", Contact: "a@example.net"}) || got.RateKbit != 16_000 || len(got.Addresses) != 2 || describePolicy(got.policy.Summary()) != "tcp 25" {
		t.Fatalf("%+v, %v", got, err)
	}
	keep(Declaring{Exit: "web"})
	if got, err = s.declare(Declaring{}); err != nil || got.Exit != "web" || describePolicy(got.policy.Summary()) != "tcp 80, 443; udp 53, 443" {
		t.Errorf("%+v, %v", got, err)
	}
	keep(Declaring{Exit: rules})
	if err := os.Remove(s.path(policyFile)); err != nil {
		t.Fatal(err)
	}
	wantFault(t, errOf(s.declare(Declaring{})), "exit_missing")
	for _, bad := range []string{"no json", `{"exit":"all"}`, `{"addresses":["0.0.0.0:1"]}`, `{"nickname":"a b"}`, `{"family":{"key":"AAAA"}}`, `{"rate_kbit_per_secone":9}`, `{} {}`} {
		if err := os.WriteFile(s.path(aboutFile), []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		wantFault(t, errOf(s.declare(Declaring{})), "about_damaged")
	}
}

func TestPoliciesInWords(t *testing.T) {
	for want, p := range map[string][]record.PortRange{
		"nothing":           nil,
		"udp *":             {{Protocol: record.UDP, First: 1, Last: 65535}},
		"tcp 1, 5-9; udp 3": {{Protocol: record.TCP, First: 1, Last: 1}, {Protocol: record.TCP, First: 5, Last: 9}, {Protocol: record.UDP, First: 3, Last: 3}},
		"tcp 2, 4, 6, 8, 10, 12, 14, 16 and more": evenPorts(9),
	} {
		if got := describePolicy(p); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func evenPorts(n int) (out []record.PortRange) {
	for i := range uint16(n) {
		out = append(out, record.PortRange{Protocol: record.TCP, First: 2*i + 2, Last: 2*i + 2})
	}
	return out
}
