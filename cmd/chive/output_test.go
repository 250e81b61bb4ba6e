// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"strings"
	"testing"
	"time"

	"chive/client"
	"chive/internal/node"
	"chive/testnet"
)

// TestProgressTranscript: steps once each and rising, a cause of a standstill at
// once and then every five minutes (CLI-7).
func TestProgressTranscript(t *testing.T) {
	var out bytes.Buffer
	clock := time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
	p := (&app{err: &out}).newProgress()
	p.now = func() time.Time { return clock }
	trouble := client.Progress{Percent: 5, Tag: "connecting", Cause: "refused", Text: "the guard does not accept connections."}
	down := client.Progress{Stuck: true, Percent: 5, Tag: "connecting", Cause: "refused", Text: "the guard does not accept connections."}
	silent := client.Progress{Stuck: true, Percent: 5, Tag: "connecting", Cause: "filtered", Text: "the guard does not answer."}
	for _, s := range []struct {
		after time.Duration
		step  client.Progress
	}{
		{0, client.Progress{Percent: 0, Tag: "starting"}},
		{0, client.Progress{Percent: 5, Tag: "connecting"}},
		{time.Second, client.Progress{Percent: 10, Tag: "handshake"}},
		{time.Second, trouble},
		{9 * time.Second, trouble},
		{10 * time.Second, down},
		{time.Second, client.Progress{Percent: 5, Tag: "connecting"}},
		{10 * time.Second, down},
		{time.Second, silent},
		{4 * time.Minute, down},
		{time.Second, silent},
		{time.Minute, down},
		{time.Second, down},
		{time.Second, client.Progress{Percent: 45, Tag: "loading_directory", Text: "3.1 of 6.0 MB"}},
		{time.Second, client.Progress{Percent: 100, Tag: "done"}},
		{time.Minute, client.Progress{Percent: 100, Tag: "done", Cause: "directory_stale", Text: "The list of relays is 7 epochs old."}},
	} {
		clock = clock.Add(s.after)
		p.step(s.step)
	}
	want := `Bootstrapped 0% (starting): reading what was saved
Bootstrapped 5% (connecting): connecting to a relay
Bootstrapped 10% (handshake): agreeing on keys with the relay
Trouble at 10% (handshake): the guard does not accept connections.
Stuck at 10% (handshake): the guard does not accept connections.
Stuck at 10% (handshake): the guard does not answer.
Stuck at 10% (handshake): the guard does not accept connections.
Bootstrapped 45% (loading_directory): 3.1 of 6.0 MB
Bootstrapped 100% (done): connected
Trouble (directory_stale): The list of relays is 7 epochs old.
`
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}

func TestQuietAndObjectProgress(t *testing.T) {
	var out bytes.Buffer
	quiet := &app{err: &out, global: global{quiet: true, json: true}}
	quiet.newProgress().step(client.Progress{Percent: 5, Tag: "connecting"})
	if out.Len() != 0 {
		t.Errorf("quiet prints %q", out.String())
	}
	for _, tag := range []string{"starting", "connecting", "handshake", "loading_checkpoint", "loading_directory", "choosing_guards", "building_circuit", "done"} {
		out.Reset()
		(&app{err: &out, global: global{json: true}}).newProgress().step(client.Progress{Percent: 1, Tag: tag})
		var o progressObject
		if err := json.Unmarshal(out.Bytes(), &o); err != nil || o.Schema != "chive.progress/1" || o.Event != "bootstrap" || o.Tag != tag || o.Text == tag {
			t.Errorf("%s: %s, %v", tag, out.String(), err)
		}
	}
}

