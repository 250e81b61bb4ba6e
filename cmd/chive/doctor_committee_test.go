// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"chive/internal/config"
	"chive/internal/control"
)

// TestDoctorLooksAtTheCommittee (CLI-11): a second process with the keys, a member that
// takes no part, and a committee that has nobody to spare are findings, each with a fix.
func TestDoctorLooksAtTheCommittee(t *testing.T) {
	for name, c := range map[string]struct {
		change func(r *control.Relay)
		want   []string
	}{
		"all are there":          {func(*control.Relay) {}, []string{"ok good"}},
		"one is away":            {func(r *control.Relay) { away(r, 1) }, []string{"ok good"}},
		"none to spare":          {func(r *control.Relay) { away(r, 2) }, []string{"warning none_to_spare"}},
		"too few":                {func(r *control.Relay) { away(r, 3) }, []string{"warning too_few"}},
		"it stands still":        {func(r *control.Relay) { away(r, 3); r.Directory.Stalled = true }, []string{"ok good"}}, // a note's
		"a large network":        {func(r *control.Relay) { away(r, 3); r.Directory.Running = 18 }, []string{"ok good"}},
		"nobody may be away":     {func(r *control.Relay) { away(r, 1); r.Directory.Committee.Quorum = 7 }, []string{"ok good"}},
		"shut out is not there":  {func(r *control.Relay) { away(r, 1); r.Directory.Committee.Seats[1].Penalty = time.Unix(1, 0) }, []string{"warning none_to_spare"}},
		"a twin":                 {func(r *control.Relay) { r.Twin, r.Abstains = true, "another process" }, []string{"fault twin"}},
		"a twin without a seat":  {func(r *control.Relay) { r.Twin, r.Abstains, r.Seat = true, "another process", false }, []string{"fault twin"}},
		"a twin and a penalty":   {func(r *control.Relay) { r.Twin, r.Abstains, r.Penalty = true, "both", time.Unix(1, 0) }, []string{"fault twin"}},
		"it takes no part":       {func(r *control.Relay) { r.Abstains = "its list is behind" }, []string{"warning abstains"}},
		"before the first epoch": {func(r *control.Relay) { r.Abstains, r.Directory.CurrentEpoch = "to come", 0 }, []string{"ok good"}},
		"the store has said why": {func(r *control.Relay) { r.Abstains, r.Store = "signs nothing", "the disk is full" }, []string{"fault store"}},
	} {
		r := control.Relay{Listed: true, Running: true, Seat: true}
		r.Directory = control.Directory{CurrentEpoch: 9, Running: 7, Committee: control.Committee{Members: 7, Quorum: 5}}
		for i := range 7 {
			r.Directory.Committee.Seats = append(r.Directory.Committee.Seats, control.Seat{Self: i == 0, Stream: i > 0, Signer: true, Signed: true, Running: true})
		}
		c.change(&r)
		d := &doctor{status: &control.Status{Relays: []control.Relay{r}}}
		d.checkRelays()
		if got := codes(d.found); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
		for _, f := range d.found {
			if f.Level != levelOK && (f.Fix == "" || r.Abstains != "" && f.Check == "committee" && !strings.Contains(f.Text, r.Abstains)) {
				t.Errorf("%s: %+v", name, f)
			}
		}
	}
}

// TestDoctorSaysHowARestingMemberComesBack: by its quota, which no epoch ends.
func TestDoctorSaysHowARestingMemberComesBack(t *testing.T) {
	r := control.Relay{Listed: true, Running: true, Seat: true, Abstains: "its quota is used up, so it rests, and the others count it as away"}
	r.Directory.CurrentEpoch = 9
	r.Quota = &control.Quota{UsedUp: true, Ends: time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)}
	f := judgeSeat(&r)
	if len(f) != 1 || f[0].Code != "abstains" || strings.Contains(f[0].Fix, "more than an epoch") ||
		!strings.HasPrefix(f[0].Fix, "Raise relay.accounting.max (--monthly) and reload or restart it, or wait until 2026-12-01 00:00:00 UTC.") {
		t.Errorf("%+v", f)
	}
}

// away has the last members without a stream.
func away(r *control.Relay, n int) {
	seats := r.Directory.Committee.Seats
	for i := range n {
		seats[len(seats)-1-i].Stream = false
	}
}

// TestDoctorOfARelayLeavesProgramsAlone: what they do with a proxy does not matter on a host
// that has none.
func TestDoctorOfARelayLeavesProgramsAlone(t *testing.T) {
	relay, both := &control.Status{Relays: []control.Relay{{}}}, &control.Status{Relays: []control.Relay{{}}, Client: &control.Client{}}
	for name, c := range map[string]struct {
		d    doctor
		want bool // it looks at them
	}{
		"a relay runs":          {doctor{status: relay}, false},
		"a relay with a client": {doctor{status: both, relayOnly: true}, true},
		"a relay does not run":  {doctor{relayOnly: true}, false},
		"nothing is known":      {doctor{}, true},
		"asked for leaks":       {doctor{relayOnly: true, leak: true}, true},
	} {
		c.d.app, c.d.cfg = &app{}, config.Default()
		c.d.checkSurroundings()
		if got := slices.ContainsFunc(c.d.found, func(f finding) bool { return f.Check == "names" }); got != c.want {
			t.Errorf("%s: %v", name, codes(c.d.found))
		}
	}
}

// TestAnUnsaidValueIsNamedAsOne: a setting of the file that stands against nothing.
func TestAnUnsaidValueIsNamedAsOne(t *testing.T) {
	for declared, want := range map[string]string{"": "holds whenever the relay runs with it, though nothing was said of it here", "oak": `which wins over "oak" whenever`} {
		got := overruledObject{"relay.nickname", "birch", declared, "chive.toml:1:1"}.text()
		if !strings.Contains(got, want) || strings.Contains(got, "over nothing") || !strings.Contains(got, `-o "relay.nickname=`+declared+`"`) {
			t.Errorf("%q", got)
		}
	}
}
