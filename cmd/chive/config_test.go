// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"chive/client"
	"chive/internal/config"
	"chive/internal/node"
)

// configRun is what one command line printed.
type configRun struct {
	out, err string
	code     int
}

// runConfig runs a command line in a folder of the test's own, with a configuration file
// of that text for the system.
func runConfig(t *testing.T, text string, variables []string, args ...string) configRun {
	t.Helper()
	path := filepath.Join(t.TempDir(), "chive.toml")
	if text != "" {
		writeConfig(t, path, text)
	}
	var out, errs bytes.Buffer
	a := &app{out: &out, err: &errs, env: config.Environment{Files: []config.File{{Path: path, Optional: true}}, Variables: variables}}
	code := a.run(args)
	return configRun{strings.ReplaceAll(out.String(), path, "SYSTEM"), strings.ReplaceAll(errs.String(), path, "SYSTEM"), code}
}

func writeConfig(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestConfigCheckListsEveryMistake and exits with 2; the files that are named count
// (CFG-3).
func TestConfigCheckListsEveryMistake(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		writeConfig(t, path, text)
		return path
	}
	rules, good := file("bad.policy", "accept tcp *:443\naccpet tcp *:80\n"), file("good.policy", "accept tcp *:443\n")
	for _, c := range []struct {
		name, text string
		args       []string
		code       int
		out, err   string
	}{
		{"nothing", "", nil, 0, "good: no configuration file, so the defaults are in force\n", ""},
		{"good", "client.hops = 4", nil, 0, "good: SYSTEM\n", ""},
		{
			"exit", "relay.exit.policy = \"" + good + "\"", nil, 0,
			"warning: SYSTEM:1:21: An exit needs relay.contact, unless chive relay init was told one: what its users do looks as if this host did it.\ngood: SYSTEM\n", "",
		},
		{"one", "client.hops = 2", nil, 2, "", "Error: SYSTEM:1:15: client.hops = 2 is not a whole number from 3 to 8. Fix: Write hops = 3.\n"},
		{
			"several", "client.hops = 2\nrelay.raet = 1", []string{"-o", "log.level=loud", "-c", filepath.Join(dir, "gone.toml")}, 2, "",
			"Error: The configuration has 4 mistakes:\n" +
				"  SYSTEM:1:15: client.hops = 2 is not a whole number from 3 to 8. Fix: Write hops = 3.\n" +
				"  SYSTEM:2:1: relay.raet is no key. Fix: Did you mean relay.rate?\n" +
				"  " + filepath.Join(dir, "gone.toml") + ": There is no such file. Fix: Check the path.\n" +
				"  -o log.level=loud is not error, warn, info or debug. Fix: Use one of them.\n" +
				"Fix: Put each of them right; chive config check -c " + filepath.Join(dir, "gone.toml") + ", with the same -o, looks again.\n",
		},
		{
			"policy with a bad line", "relay.exit.policy = \"" + rules + "\"\nrelay.contact = \"me\"", nil, 2, "",
			"Error: SYSTEM:1:21: relay.exit.policy: The exit policy " + rules + ", line 2, rule \"accpet tcp *:80\": a rule begins with accept or reject. Fix: Write it like: accept tcp *:443.\n",
		},
		{
			"policy missing", "", []string{"-o", "relay.exit.policy=" + dir + "/wbe"}, 2, "",
			"Error: -o relay.exit.policy: There is no file " + dir + "/wbe. Fix: Use off, web, reduced, or the path of a file of rules.\n",
		},
		{
			"policy unreadable", "", []string{"-o", "relay.exit.policy=" + dir}, 2, "",
			"Error: -o relay.exit.policy: The exit policy " + dir + " is a folder. Fix: Name the file itself.\n",
		},
		{
			"genesis missing", "network.genesis = \"gone.chive\"", nil, 2, "",
			"Error: SYSTEM:1:19: network.genesis: The genesis document " + "FOLDER/gone.chive does not exist. Fix: Check the path.\n",
		},
		{
			"family that is no key", "relay.family = \"" + good + "\"", nil, 2, "",
			"Error: SYSTEM:1:16: relay.family: ",
		},
		{"family that is to be made", "relay.family = \"family.key\"", nil, 0, "good: SYSTEM\n", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := runConfig(t, c.text, nil, append([]string{"config", "check"}, c.args...)...)
			if before, _, ok := strings.Cut(got.err, "gone.chive"); ok && c.name == "genesis missing" {
				at := strings.LastIndexByte(before, ' ')
				got.err = got.err[:at] + " FOLDER/" + got.err[len(before):]
			}
			if got.code != c.code || got.out != c.out || !strings.HasPrefix(got.err, c.err) || c.err == "" && got.err != "" {
				t.Errorf("code %d\nout %s\nerr  %s\nwant %s", got.code, got.out, got.err, c.err)
			}
		})
	}
}

