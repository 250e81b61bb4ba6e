// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"chive/internal/config"
	"chive/internal/control"
)

// logged is a log that several goroutines write.
type logged struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logged) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// TestNothingPrivateIsLoggedByDaemons (LOG-1, LOG-5): a relay with metrics and a client
// behind a proxy run at debug, are reloaded, well and badly, and fail. Their logs, the page
// of metrics and what is shown of the configuration hold nothing of paths, passwords, names
// or addresses.
func TestNothingPrivateIsLoggedByDaemons(t *testing.T) {
	onUnix(t)
	w := found(t, 3, func(int) FounderOptions {
		return FounderOptions{Declaring: Declaring{Addresses: []string{freePort(t)}}}
	})
	w.sign(t)
	info, err := ShowNetwork(w.doc)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "canary-folder")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	var out logged
	log := Log{Writer: &out, Level: "debug"}
	place := func(name string) string { return filepath.Join(dir, "canary-"+name) }
	rules := place("rules")
	if err := os.WriteFile(rules, []byte("accept tcp 5.9.12.77:4711\naccept tcp *:80"), 0o600); err != nil {
		t.Fatal(err)
	}
	bad := `relay.contact = "canary@example.net"` + "\nrelay.exit.policy = \"" + place("none") + "\"\nclient.socks = [\"" + unixPrefix + filepath.Join(place("none"), "s") + "\"]"
	reload := func(e *Effect, file *written, text string, works bool) {
		t.Helper()
		file.text = text
		if _, err := e.reloaded(); (err == nil) != works {
			t.Errorf("%q: %v", text, err)
		}
	}

	// The relay.
	var file written
	e := file.effect(t, "log.level = \"debug\"")
	relayAt := listenOf(t, w.states[0], info)
	o := RelayOptions{
		State: w.states[0].Dir(), Genesis: w.doc, Listen: relayAt, Metrics: unixPrefix + place("metrics"), Drain: -1, Effect: e, Log: log,
		Control: ControlSocket{Path: place("control"), Fixed: true},
	}
	ready := make(chan struct{})
	o.Ready = func(RelayReady) { close(ready) }
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- RunRelay(ctx, o) }()
	select {
	case <-ready:
	case err := <-ended:
		t.Fatal(err)
	}
	good := "log.level = \"debug\"\nrelay.contact = \"canary@example.net\"\nrelay.nickname = \"canary\"\nrelay.exit.policy = \"" + rules + "\"\nrelay.metrics.listen = \"" + unixPrefix + place("numbers") + "\""
	reload(e, &file, good, true)
	page := scrapeOnce(t, unixPrefix+place("numbers"))
	reload(e, &file, bad, false)
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}

	// The client, whose proxy is not there.
	gone := freePort(t)
	const secret = "canary-password"
	upstream := "http://canary-user:" + secret + "@" + gone
	e = file.effect(t, "log.level = \"debug\"\nclient.upstream = \""+upstream+"\"\nclient.socks = [\""+unixPrefix+place("socks")+"\"]\nweb.listen = \"off\"")
	var shown string
	err = RunClient(t.Context(), ClientOptions{
		State: filepath.Join(w.dir, "client"), Genesis: w.doc, Upstream: upstream, Effect: e, Log: log, Wait: time.Second,
		Socks: SocksOptions{Named: []config.Listener{{Name: unixPrefix + place("socks"), Address: config.Address(unixPrefix + place("socks")), Automap: true}}},
		Serving: func(control.Source) {
			for _, s := range e.Settings() {
				shown += s.Key + "=" + s.Value + "\n"
			}
		},
	})
	if f := wantFault(t, err, "not_ready"); strings.Contains(f.Text+f.Fix, "canary") || strings.Contains(f.Text+f.Fix, gone) {
		t.Errorf("%q %q", f.Text, f.Fix)
	}
	reload(e, &file, bad, false)

	text := out.text()
	if text == "" {
		t.Error("nothing was logged at debug: the test sees nothing")
	}
	for where, all := range map[string]string{"the log": text, "the metrics": page} {
		for _, word := range []string{"canary", secret, gone, relayAt, "5.9.12.77", "4711"} {
			for _, form := range []string{word, hex.EncodeToString([]byte(word)), base64.RawStdEncoding.EncodeToString([]byte(word))} {
				if strings.Contains(strings.ToLower(all), strings.ToLower(form)) {
					t.Errorf("%q appears in %s:\n%s", form, where, all)
				}
			}
		}
	}
	if strings.Contains(shown, secret) || !strings.Contains(shown, "client.upstream=") {
		t.Errorf("the settings in force show %s", shown)
	}
}
