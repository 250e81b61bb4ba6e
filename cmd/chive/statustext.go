// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"chive/internal/control"
)

// textWidth is how wide sentences are set.
const textWidth = 100

// shortRID is how many digits of a relay's name are shown.
const shortRID = 12

// printStatus writes a status for a person. What is true of several roles' lists is
// said once.
func printStatus(w io.Writer, s *control.Status) {
	said := map[string]bool{}
	kind := ""
	if s.Network.Testnet {
		kind = " (testnet)"
	}
	fmt.Fprintf(w, "network %s%s, id %.16s..., an epoch lasts %s\n", s.Network.Name, kind, s.Network.ID, duration(s.Network.EpochSeconds))
	if c := s.Client; c != nil {
		printClient(w, s, c, said)
	}
	if len(s.Relays) > fewRelays {
		printRelays(w, s)
		return
	}
	for i := range s.Relays {
		printRelay(w, s, &s.Relays[i], said)
	}
}

// fewRelays is how many relays of one process are shown at length; more have a line
// each.
const fewRelays = 2

// printRelays shows the relays of a testnet, a line each, and what is wrong with any.
func printRelays(w io.Writer, s *control.Status) {
	fmt.Fprintln(w)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "relays\trid\tlist\tstands\tcommittee\tneighbours\tcircuits\texit")
	for i := range s.Relays {
		r := &s.Relays[i]
		stands, seat := "not on the list", "-"
		switch {
		case r.Listed && r.Running:
			stands = "running"
		case r.Listed:
			stands = "not running"
		}
		switch {
		case r.Seat && r.Abstains == "":
			seat = "member"
		case r.Seat:
			seat = "abstains"
		}
		fmt.Fprintf(table, "%s\t%s\tepoch %d\t%s\t%s\t%d\t%d\t%s\n",
			r.Name, short(r.RID), r.Directory.Epoch, stands, seat, r.Neighbours, r.Traffic.Circuits, r.Exit)
	}
	_ = table.Flush()
	for i := range s.Relays {
		r := &s.Relays[i]
		for _, text := range []string{r.Joining, r.Abstains, r.Clock, r.Store, r.Keys} {
			wrap(w, "  ! "+r.Name+": ", text)
		}
		for _, n := range r.Reports {
			wrap(w, "  ! "+r.Name+": "+n.Time.Format(time.DateTime)+" ", n.Text)
		}
	}
}

func printClient(w io.Writer, s *control.Status, c *control.Client, said map[string]bool) {
	fmt.Fprintf(w, "\nclient: %s", clientWords[c.State])
	if clientWords[c.State] == "" {
		fmt.Fprint(w, c.State)
	}
	if c.Percent < 100 {
		fmt.Fprintf(w, " (%d%%, %s)", c.Percent, c.Tag)
	}
	fmt.Fprintln(w)
	wrap(w, "  ! ", c.Text)
	wrap(w, "  ! ", c.Clock)
	printDirectory(w, s, &c.Directory, said)
	fmt.Fprintf(w, "  guards: %d\n", len(c.Guards))
	for i, g := range c.Guards {
		until := ""
		if !g.Until.IsZero() {
			until = ", until " + g.Until.Format(time.DateOnly)
		}
		fmt.Fprintf(w, "    %d. %s %s%s\n", i+1, short(g.RID), g.State, until)
		wrap(w, "       ", g.Why)
	}
	fmt.Fprintf(w, "  circuits: %d\n", len(c.Circuits))
	for _, q := range c.Circuits {
		use := "unused"
		if q.InUse {
			use = "in use, " + number(q.Streams, "stream")
		}
		fmt.Fprintf(w, "    open for %s, %s, from the list of epoch %d\n", since(s.Time, q.Opened), use, q.Epoch)
		for _, h := range q.Hops {
			wrap(w, fmt.Sprintf("      %-6s %s  ", h.Position, short(h.RID)), h.Why)
		}
	}
}

// clientWords say what a client's states mean. Spec: directory §8.
var clientWords = map[string]string{
	"cold":    "starting: it looks for a relay to ask",
	"chain":   "starting: it checks who signed the newest list of relays",
	"table":   "starting: it fetches the list of relays",
	"check":   "asking relays apart whether they hold the same list",
	"ready":   "ready",
	"stale":   "working with an old list of relays",
	"refused": "stopped: the list of relays is too old",
}