// TestAnExitsContactMayBeInTheStateFolder: what chive relay init was told counts, unless it is
// taken back.
func TestAnExitsContactMayBeInTheStateFolder(t *testing.T) {
	told, silent := t.TempDir(), t.TempDir()
	if err := os.MkdirAll(filepath.Join(told, "relay"), 0o700); err != nil {
		t.Fatal(err)
	}
	writeConfig(t, filepath.Join(told, "relay", "about"), `{"contact":"ops@example.net","addresses":["127.0.0.1:9240"]}`)
	for _, c := range []struct {
		text string
		args []string
		note bool
	}{
		{"", []string{"--state", silent}, true},
		{"", []string{"--state", told}, false},
		{"state = \"" + told + "\"\n", nil, false},
		{"relay.contact = \"\"\n", []string{"--state", told}, true},
	} {
		text := "relay.exit.policy = \"web\"\n"
		if strings.HasPrefix(c.text, "state") {
			text = c.text + text
		} else {
			text += c.text
		}
		got := runConfig(t, text, nil, append([]string{"config", "check"}, c.args...)...)
		if got.code != 0 || strings.Contains(got.out, "An exit needs relay.contact") != c.note {
			t.Errorf("%s%v: code %d, %s%s", text, c.args, got.code, got.out, got.err)
		}
		if got := runConfig(t, text, nil, append([]string{"client", "--genesis", "none"}, c.args...)...); strings.Contains(got.err, "An exit needs relay.contact") != c.note {
			t.Errorf("%s%v: at the start: %s", text, c.args, got.err)
		}
	}
}

func TestConfigCheckIsAnObjectForPrograms(t *testing.T) {
	got := runConfig(t, "\nrelay.raet = 1", nil, "config", "check", "--json")
	var o checkObject
	if err := json.Unmarshal([]byte(got.out), &o); err != nil || got.code != 2 {
		t.Fatalf("%v, code %d, %s", err, got.code, got.out)
	}
	want := problemObject{"SYSTEM:2:1", "SYSTEM", 2, 1, "relay.raet", "unknown_key", "relay.raet is no key", "Did you mean relay.rate?"}
	if o.Schema != "chive.config.check/1" || o.Good || len(o.Errors) != 1 || o.Errors[0] != want {
		t.Errorf("%+v", o)
	}
	if got.err != `{"schema":"chive.error/1","code":"unknown_key","text":"SYSTEM:2:1: relay.raet is no key","fix":"Did you mean relay.rate?"}`+"\n" {
		t.Errorf("stderr %s", got.err)
	}
}

// TestConfigShowNamesWhereEachValueIsFrom (CFG-3).
func TestConfigShowNamesWhereEachValueIsFrom(t *testing.T) {
	args := []string{"config", "show", "--changed", "-o", "web.listen=off", "--log-level", "warn", "--control", "unix:/run/c"}
	got := runConfig(t, "[client]\nhops = 4\nupstream = \"http://me:secret@192.0.2.1:3128\"", []string{"CHIVE_RELAY_RATE=2 MiB/s"}, args...)
	const want = `control = "unix:/run/c"                                     # --control
client.upstream = "http://me:***@192.0.2.1:3128"       # SYSTEM:3:12
client.hops = 4                                        # SYSTEM:2:8
web.listen = "off"                                     # -o web.listen
relay.rate = "2 MiB/s"                                 # CHIVE_RELAY_RATE
log.level = "warn"                                     # --log-level
`
	squeeze := func(s string) string {
		lines := strings.Split(s, "\n")
		for i := range lines {
			lines[i] = strings.Join(strings.Fields(lines[i]), " ")
		}
		return strings.Join(lines, "\n")
	}
	if got.code != 0 || squeeze(got.out) != squeeze(want) || got.err != "" {
		t.Errorf("code %d\n%s%s", got.code, got.out, got.err)
	}
	got = runConfig(t, "", nil, "config", "show", "--json")
	var o showObject
	if err := json.Unmarshal([]byte(got.out), &o); err != nil || o.Schema != "chive.config.show/1" || len(o.Settings) != len(config.Describe()) ||
		o.Settings[0] != (settingObject{"state", "auto", "default", true}) {
		t.Errorf("%v, %+v", err, o)
	}
	if got = runConfig(t, "client.hops = 2", nil, "config", "show"); got.code != 2 || got.out != "" {
		t.Errorf("%+v", got)
	}
}

