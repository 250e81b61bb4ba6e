// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"context"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"chive/directory/record"
	"chive/internal/control"
)

// TestARunningRelayFollowsItsConfiguration (CFG-4), asked by POST /v1/reload: who its
// operator is, what its exit permits, where its metrics are and how long it drains. One
// port that is taken keeps all of it, on the disk as well.
func TestARunningRelayFollowsItsConfiguration(t *testing.T) {
	onUnix(t)
	w := found(t, 3, func(int) FounderOptions {
		return FounderOptions{Declaring: Declaring{Addresses: []string{freePort(t)}}}
	})
	w.sign(t)
	info, err := ShowNetwork(w.doc)
	if err != nil {
		t.Fatal(err)
	}
	s := w.states[0]
	dir, err := os.MkdirTemp("", "node") // paths of sockets are short
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	rules, socket := filepath.Join(t.TempDir(), "rules"), filepath.Join(dir, "c")
	metrics, other := freePort(t), freePort(t)
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(rules, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("accept tcp *:80")

	var file written
	e := file.effect(t, "relay.metrics.listen = \""+metrics+"\"")
	o := RelayOptions{
		State: s.Dir(), Genesis: w.doc, Listen: listenOf(t, s, info), Metrics: metrics, Drain: -1, Effect: e,
		Control: ControlSocket{Path: socket, Fixed: true},
	}
	told := make(chan string, 8)
	o.Tell = func(text string) {
		if strings.HasPrefix(text, unseenNote) {
			told <- text
		}
	}
	var source *RelaySources
	o.Serving = func(s control.Source) { source = s.(*RelaySources) }
	ready := make(chan RelayReady, 1)
	o.Ready = func(r RelayReady) { ready <- r }
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	var running sync.WaitGroup
	running.Go(func() { ended <- RunRelay(ctx, o) })
	defer running.Wait()
	defer stop()
	select {
	case <-ready:
	case err := <-ended:
		t.Fatal(err)
	}
	reload := func(text string) (*control.ReloadDone, error) {
		file.text = text
		done, _, err := control.PostReload(t.Context(), socket)
		return done, err
	}
	want := func(text, applied, restart string) {
		t.Helper()
		done, err := reload(text)
		if err != nil {
			t.Fatal(err)
		}
		if a, r := strings.Join(done.Applied, " "), strings.Join(done.Restart, " "); a != applied || r != restart {
			t.Errorf("applied %q, want %q; restart %q, want %q", a, applied, r, restart)
		}
	}
	permits := func(port uint16) bool {
		return source.Relays[0].said().policy.Permits(record.TCP, netip.MustParseAddr("5.9.12.34"), port)
	}
	kept := func() declaration {
		d, err := s.readDeclared()
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	head := "relay.contact = \"ops@example.net\"\nrelay.exit.policy = \"" + rules + "\"\n"

	want(head+"relay.nickname = \"oak\"\nrelay.drain = \"7s\"\nrelay.metrics.listen = \""+other+"\"\nrelay.listen = \"127.0.0.1:1\"",
		"relay.nickname relay.contact relay.drain relay.exit.policy relay.metrics.listen", "relay.listen")
	r := source.Status().Relays[0]
	if r.Permits != "tcp 80" {
		t.Errorf("it permits %q", r.Permits)
	}
	if r.Nickname != "oak" || r.Exit != customPolicy || !permits(80) || permits(81) || kept().Contact != "ops@example.net" {
		t.Errorf("it is %+v, kept %+v", r, kept())
	}
	if l := source.Status().Listeners; open(metrics) || len(l) != 1 || l[0].Address != other || !strings.Contains(scrapeOnce(t, other), "chive_exit_") {
		t.Errorf("its metrics are at %v", l)
	}

	// A file of rules that has changed, and nothing else.
	head += "relay.nickname = \"oak\"\nrelay.drain = \"7s\"\nrelay.listen = \"127.0.0.1:1\"\n"
	write("accept tcp *:81")
	want(head+"relay.metrics.listen = \""+other+"\"", "relay.exit.policy", "relay.listen")
	if permits(80) || !permits(81) {
		t.Error("the rules are those of before")
	}

	// One of which clients see nothing is told, as at the start.
	write("accept tcp 5.0.0.0/8:81")
	if want(head+"relay.metrics.listen = \""+other+"\"", "relay.exit.policy", "relay.listen"); len(told) != 1 {
		t.Errorf("an exit that clients do not see: %d", len(told))
	}
	write("accept tcp *:81")
	if want(head+"relay.metrics.listen = \""+other+"\"", "relay.exit.policy", "relay.listen"); len(told) != 1 {
		t.Errorf("one that they see: %d", len(told))
	}

	// All or nothing.
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	before := kept()
	write("accept tcp *:82")
	_, err = reload("relay.contact = \"other@example.net\"\nrelay.exit.policy = \"" + rules + "\"\nrelay.metrics.listen = \"" + taken.Addr().String() + "\"")
	if err == nil || !strings.Contains(err.Error(), taken.Addr().String()) || !strings.Contains(err.Error(), "Nothing was changed") {
		t.Errorf("a port that is taken: %v", err)
	}
	if permits(82) || !permits(81) || !open(other) || kept().Contact != before.Contact {
		t.Errorf("after a reload that failed it says %+v", kept())
	}
	if data, err := os.ReadFile(s.path(policyFile)); err != nil || string(data) != "accept tcp *:81" {
		t.Errorf("the rules for later runs are %q, %v", data, err)
	}
	_, err = reload("relay.exit.policy = \"" + filepath.Join(dir, "none") + "\"\nrelay.contact = \"me\"")
	if err == nil || permits(82) {
		t.Errorf("rules that are not there: %v", err)
	}

	// No exit any more.
	want("relay.exit.policy = \"off\"", "relay.nickname relay.contact relay.drain relay.exit.policy relay.metrics.listen", "")
	if r := source.Status().Relays[0]; r.Exit != "off" || r.Permits != "" || permits(81) || open(other) || len(source.Status().Listeners) != 0 {
		t.Errorf("it is %+v", r)
	}
	// What is said no more stays as it was said (the page of the configuration).
	if r := source.Status().Relays[0]; r.Nickname != "oak" {
		t.Errorf("it is called %q", r.Nickname)
	}
	// What is said as empty is taken back (REL-2: an exit keeps its contact).
	if _, err := reload("relay.contact = \"\"\nrelay.exit.policy = \"web\""); err == nil || kept().Contact == "" {
		t.Errorf("an exit without a contact: %v", err)
	}
	want("relay.contact = \"\"", "relay.contact", "")
	want("relay.contact = \"\"", "", "")
	if d := source.Relays[0].said(); d.Contact != "" || d.Nickname != "oak" || kept().Contact != "" {
		t.Errorf("it says %+v, kept %+v", d.About, kept().About)
	}
	want("relay.contact = \"\"\nrelay.nickname = \"\"", "relay.nickname", "")
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