func printRelay(w io.Writer, s *control.Status, r *control.Relay, said map[string]bool) {
	name := short(r.RID)
	for _, more := range []string{r.Nickname, r.Name} {
		if more != "" {
			name += ", " + more
		}
	}
	fmt.Fprintf(w, "\nrelay %s: listens at %s, published as %s, exit %s\n", name, r.Listen, strings.Join(r.Published, " and "), r.Exit)
	switch {
	case r.Listed && r.Running:
		fmt.Fprintf(w, "  on the list and running, %s old; ", number(r.AgeDays, "day"))
	case r.Listed:
		fmt.Fprintf(w, "  on the list but not running: other relays do not reach it; ")
	default:
		fmt.Fprintf(w, "  not on the list; ")
	}
	fmt.Fprintf(w, "%s\n", number(r.Neighbours, "neighbour"))
	wrap(w, "  joining: ", r.Joining)
	switch {
	case r.Seat && r.Abstains == "":
		fmt.Fprintln(w, "  a member of the committee that agrees on the list now; it takes part")
	case r.Seat:
		wrap(w, "  ", "a member of the committee that agrees on the list now, but takes no part: "+r.Abstains)
	case r.Listed && r.Directory.Committee.Members > 0:
		fmt.Fprintln(w, "  no member of the committee that agrees on the list now")
	}
	for _, trouble := range []struct{ what, text string }{{"clock", r.Clock}, {"store", r.Store}, {"keys", r.Keys}} {
		wrap(w, "  ! "+trouble.what+": ", trouble.text)
	}
	printDirectory(w, s, &r.Directory, said)
	t := r.Traffic
	fmt.Fprintf(w, "  %s open, %d made, %d refused; %d MiB forwarded since the start\n", number(t.Circuits, "circuit"), t.Created, t.Refused, t.Forwarded>>20)
	for _, n := range r.Reports {
		wrap(w, "  ! "+n.Time.Format(time.DateTime)+" ", n.Text)
	}
}

func printDirectory(w io.Writer, s *control.Status, d *control.Directory, said map[string]bool) {
	fmt.Fprintf(w, "  list of relays: epoch %d, which began at %s UTC; now is epoch %d\n", d.Epoch, d.EpochTime.Format(time.DateTime), d.CurrentEpoch)
	wrap(w, "    ", d.Freshness)
	fmt.Fprintf(w, "    %s, %d running, of these %d guards and %d exits\n", number(d.Relays, "relay"), d.Running, d.Guards, d.Exits)
	if !d.Fetched.IsZero() {
		line := "fetched " + since(s.Time, d.Fetched) + " ago"
		if !d.Checked.IsZero() {
			line += "; relays apart held the same list " + since(s.Time, d.Checked) + " ago"
		}
		if !d.NextFetch.IsZero() && d.NextFetch.After(s.Time) {
			line += "; asks again in " + since(d.NextFetch, s.Time)
		}
		wrap(w, "    ", line)
	}
	if c := d.Committee; c.Members > 0 {
		fmt.Fprintf(w, "  committee: %s in %s; %d must agree to change the list, %d to sign it\n", number(c.Members, "relay"), number(c.Networks, "network"), c.Majority, c.Quorum)
	}
	for _, n := range d.Notes {
		if said[n.Text] {
			continue
		}
		said[n.Text] = true
		mark := "  - "
		if n.Level != control.LevelInfo {
			mark = "  ! "
		}
		wrap(w, mark, n.Text)
	}
	if a := d.Alarm; a != nil {
		fmt.Fprintf(w, "    ours   %s\n    theirs %s\n", a.Ours, a.Theirs)
	}
}

// wrap writes a text behind a mark, on lines that stand under each other. An empty
// text writes nothing.
func wrap(w io.Writer, mark, text string) {
	if text == "" {
		return
	}
	pad := strings.Repeat(" ", len(mark))
	line := mark
	for i, word := range strings.Fields(text) {
		switch {
		case i == 0:
		case len(line)+1+len(word) > textWidth:
			fmt.Fprintln(w, line)
			line = pad
		default:
			line += " "
		}
		line += word
	}
	fmt.Fprintln(w, line)
}

func short(rid string) string { return fmt.Sprintf("%.*s", shortRID, rid) }

func number(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// since is how long ago something was, for a person.
func since(now, then time.Time) string { return duration(now.Sub(then).Seconds()) }

// duration shows seconds in two units at most.
func duration(seconds float64) string {
	d := time.Duration(max(seconds, 0) * float64(time.Second)).Round(time.Second)
	switch {
	case d >= 48*time.Hour:
		return number(int(d/(24*time.Hour)), "day")
	case d >= time.Hour:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	case d >= time.Minute:
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%d s", int(d.Seconds()))
}