// TestConfigShowSaysTheSameElsewhere: what it prints is a file for any folder (CFG-3).
func TestConfigShowSaysTheSameElsewhere(t *testing.T) {
	here, there := t.TempDir(), t.TempDir()
	t.Chdir(here)
	shown := runConfig(t, "", nil, "config", "show", "--changed", "-o", "network.genesis=net/genesis.chive", "-o", "relay.family=f.key", "--state", "s")
	if shown.code != 0 || strings.Count(shown.out, `= "`+here+string(filepath.Separator)) != 3 {
		t.Fatalf("%+v", shown)
	}
	t.Chdir(there)
	again := runConfig(t, shown.out, nil, "config", "show", "--changed")
	values := func(text string) (out []string) {
		for line := range strings.Lines(text) {
			value, _, _ := strings.Cut(line, "#")
			out = append(out, strings.TrimSpace(value))
		}
		return out
	}
	if !slices.Equal(values(again.out), values(shown.out)) {
		t.Errorf("from another folder it says\n%snot\n%s", again.out, shown.out)
	}
}

// TestConfigDefaultIsTaken: what default prints, check takes.
func TestConfigDefaultIsTaken(t *testing.T) {
	text := runConfig(t, "", nil, "config", "default").out
	if got := runConfig(t, text, nil, "config", "check"); got.code != 0 || got.out != "good: SYSTEM\n" {
		t.Errorf("%+v", got)
	}
	if got := runConfig(t, text, nil, "config", "show", "--changed"); got.out != "" {
		t.Errorf("the default file says %s", got.out)
	}
	var o defaultObject
	if err := json.Unmarshal([]byte(runConfig(t, "", nil, "config", "default", "--json").out), &o); err != nil || o.Text != text || len(o.Keys) < 20 {
		t.Errorf("%v, %d keys", err, len(o.Keys))
	}
}

// TestInstallingChangesTheShippedFile runs the lines with which the page changes the file
// that the Debian package installs, on what it installs.
func TestInstallingChangesTheShippedFile(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the lines are for Debian")
	}
	page, err := os.ReadFile("../../docs/installing.md")
	if err != nil {
		t.Fatal(err)
	}
	const shipped = "/etc/chive/chive.toml"
	file := filepath.Join(t.TempDir(), "chive.toml")
	writeConfig(t, file, runConfig(t, "", nil, "config", "default").out)
	seen := 0
	for _, block := range blocks(string(page), "sh") {
		for line := range strings.Lines(block) {
			if !strings.Contains(line, shipped) {
				continue
			}
			seen++
			line = strings.ReplaceAll(strings.ReplaceAll(line, "sudo ", ""), shipped, file)
			if out, err := exec.Command("sh", "-c", line).CombinedOutput(); err != nil {
				t.Fatalf("%s: %v\n%s", line, err, out)
			}
		}
	}
	if seen < 2 {
		t.Fatalf("%d lines change %s", seen, shipped)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	got := runConfig(t, string(text), nil, "config", "show", "--changed")
	for _, want := range []string{"genesis.chive", "relay.enabled"} {
		if got.code != 0 || !strings.Contains(got.out, want) {
			t.Errorf("%q is not in %+v", want, got)
		}
	}
}

// TestConfigFlagsWin: a command's flags are the last layer, and each has a key.
func TestConfigFlagsWin(t *testing.T) {
	known := make(map[string]bool)
	for _, k := range config.Describe() {
		known[k.Key] = true
	}
	for _, f := range configFlags() {
		if !known[f.key] {
			t.Errorf("--%s means %s, which is no key", f.name, f.key)
		}
	}
	path := filepath.Join(t.TempDir(), "chive.toml")
	writeConfig(t, path, "client.hops = 4\nclient.socks = \"127.0.0.1:1\"\nlog.level = \"debug\"\nstate = \"here\"")
	load := func(args ...string) (*config.Config, *app, error) {
		a := &app{out: new(bytes.Buffer), err: new(bytes.Buffer), env: config.Environment{
			StateDir: "/usual", Files: []config.File{{Path: path}}, Variables: []string{"CHIVE_LOG_FORMAT=json"},
		}}
		root := a.root()
		var cfg *config.Config
		var err error
		var relay, noRelay bool
		var monthly string
		var socks []string
		var hops int
		sub := &cobra.Command{Use: "try", RunE: func(c *cobra.Command, _ []string) error {
			cfg, err = a.configuration(c)
			return nil
		}}
		sub.Flags().BoolVar(&relay, "relay", false, "")
		sub.Flags().BoolVar(&noRelay, "no-relay", false, "")
		sub.Flags().StringVar(&monthly, "monthly", "", "")
		sub.Flags().StringSliceVar(&socks, "socks", []string{"127.0.0.1:9250"}, "")
		sub.Flags().IntVar(&hops, "hops", 3, "")
		root.AddCommand(sub)
		root.SetArgs(append([]string{"try"}, args...))
		if failed := root.Execute(); failed != nil {
			t.Fatal(failed)
		}
		return cfg, a, err
	}
	c, a, err := load()
	if err != nil || c.Client.Hops != 4 || c.Client.Socks[0] != "127.0.0.1:1" || a.global.state != filepath.Join(filepath.Dir(path), "here") ||
		a.global.logLevel != "debug" || a.global.logFormat != "json" || a.global.control != "" {
		t.Errorf("%v, %+v, %+v", err, c, a.global)
	}
	c, a, err = load("--hops", "5", "--socks", "127.0.0.1:2,127.0.0.1:3", "--relay", "--monthly", "200 GiB", "-q", "--state", "s", "--control", "off")
	if err != nil || c.Client.Hops != 5 || len(c.Client.Socks) != 2 || !c.Relay.Enabled || c.Relay.Accounting.Max != 200<<30 ||
		c.Origin("relay.accounting.period").String() != "--monthly" || a.global.state != "s" || a.global.logLevel != "error" || a.global.control != "off" {
		t.Errorf("%v, %+v, %+v", err, c, a.global)
	}
	if c, _, err = load("-o", "relay.enabled=true", "--no-relay"); err != nil || c.Relay.Enabled {
		t.Errorf("%v", err)
	}
	if c, _, err = load("-q", "--log-level", "warn", "--relay=false"); err != nil || c.Log.Level != "warn" || c.Relay.Enabled {
		t.Errorf("%v", err)
	}
	var f *node.Fault
	if _, _, err = load("--hops", "9"); !errors.As(err, &f) || f.Kind != node.Usage || f.Text != "--hops 9 is not a whole number from 3 to 8" || f.Fix != "Write --hops 3." {
		t.Errorf("%v", err)
	}
}

