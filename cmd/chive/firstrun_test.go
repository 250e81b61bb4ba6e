// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"chive/internal/config"
)

func TestTheFirstRunAsksOnce(t *testing.T) {
	yes := consent{relay: true, rate: proposedRate, monthly: proposedMonthly}
	for name, c := range map[string]struct {
		typed string
		want  consent
	}{
		"enter":              {"\n", consent{}},
		"end of input":       {"", consent{none: true}}, // nobody's answer
		"end after nonsense": {"hm\n", consent{none: true}},
		"end behind a yes":   {"y", yes},
		"no":                 {"N\n", consent{}},
		"nonsense":           {"perhaps\nwhy\nwell\ny\n", consent{}},
		"yes":                {"y\n\n\n", yes},
		"yes after nonsense": {"hm\nYES\n\n\n", yes},
		"ceilings":           {"y\n2 MiB/s\n1 TiB\n", consent{relay: true, rate: "2 MiB/s", monthly: "1 TiB"}},
		"a unit forgotten":   {"y\n5\n3 MB/s\n10\n10 GB\n", consent{relay: true, rate: "3 MB/s", monthly: "10 GB"}},
		"too little":         {"y\n1 KiB/s\n2 MiB/s\n500 KiB\n1 TiB\n", consent{relay: true, rate: "2 MiB/s", monthly: "1 TiB"}},
		"no right one":       {"y\n1\n2\n3\n\n", yes},
	} {
		var said strings.Builder
		got, err := askConsent(strings.NewReader(c.typed), &said, "")
		if err != nil || got != c.want {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, c.want)
		}
		if strings.HasPrefix(strings.ToLower(c.typed), "y") && !strings.Contains(said.String(), "rests when that is used up") {
			t.Errorf("%s: what a quota does is not said", name)
		}
		for _, must := range []string{"no exit", proposedRate, proposedMonthly, "[y/N]"} {
			if !strings.Contains(said.String(), must) {
				t.Errorf("%s: the question does not say %q", name, must)
			}
		}
	}
}

// TestTheFirstRunSaysWhatAYesDependsOn: where others cannot reach this machine is said
// before the answer, and only there.
func TestTheFirstRunSaysWhatAYesDependsOn(t *testing.T) {
	for listen, want := range map[string]bool{"10.1.2.3:9240": true, "127.0.0.1:9240": false, "1.1.1.1:9240": false} {
		cfg := &config.Config{}
		cfg.Relay.Listen = config.Address(listen)
		hint := reachHint(cfg, false)
		if (hint != "") != want {
			t.Errorf("%s: %q", listen, hint)
		}
		var said strings.Builder
		if _, err := askConsent(strings.NewReader("n\n"), &said, hint); err != nil || !strings.Contains(said.String(), hint+"\n") ||
			strings.Index(said.String(), hint) > strings.Index(said.String(), "[y/N]") {
			t.Errorf("%s: %v: %q", listen, err, said.String())
		}
		cfg.Relay.Addresses = []string{"1.1.1.1:9240"}
		if hint := reachHint(cfg, false); hint != "" {
			t.Errorf("%s, with the router's address: %q", listen, hint)
		}
	}
}

// TestTheFirstRunAsksNoRouterInATestnet: nor do its words. What works there is said; where
// the configuration has a router asked in any case, it is the router again.
func TestTheFirstRunAsksNoRouterInATestnet(t *testing.T) {
	cfg := &config.Config{}
	cfg.Relay.Listen = "10.1.2.3:9240"
	hint := reachHint(cfg, true)
	for _, want := range []string{"testnet", "no router is asked", "--listen\n127.0.0.1:PORT", "--address IP:PORT"} {
		if !strings.Contains(hint, want) {
			t.Errorf("%q is not in %q", want, hint)
		}
	}
	said, err := config.Load(config.Sources{Options: []string{"relay.nat=auto", "relay.listen=10.1.2.3:9240"}})
	if err != nil {
		t.Fatal(err)
	}
	if hint := reachHint(said, true); !strings.Contains(hint, "Your router is asked") {
		t.Errorf("with relay.nat: %q", hint)
	}
}

// TestTheFirstRunAsksNoRouterThatMayNotBe: relay.nat = "off" keeps the relay from it, in a testnet
// and elsewhere, and so the words say that no router is asked.
func TestTheFirstRunAsksNoRouterThatMayNotBe(t *testing.T) {
	said, err := config.Load(config.Sources{Options: []string{"relay.nat=off", "relay.listen=10.1.2.3:9240"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, testnet := range []bool{false, true} {
		hint := reachHint(said, testnet)
		if strings.Contains(hint, "router is asked to let others in (") || !strings.Contains(strings.Join(strings.Fields(hint), " "), "no router is asked to let others in") || !strings.Contains(hint, "--address IP:PORT") {
			t.Errorf("testnet %v: %q", testnet, hint)
		}
	}
}

// TestTheFirstRunSaysWhatARateLacks: a size is no rate, and which part is missing is said.
func TestTheFirstRunSaysWhatARateLacks(t *testing.T) {
	var said strings.Builder
	got, err := askConsent(strings.NewReader("y\n5 MB\n5 MB/s\n\n"), &said, "")
	if err != nil || got.rate != "5 MB/s" || !strings.Contains(said.String(), "/s is missing: a rate is per second. Write 5 MB/s") {
		t.Errorf("%+v, %v: %s", got, err, said.String())
	}
	said.Reset()
	if _, err := askConsent(strings.NewReader("y\n5\n\n7\n\n"), &said, ""); err != nil || strings.Contains(said.String(), "is missing") {
		t.Errorf("%v: %s", err, said.String())
	}
}

func TestTheAnswerIsAddedToTheConfiguration(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "chive", "chive.toml")
	if err := (consent{}).keep(path); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(data), "enabled = false") {
		t.Errorf("%q, %v", data, err)
	}
	if err := os.WriteFile(path, []byte("[log]\nlevel = \"warn\""), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := (consent{relay: true, rate: "2 MiB/s", monthly: "5 GiB"}).keep(path); err != nil {
		t.Fatal(err)
	}
	data, err = os.ReadFile(path)
	for _, want := range []string{"level = \"warn\"", "enabled = true", "rate = \"2 MiB/s\"", "max = \"5 GiB\""} {
		if err != nil || !strings.Contains(string(data), want) {
			t.Errorf("%q lacks %s, %v", data, want, err)
		}
	}
	if err := (consent{}).keep(filepath.Join(path, "below-a-file")); err == nil {
		t.Error("no fault where nothing can be written")
	}
}
