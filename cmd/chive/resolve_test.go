// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"chive/internal/control"
	"chive/internal/socks"
)

// TestALookupIsFoundAmongTheStories (product §4.6): the newest failed look-up of that very
// name since then, and no other.
func TestALookupIsFoundAmongTheStories(t *testing.T) {
	began := time.Date(2026, 11, 25, 12, 0, 0, 5e8, time.UTC)
	story := func(id, kind, target, reason string, at time.Time) control.Stream {
		return control.Stream{ID: id, Kind: kind, Target: target, Reason: reason, Began: at}
	}
	all := []control.Stream{
		story("a", "resolve", "other.test", "name_not_found", began),
		story("b", "connect", "nosuch.test", "name_not_found", began),
		story("c", "resolve", "nosuch.test", "", began),
		story("d", "resolve", "nosuch.test", "name_not_found", began),
		story("e", "resolve", "nosuch.test", "timeout", began),
		story("f", "resolve", "203.0.113.5", "timeout", began),
		story("g", "resolve", "old.test", "timeout", began.Add(-time.Minute)),
	}
	for query, want := range map[string]string{"NoSuch.test.": "d", "::ffff:203.0.113.5": "f", "old.test": "", "none.test": ""} {
		got := ""
		if s := storyAmong(all, "resolve", lookedUp(query), began); s != nil {
			got = s.ID
		}
		if got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
}

// TestALookupHasNoPort: where no daemon can be asked, the words of a refusal fit a look-up.
func TestALookupHasNoPort(t *testing.T) {
	a := &app{err: new(bytes.Buffer), global: global{control: "unix:" + t.TempDir() + "/none.sock"}}
	f := a.lookupFault(t.Context(), proxyPlace{}, "198.18.0.1", time.Now(), &socks.Refused{Code: codeNotAllowed})
	if f.Code != "private_address" || strings.Contains(f.Text+f.Fix, " port") {
		t.Errorf("%+v", f)
	}
}

// TestExplainNamesNoWaitAsWhatWorked: a step that was waited at did not work, and how it went on
// belongs to the same try: that its circuit was given up, or that it was answered after all.
func TestExplainNamesNoWaitAsWhatWorked(t *testing.T) {
	var out bytes.Buffer
	printExplained(&out, &control.Explained{Stream: control.Stream{Tries: []control.Try{
		{Phase: "circuit", Took: 0.1, Text: "first"},
		{Phase: "connect", Hop: 3, Relay: "aa", Took: 2, Reason: "waiting", Text: "no answer so far"},
		{Phase: "circuit", Took: 6, Reason: "circuit_failed", Text: "silent"},
		{Phase: "circuit", Took: 0.1, Text: "second"},
		{Phase: "connect", Hop: 3, Relay: "bb", Took: 2, Reason: "waiting", Text: "no answer so far"},
		{Phase: "connect", Hop: 3, Relay: "bb", Took: 3, Reason: "waiting", Text: "it is alive"},
		{Phase: "connect", Hop: 3, Relay: "bb", Took: 4, Text: "it was answered"},
	}}})
	var got []string
	for _, line := range strings.Split(out.String(), "\n") {
		if strings.Contains(line, " after ") {
			got = append(got, strings.Join(strings.Fields(line), " "))
		}
	}
	want := []string{
		"try 1 circuit: worked after 100 ms. first", "connect, exit aa: waiting after 2.0 s. no answer so far", "circuit: circuit_failed after 6.0 s. silent",
		"try 2 circuit: worked after 100 ms. second", "connect, exit bb: waiting after 2.0 s. no answer so far", "connect, exit bb: waiting after 3.0 s. it is alive",
		"connect, exit bb: worked after 4.0 s. it was answered",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s", out.String())
	}
}

// TestExplainNumbersTries: a circuit and what was done on it are one try, a busy exit that is
// asked again is another.
func TestExplainNumbersTries(t *testing.T) {
	var out bytes.Buffer
	printExplained(&out, &control.Explained{Stream: control.Stream{Tries: []control.Try{
		{Phase: "bootstrap"}, {Phase: "circuit", Reason: "circuit_failed"}, {Phase: "circuit"}, {Phase: "exit", Hop: 3, Reason: "circuit_failed"},
		{Phase: "connect", Hop: 3, Reason: "timeout"}, {Phase: "circuit"}, {Phase: "connect", Hop: 3},
		{Phase: "answer", Reason: "bad_answer"},
	}}})
	var got []string
	for _, line := range strings.Split(out.String(), "\n") {
		if label, rest, ok := strings.Cut(line, ":"); ok && strings.HasPrefix(line, "  ") && len(line) > 10 && !strings.HasPrefix(line, "  began") && rest != "" {
			got = append(got, strings.Join(strings.Fields(label), " "))
		}
	}
	want := "start bootstrap|try 1 circuit|try 2 circuit|exit, exit|try 3 connect, exit|try 4 circuit|connect, exit|answer"
	if s := strings.Join(got, "|"); s != want {
		t.Errorf("%s\n%s", s, out.String())
	}
}