// TestConfigAgreesWithTheRoles: bounds and defaults are theirs.
func TestConfigAgreesWithTheRoles(t *testing.T) {
	c := config.Default()
	rate, err := config.ParseRate(node.DefaultRate)
	if err != nil || uint64(c.Relay.Rate)*8 != rate || config.DefaultSocks != node.DefaultSocks || config.DefaultListen != node.DefaultListen {
		t.Error("defaults differ from the node's")
	}
	if config.MinHops != client.MinHops || config.MaxHops != client.MaxHops || c.Client.Hops != client.DefaultHops || config.MaxPeers != client.MaxPeers ||
		config.MaxPorts != client.MaxPorts || c.Client.CircuitDirtiness != client.DefaultCircuitDirtiness {
		t.Error("bounds differ from the client's")
	}
	for text, code := range map[string]int{
		client.MinCircuitDirtiness.String(): 0, (client.MinCircuitDirtiness - time.Second).String(): 2,
		client.MaxCircuitDirtiness.String(): 0, (client.MaxCircuitDirtiness + time.Second).String(): 2,
	} {
		if got := runConfig(t, "", nil, "config", "check", "-o", "client.circuit_dirtiness="+text); got.code != code {
			t.Errorf("circuit_dirtiness %s: %+v", text, got)
		}
	}
	state, err := node.OpenState(filepath.Join(t.TempDir(), "state"))
	if err != nil {
		t.Fatal(err)
	}
	defer state.Close()
	try := func(about node.About) string {
		_, err := state.Init(node.InitOptions{Declaring: node.Declaring{About: about}}, nil, time.Time{})
		var f *node.Fault
		if !errors.As(err, &f) {
			t.Fatal(err)
		}
		return f.Code
	}
	for _, more := range []int{0, 1} {
		name, contact := strings.Repeat("n", config.MaxNicknameSize+more), strings.Repeat("c", config.MaxContactSize+more)
		if a, b := try(node.About{Nickname: name}), try(node.About{Contact: contact}); (a == "nickname") != (more == 1) || (b == "contact") != (more == 1) {
			t.Errorf("%d more than the bound: %s, %s", more, a, b)
		}
		cfg := runConfig(t, "relay.nickname = \""+name+"\"\nrelay.contact = \""+contact+"\"", nil, "config", "check")
		if (cfg.code == 2) != (more == 1) {
			t.Errorf("%d more than the bound: %+v", more, cfg)
		}
	}
}

// TestConfigPageShowsWhatThereIs: its commands, and its example of a file.
func TestConfigPageShowsWhatThereIs(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("..", "..", "docs", "configuration.md"))
	if err != nil {
		t.Fatal(err)
	}
	if n := commandsExist(t, string(data)); n < 3 {
		t.Errorf("only %d commands were found", n)
	}
	files := blocks(string(data), "toml")
	if len(files) == 0 || slices.ContainsFunc(files, func(text string) bool { return runConfig(t, text, nil, "config", "check").code != 0 }) {
		t.Errorf("an example is not taken: %q", files)
	}
}