// TestEveryFailureHasItsCode: CLI-5 and CLI-6, in words and as an object.
func TestEveryFailureHasItsCode(t *testing.T) {
	for _, c := range []struct {
		err     error
		running bool
		code    int
		text    string
		object  string
	}{
		{&node.Fault{Kind: node.Failed, Code: "a", Text: "It broke", Fix: "Mend it."}, true, 1,
			"Error: It broke. Fix: Mend it.\n", `{"schema":"chive.error/1","code":"a","text":"It broke","fix":"Mend it."}`},
		{errors.Join(errors.New("x"), &node.Fault{Kind: node.Usage, Code: "b", Text: "T.", Fix: "F."}), true, 2,
			"Error: T. Fix: F.\n", `{"schema":"chive.error/1","code":"b","text":"T.","fix":"F."}`},
		{&node.Fault{Kind: node.Unreachable, Code: "c", Text: "<T>", Fix: "F"}, true, 3,
			"Error: <T>. Fix: F\n", `{"schema":"chive.error/1","code":"c","text":"<T>","fix":"F"}`},
		{&node.Fault{Kind: node.Denied, Code: "d", Text: "No", Fix: "F"}, true, 4,
			"Error: No. Fix: F\n", `{"schema":"chive.error/1","code":"d","text":"No","fix":"F"}`},
		{&node.Fault{Kind: node.Usage, Code: "e", Text: "Rules:\n  One.\n  Two.", Fix: "F."}, true, 2,
			"Error: Rules:\n  One.\n  Two.\nFix: F.\n", `{"schema":"chive.error/1","code":"e","text":"Rules:\n  One.\n  Two.","fix":"F."}`},
		{errors.New("odd"), true, 1,
			"Error: odd. Fix: Report this as a fault of chive.\n", `{"schema":"chive.error/1","code":"failed","text":"odd","fix":"Report this as a fault of chive."}`},
		{errors.New("odd"), false, 2,
			"Error: odd. Fix: See: chive --help\n", `{"schema":"chive.error/1","code":"usage","text":"odd","fix":"See: chive --help"}`},
	} {
		for _, asObject := range []bool{false, true} {
			var out, errs bytes.Buffer
			a := &app{out: &out, err: &errs, running: c.running, global: global{json: asObject}}
			want := c.text
			if asObject {
				want = c.object + "\n"
			}
			if code := a.fail(c.err); code != c.code || errs.String() != want || out.Len() != 0 {
				t.Errorf("code %d, %q; want %d, %q", code, errs.String(), c.code, want)
			}
		}
	}
}

func TestCurlLineOfASocket(t *testing.T) {
	for socks, want := range map[string]string{
		"127.0.0.1:9250":  "curl --proxy socks5h://127.0.0.1:9250 http://hello.test/",
		"unix:/run/s.soc": "curl --proxy socks5h://localhost/run/s.soc http://hello.test/",
	} {
		if got := curlLine(socks, testnet.TargetName); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// TestLogLevels: the command's default, quiet, and what was said, in that order.
func TestLogLevels(t *testing.T) {
	for _, c := range []struct {
		global global
		want   string
	}{
		{global{}, "info"}, {global{quiet: true}, "error"}, {global{quiet: true, logLevel: "debug"}, "debug"}, {global{logLevel: "warn"}, "warn"},
	} {
		a := &app{err: new(strings.Builder), global: c.global}
		if got := a.log("info"); got.Level != c.want || got.Color {
			t.Errorf("%+v: %+v", c.global, got)
		}
	}
}

// TestReadyLineIsParsed: words of KEY=VALUE with one space between them, whatever the
// listeners are called, as docs/proxy.md says. Spec: product CLI-8.
func TestReadyLineIsParsed(t *testing.T) {
	var out bytes.Buffer
	a := &app{out: &out, err: io.Discard}
	a.clientReady(node.ClientReady{Socks: []string{"127.0.0.1:9250", "browser=127.0.0.1:9361"}, DNS: "off", Web: "off", Control: "unix:/run/c", Took: time.Second}, "off")
	got := map[string]string{}
	words := strings.Split(strings.TrimSuffix(out.String(), "\n"), " ")
	for _, word := range words[min(2, len(words)):] {
		key, value, found := strings.Cut(word, "=")
		if !found || value == "" || got[key] != "" {
			t.Errorf("%q is no KEY=VALUE", word)
		}
		got[key] = value
	}
	want := map[string]string{"socks": "127.0.0.1:9250,browser=127.0.0.1:9361", "dns": "off", "web": "off", "control": "unix:/run/c", "relay": "off", "took": "1.0s"}
	if !strings.HasPrefix(out.String(), "ready client ") || !maps.Equal(got, want) {
		t.Errorf("%q: %v", out.String(), got)
	}
}
