// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"strings"
	"testing"

	"chive/internal/control"
)

// TestAMemberThatRestsSaysThatItIsAway: it does not claim to take part, and who has a seat
// reads beforehand what its quota may cost the others.
func TestAMemberThatRestsSaysThatItIsAway(t *testing.T) {
	for name, c := range map[string]struct {
		relay          control.Relay
		text, abstains string // beginnings; empty: nothing is said
	}{
		"no quota":     {control.Relay{Seat: true}, "", ""},
		"no member":    {control.Relay{Quota: &control.Quota{UsedUp: true}}, "", ""},
		"a member":     {control.Relay{Seat: true, Quota: &control.Quota{}}, "It has a seat in the committee: when", ""},
		"of the other": {control.Relay{SeatIn: []string{"B"}, Quota: &control.Quota{UsedUp: true, Text: "It rests."}}, "It rests. It has a seat in the committee, where the others count it as away", ""},
		"it rests":     {control.Relay{Seat: true, Quota: &control.Quota{UsedUp: true, Text: "It rests."}}, "It rests. It has a seat", "its quota is used up"},
		"and is out":   {control.Relay{Seat: true, Abstains: "its clock is off", Quota: &control.Quota{UsedUp: true}}, " It has a seat", "its clock is off"},
	} {
		r := c.relay
		quotaOfMember(&r)
		text := ""
		if r.Quota != nil {
			text = r.Quota.Text
		}
		if !strings.HasPrefix(text, c.text) || c.text == "" && text != "" || !strings.HasPrefix(r.Abstains, c.abstains) || c.abstains == "" && r.Abstains != "" {
			t.Errorf("%s: %q, %q", name, text, r.Abstains)
		}
	}
}

// TestWhatRestsIsNotSaidToFail: a resting relay asks nobody, its port is closed, and its list
// gets old by itself.
func TestWhatRestsIsNotSaidToFail(t *testing.T) {
	for used, want := range map[bool]bool{true: false, false: true} {
		r := control.Relay{
			Joining: "no relay answers", Reachable: &control.Reachable{State: "yes"}, Quota: &control.Quota{UsedUp: used},
			Directory: control.Directory{Stalled: true, Notes: []control.Note{{Code: "young"}, {Code: noteStalled}}},
		}
		restOf(&r, 9)
		if (r.Directory.CurrentEpoch == 9) != used || strings.Contains(r.Directory.Freshness, "rests") != used {
			t.Errorf("used up %v: %+v", used, r.Directory)
		}
		if said := r.Joining != ""; said != want || r.Reachable != nil != want || r.Directory.Stalled != want || (len(r.Directory.Notes) == 2) != want || r.Directory.Notes[0].Code != "young" {
			t.Errorf("used up %v: %+v", used, r)
		}
	}
}
