// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"chive/internal/config"
	"chive/internal/node"
)

func typedIn(nickname, contact, address, rate, monthly string) relayAnswers {
	return relayAnswers{nickname: nickname, contact: contact, address: address, rate: rate, monthly: monthly}
}

func TestANewRelayIsAskedThreeQuestions(t *testing.T) {
	const addr = "203.0.113.5:9240"
	at := relayAnswers{address: addr}
	for name, c := range map[string]struct {
		typed string
		said  relayAnswers
		want  relayAnswers
	}{
		"enter":          {"\n\n\n\n", at, typedIn("", "", addr, proposedRate, proposedMonthly)},
		"end of input":   {"", at, typedIn("", "", addr, proposedRate, proposedMonthly)},
		"answers":        {"maple\nops@example.net\n2 MiB/s\noff\n", at, typedIn("maple", "ops@example.net", addr, "2 MiB/s", "off")},
		"mistakes":       {"ma ple\nmaple\n\n5\n5 MiB/s\n1\n1 TiB\n", at, typedIn("maple", "", addr, "5 MiB/s", "1 TiB")},
		"too little":     {"\n\n1 KiB/s\n16 KiB/s\n1 KiB\n1 MiB\n", at, typedIn("", "", addr, "16 KiB/s", "1 MiB")},
		"no right one":   {"a b\nc d\ne f\n\n\n\n", at, typedIn("", "", addr, proposedRate, proposedMonthly)},
		"flags answer":   {"ops\n\n", relayAnswers{nickname: "oak", rate: "3 MiB/s", address: addr}, typedIn("oak", "ops", addr, "3 MiB/s", proposedMonthly)},
		"bits":           {"\n\n1 Mb/s\n1 Mbit/s\n\n", at, typedIn("", "", addr, "1 Mbit/s", proposedMonthly)},
		"taken back":     {"\n\n", relayAnswers{address: addr, withdrawn: node.Withdrawn{Nickname: true, Contact: true}}, relayAnswers{address: addr, rate: proposedRate, monthly: proposedMonthly, withdrawn: node.Withdrawn{Nickname: true, Contact: true}}},
		"by the week":    {"\n\n\n\n", relayAnswers{address: addr, period: "week"}, relayAnswers{address: addr, rate: proposedRate, monthly: proposedWeekly, period: "week"}},
		"no own address": {"\n\n\n\nhost:9240\n198.51.100.7:9240\n", relayAnswers{found: true}, relayAnswers{address: "198.51.100.7:9240", rate: proposedRate, monthly: proposedMonthly, found: true}},
		"in a testnet":   {"\n\n\n\n127.0.0.1:9240\n", relayAnswers{}, typedIn("", "", "127.0.0.1:9240", proposedRate, proposedMonthly)},
	} {
		var out strings.Builder
		got, err := askRelay(strings.NewReader(c.typed), &out, c.said)
		if err != nil || got != c.want {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, c.want)
		}
		if name == "bits" && !strings.Contains(out.String(), `"1 Mbit/s" if bits are meant`) {
			t.Errorf("what Mb/s may mean is not said:\n%s", out.String())
		}
		if !strings.Contains(out.String(), "no exit") || c.said.rate == "" && !strings.Contains(out.String(), "per second? ["+proposedRate+"]") {
			t.Errorf("%s: the questions do not say what they propose:\n%s", name, out.String())
		}
		if c.said.monthly == "" && !strings.Contains(out.String(), "rests when it is used up") {
			t.Errorf("%s: what a quota does is not said", name)
		}
		if asked := strings.Contains(out.String(), "do others reach it at?"); asked != (c.said.address == "") || asked && c.said.found != strings.Contains(out.String(), "the router is asked") {
			t.Errorf("%s: asked for an address: %v", name, asked)
		}
	}
}

