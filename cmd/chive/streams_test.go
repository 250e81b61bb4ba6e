// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"strings"
	"testing"
	"time"

	"chive/internal/control"
)

// TestStreamsForAPerson: the ids that --explain takes, a line each.
func TestStreamsForAPerson(t *testing.T) {
	now := time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)
	s := &control.Streams{Time: now, Streams: []control.Stream{
		{ID: "0123456789ab", Kind: "connect", Target: "example.com:443", State: "open", Slow: true, Began: now.Add(-90 * time.Second)},
		{ID: "ba9876543210", Kind: "resolve", Target: "nowhere.example", State: "failed", Reason: "name_not_found", Began: now.Add(-2 * time.Second)},
	}}
	var out strings.Builder
	printStreams(&out, s)
	want := `id            state       began           kind     target           reason
0123456789ab  open, slow  1 min 30 s ago  connect  example.com:443  -
ba9876543210  failed      2 s ago         resolve  nowhere.example  name_not_found
`
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}

// TestRelaysThatSayTheSameSayItOnce: a testnet that has just started does not fill the
// screen with one sentence.
func TestRelaysThatSayTheSameSayItOnce(t *testing.T) {
	s := &control.Status{}
	for _, name := range []string{"relay 1", "relay 2", "relay 3", "relay 4", "relay 5"} {
		r := control.Relay{Name: name, Abstains: "the first list of relays is still to come"}
		if name == "relay 2" {
			r.Clock = "this clock is fast"
		}
		s.Relays = append(s.Relays, r)
	}
	var out strings.Builder
	printRelays(&out, s)
	if got := out.String(); strings.Count(got, "still to come") != 1 || !strings.Contains(got, "\n  ! all relays: the first list of relays is still to come\n  ! relay 2: this clock is fast\n") {
		t.Errorf("got\n%s", got)
	}
}

// TestHelpSaysWhatSlowMeans: it is about connecting, and of how many seconds.
func TestHelpSaysWhatSlowMeans(t *testing.T) {
	var out strings.Builder
	printStreams(&out, &control.Streams{})
	for what, text := range map[string]string{"the help": statusHelp, "an empty list": out.String()} {
		if !strings.Contains(text, "10 s to connect") {
			t.Errorf("%s: %q", what, text)
		}
	}
}
