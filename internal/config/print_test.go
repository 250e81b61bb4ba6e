// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the table of docs/configuration.md anew")

// page is the documentation of the configuration; the table stands between the marks.
const (
	page      = "../../docs/configuration.md"
	pageBegin = "<!-- Made from internal/config/table.go: go test ./internal/config -run Page -update -->\n\n"
	pageEnd   = "\n<!-- End of what is made. -->\n"
)

// TestPageOfDocumentationIsTheTable: docs/configuration.md says of every key what the
// program does.
func TestPageOfDocumentationIsTheTable(t *testing.T) {
	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(data), pageBegin)
	made, after, ended := strings.Cut(rest, pageEnd)
	if !ok || !ended {
		t.Fatal("the marks are gone")
	}
	if *update {
		if err := os.WriteFile(page, []byte(before+pageBegin+Reference()+pageEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if made != Reference() {
		t.Error("docs/configuration.md differs from the table: go test ./internal/config -run Page -update")
	}
}

var commentedKey = regexp.MustCompile(`(?m)^#([a-z])`)

// TestDefaultFileSaysTheDefaults: as it is printed it says nothing, and with its keys
// uncommented, all that there are and what they are anyway (CFG-3).
func TestDefaultFileSaysTheDefaults(t *testing.T) {
	text := DefaultFile()
	c, err := loadText(text)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range c.Settings() {
		if !s.Default || s.Origin.Layer != Defaults {
			t.Errorf("the file as printed says %s", s.Key)
		}
	}
	c, err = loadText(commentedKey.ReplaceAllString(text, "$1"))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range c.Settings() {
		if !s.Default || s.Origin.Layer != Files {
			t.Errorf("%s = %s from %s, uncommented", s.Key, s.Text, s.Origin)
		}
	}
	if applied, restart := Diff(Default(), c); len(applied)+len(restart) > 0 {
		t.Errorf("it differs in %v %v", applied, restart)
	}
	_, example, ok := strings.Cut(text, "# [[client.listener]]\n")
	if !ok {
		t.Fatal("there is no example of a listener")
	}
	c, err = loadText("[[client.listener]]\n" + regexp.MustCompile(`(?m)^# `).ReplaceAllString(example, ""))
	if err != nil || len(c.Client.Listener) != 1 || c.Client.Listener[0].Name != "browser" {
		t.Errorf("the example of a listener: %v, %+v", err, c)
	}
	for line := range strings.Lines(text) {
		if len(line) > 160 {
			t.Errorf("a long line: %s", line)
		}
	}
}

func TestSettingsAreShownWithTheirOrigin(t *testing.T) {
	c, err := loadText("[relay]\nrate = \"2 MiB/s\"\n[[client.listener]]\nname = \"b\"\naddress = \"127.0.0.1:9260\"")
	if err != nil {
		t.Fatal(err)
	}
	var changed []Setting
	for _, s := range c.Settings() {
		if !s.Default {
			changed = append(changed, s)
		}
	}
	const want = `relay.rate = "2 MiB/s"  # c.toml:2:8

[[client.listener]]
name = "b"
address = "127.0.0.1:9260"  # c.toml:5:11
`
	if got := Show(changed); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// TestPathsAreShownWhole: what is shown says the same from another folder (CFG-3).
func TestPathsAreShownWhole(t *testing.T) {
	folder := t.TempDir()
	said := func(dir string, options ...string) map[string]any {
		c, err := Load(Sources{Options: options})
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]any{}
		for _, s := range c.SettingsFrom(dir) {
			out[s.Key] = s.Value
		}
		return out
	}
	whole := filepath.Join(folder, "a", "b")
	long := "unix:" + strings.Repeat("x/", 45) + "s"
	got := said(folder, "state=a/b", "control=unix:a/b", "network.genesis=a/b", "network.anchor=a/b", "relay.family=a/b", "relay.voucher=a/b", "relay.exit.policy=a/b")
	for key, want := range map[string]any{
		"state": whole, "control": "unix:" + whole, "network.genesis": whole, "network.anchor": whole,
		"relay.family": whole, "relay.voucher": whole, "relay.exit.policy": whole, "client.upstream": "off",
	} {
		if got[key] != want {
			t.Errorf("%s is shown as %v, not %v", key, got[key], want)
		}
	}
	got = said(strings.Repeat("/folder", 10), "relay.exit.policy=web", "control="+long)
	for key, want := range map[string]any{"state": "auto", "control": long, "network.genesis": "", "relay.exit.policy": "web"} {
		if got[key] != want {
			t.Errorf("%s is shown as %v, not %v", key, got[key], want)
		}
	}
	usual, err := Load(Sources{Options: []string{"relay.rate=3MiB/s", "network.genesis=" + whole}})
	if err != nil || Show(usual.Settings()) != Show(usual.SettingsFrom(folder)) {
		t.Errorf("what has no relative path is shown otherwise: %v", err)
	}
}

func TestUnitsComeBack(t *testing.T) {
	for _, s := range []Size{0, 1, 999, 1000, 1024, 1 << 20, 200 << 30, 3 << 40, 1_500_000, 1 << 60} {
		if got, err := ParseSize(s.String()); err != nil || got != s {
			t.Errorf("%d is %s: %d, %v", s, s, got, err)
		}
		if bits, err := ParseRate(Rate(s).String()); s < 1<<40 && (err != nil || bits != 8*uint64(s)) {
			t.Errorf("rate %d is %s: %d, %v", s, Rate(s), bits, err)
		}
	}
	for _, d := range []string{"0s", "1s", "90s", "10m", "1h", "1h30m", "1h0m5s", "24h", "300ms"} {
		got, err := ParseDuration(d)
		if err != nil {
			t.Fatal(d, err)
		}
		if back, err := ParseDuration(durationText(got)); err != nil || back != got {
			t.Errorf("%s is shown as %s", d, durationText(got))
		}
	}
	if d, err := ParseDuration("7 d"); err != nil || d.Hours() != 168 {
		t.Error(d, err)
	}
	for _, text := range []string{"", "5", "0", "-1s", "d", "1.5d", "1 fortnight", "999999d"} {
		if d, err := ParseDuration(text); err == nil {
			t.Errorf("%q is %v", text, d)
		}
	}
}

func TestNearestKeyIsFound(t *testing.T) {
	var names []string
	for _, k := range keys() {
		names = append(names, k.name)
	}
	for name, want := range map[string]string{
		"relay.raet": "relay.rate", "realy.rate": "relay.rate", "wb.listen": "web.listen", "relay.nickame": "relay.nickname",
		"client.dirtiness": "", "client.circuit-dirtiness": "client.circuit_dirtiness", "genesis": "network.genesis", "x": "", "": "",
		"policy": "relay.exit.policy", "relay.policy": "relay.exit.policy", "accounting.max": "relay.accounting.max",
	} {
		if got := nearest(name, names); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if d := distance("abcd", "acbd"); d != 1 {
		t.Errorf("swapped letters are %d apart", d)
	}
}