// foundTestnet founds a testnet of three that does not run.
func foundTestnet(t *testing.T) (doc string, states []string) {
	t.Helper()
	dir := t.TempDir()
	doc = filepath.Join(dir, "genesis.chive")
	made := []string{"network", "new", "demo", "--testnet", "--out", doc, "--founder"}
	for i := range 3 {
		state, file := filepath.Join(dir, strconv.Itoa(i)), filepath.Join(dir, strconv.Itoa(i)+".founder")
		if got := runConfig(t, "", nil, "keys", "founder", "-q", "--state", state, "--address", "127.0.0.1:"+strconv.Itoa(9300+i), "--out", file); got.code != 0 {
			t.Fatalf("%+v", got)
		}
		made, states = append(made, file), append(states, state)
	}
	if got := runConfig(t, "", nil, made...); got.code != 0 {
		t.Fatalf("%+v", got)
	}
	for _, state := range states {
		if got := runConfig(t, "", nil, "network", "sign", "--state", state, doc); got.code != 0 {
			t.Fatalf("%+v", got)
		}
	}
	return doc, states
}

// TestNoRouterIsPromisedInATestnet: a run asks none there unless that is written down.
func TestNoRouterIsPromisedInATestnet(t *testing.T) {
	doc, _ := foundTestnet(t)
	for text, want := range map[string]bool{"": false, "[relay]\nnat = \"auto\"\n": true} {
		path := filepath.Join(t.TempDir(), "chive.toml")
		writeConfig(t, path, text)
		a := &app{env: config.Environment{Files: []config.File{{Path: path}}}}
		writeConfig(t, path, text+"[network]\ngenesis = "+strconv.Quote(doc)+"\n")
		if got, err := a.asksRouter(new(cobra.Command), ""); got != want || err != nil {
			t.Errorf("%q, the configuration's document: %v, %v", text, got, err)
		}
		writeConfig(t, path, "[network]\ngenesis = \"/none/such\"\n")
		if got, err := a.asksRouter(new(cobra.Command), ""); !got || err != nil {
			t.Errorf("a document that is not there yet: %v, %v", got, err)
		}
		writeConfig(t, path, text)
		for genesis, want := range map[string]bool{"": true, doc: want} {
			if got, err := a.asksRouter(new(cobra.Command), genesis); got != want || err != nil {
				t.Errorf("%q, document %q: %v, %v", text, genesis, got, err)
			}
		}
	}
}

// TestTheAnswersOfARelayAreKept: as settings that a run reads, beside what the file said.
func TestTheAnswersOfARelayAreKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "chive", "chive.toml")
	var note strings.Builder
	a := &app{err: &note, env: config.Environment{UserFile: path}}
	said := relayAnswers{nickname: "maple", contact: "ops@example.net", rate: "2 MiB/s", monthly: "off"}.settings()
	if kept, err := a.keepRelay(said); err != nil || len(kept) != 4 {
		t.Fatal(kept, err)
	}
	said = relayAnswers{rate: "3 MiB/s", monthly: "5 GiB"}.settings()
	if _, err := a.keepRelay(said); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(config.Sources{Files: []config.File{{Path: path}}})
	if err != nil {
		t.Fatal(err)
	}
	if r := cfg.Relay; r.Nickname != "maple" || r.Contact != "ops@example.net" || r.Rate.String() != "3 MiB/s" || r.Accounting.Max != 5<<30 || r.Accounting.Period != "month" || r.Exit.Policy != "off" || r.Enabled {
		t.Errorf("%+v", r)
	}
	gone := relayAnswers{withdrawn: node.Withdrawn{Contact: true}, exit: "web"}
	if also, err := a.alsoSaid(true, gone); err != nil || len(also) != 1 || also[0] != [2]string{"relay.contact", ""} {
		t.Errorf("%v, %v: a contact that is taken back stays in the file", also, err)
	}
	also, err := a.alsoSaid(true, relayAnswers{nickname: "oak"})
	if err != nil || len(also) != 1 || also[0] != [2]string{"relay.nickname", "oak"} {
		t.Errorf("%v, %v: what the file says would win over what is declared", also, err)
	}
	if also, err = a.alsoSaid(false, relayAnswers{nickname: "oak"}); err != nil || also != nil {
		t.Errorf("%v, %v: another relay's file is changed", also, err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	a.env.UserFile = filepath.Join(path, "below-a-file")
	if _, err := a.keepRelay(said); err == nil {
		t.Error("no fault where nothing can be written")
	}
}
