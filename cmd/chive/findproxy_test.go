// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"chive/client"
	"chive/internal/config"
	"chive/internal/control"
	"chive/internal/node"
	"chive/internal/socks"
)

// TestTheProxyIsTheAskedClients (product CLI-10): a port before a path, and no other's port
// where the client that answered has none.
func TestTheProxyIsTheAskedClients(t *testing.T) {
	s := &control.Status{Listeners: []control.Listener{
		{Kind: "web", Address: "http://127.0.0.1:1/"}, {Kind: "socks", Address: "unix:/s"}, {Kind: "socks", Address: "127.0.0.1:2"},
	}}
	if p, err := proxyOf(node.ControlSocket{}, s); err != nil || p.name != "127.0.0.1:2" || !p.asked {
		t.Errorf("%+v, %v", p, err)
	}
	_, err := proxyOf(node.ControlSocket{}, &control.Status{})
	var f *node.Fault
	if !errors.As(err, &f) || f.Code != "no_proxy" || f.Kind != node.Unreachable {
		t.Errorf("%v", err)
	}
}

// TestWhatADaemonTellsNamesItself: notes, steps, errors and findings say with which flags this
// daemon is asked, and leave those that another operator is to ask as they are.
func TestWhatADaemonTellsNamesItself(t *testing.T) {
	const state = "/srv/one relay"
	const where = " --state '/srv/one relay'"
	var out bytes.Buffer
	a := &app{err: &out, out: &out, env: config.Environment{StateDir: "/h/chive"}, global: global{state: state}}
	for text, want := range map[string]string{
		"chive status shows how it stands.":                       "chive status" + where + " shows how it stands.",
		"See chive status; chive relay status says more.":         "See chive status" + where + "; chive relay status" + where + " says more.",
		"chive doctor --offline says what is wrong here":          "chive doctor" + where + " --offline says what is wrong here",
		"Its operator's chive status prints it.":                  "",
		"Their own chive status says why.":                        "",
		"chive status --web --state /x":                           "",
		"go run ./cmd/chive status --watch --control unix:/x":     "",
		"chive status with the --state or --control of that one.": "",
		"chive relay init --state DIR":                            "",
	} {
		if want == "" {
			want = text
		}
		out.Reset()
		a.tell(text)
		a.newProgress().step(client.Progress{Cause: "refused", Stuck: true, Text: text})
		a.fail(&node.Fault{Text: "It failed", Fix: text})
		d := &doctor{app: a}
		d.warn("x", "x", "", text)
		_ = d.report()
		shown := strings.Join(strings.Fields(out.String()), " ")
		if n := strings.Count(shown, want); n != 4 {
			t.Errorf("%q is there %d times, want 4:\n%s", want, n, shown)
		}
	}
	a.global.state, a.env.System, a.env.RuntimeDir = a.env.StateDir, true, "/run/chive" // no shell knows the service's folders
	if got := a.ask("status"); got != "chive status --control unix:/run/chive/control.sock" {
		t.Error(got)
	}
	a.env.System = false
	if got := a.addressed("chive status"); got != "chive status" {
		t.Error(got)
	}
}

// TestAHintNamesTheDaemon: what is pasted asks the daemon that was meant, in any folder.
func TestAHintNamesTheDaemon(t *testing.T) {
	t.Chdir(t.TempDir())
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	env := config.Environment{StateDir: "/h/chive", RuntimeDir: "/run/chive"}
	for _, c := range []struct {
		g    global
		want string
	}{
		{global{state: "/h/chive"}, ""},
		{global{state: "/h/chive", control: "off"}, ""},
		{global{state: "r 1"}, " --state " + shellWord(filepath.Join(here, "r 1"))},
		{global{state: "r1", control: "unix:c"}, " --control unix:" + shellWord(filepath.Join(here, "c"))},
	} {
		a := &app{env: env, global: c.g}
		if got := a.ask("status --web"); got != "chive status --web"+c.want {
			t.Errorf("%+v: %s", c.g, got)
		}
		meant, _ := a.controlSocket()
		f := a.socksFault(t.Context(), proxyPlace{name: "127.0.0.1:1", control: meant}, &socks.Refused{Code: 3})
		want := "chive status" + c.want
		if meant.Path == "" {
			want = "chive status with the --state or --control of the client whose proxy is at 127.0.0.1:1"
		}
		if !strings.HasSuffix(f.Fix, want) {
			t.Errorf("%q, want %q", f.Fix, want)
		}
	}
}
