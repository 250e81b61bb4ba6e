// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

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
