// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"chive/internal/config"
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
	fmt.Fprintf(w, "network %s%s, id %.16s..., an epoch lasts %s%s\n", s.Network.Name, kind, s.Network.ID, duration(s.Network.EpochSeconds), shortDay(s.Network.DaySeconds))
	for _, l := range s.Listeners {
		fmt.Fprintf(w, "  %-7s %s\n", l.Kind, l.Address)
		wrap(w, "          ", l.Text)
	}
	if s.Disk != "" {
		wrap(w, "  ! disk: ", sentence(s.Disk)+" "+control.FixDisk)
	}
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

// fewNames is how many relays that say the same are named.
const fewNames = 3

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
		case !r.Penalty.IsZero():
			seat = "shut out"
		case r.Seat:
			seat = "abstains"
		}
		fmt.Fprintf(table, "%s\t%s\tepoch %d\t%s\t%s\t%d\t%d\t%s\n",
			r.Name, short(r.RID), r.Directory.Epoch, stands, seat, r.Neighbours, r.Traffic.Circuits, r.Exit)
	}
	_ = table.Flush()
	// What several relays say is said once.
	var texts []string
	who := make(map[string][]string)
	for i := range s.Relays {
		r := &s.Relays[i]
		for _, text := range []string{r.Joining, r.Abstains, r.Clock, r.Store, r.Keys} {
			if text == "" {
				continue
			}
			if who[text] == nil {
				texts = append(texts, text)
			}
			who[text] = append(who[text], r.Name)
		}
	}
	for _, text := range texts {
		names := who[text]
		switch {
		case len(names) == len(s.Relays):
			names = []string{"all relays"}
		case len(names) > fewNames:
			names = []string{number(len(names), "relay")}
		}
		wrap(w, "  ! "+strings.Join(names, ", ")+": ", text)
	}
	for i := range s.Relays {
		r := &s.Relays[i]
		for _, n := range r.Reports {
			wrap(w, "  ! "+r.Name+": "+n.Time.Format(time.DateTime)+" ", n.Text+aboutRelay(n.RID))
		}
	}
}

func printClient(w io.Writer, s *control.Status, c *control.Client, said map[string]bool) {
	printClientState(w, s, c, said)
	printPaths(w, s, c)
}

// printClientState writes what may stand in a log, too: how a client stands, and not by
// what relays.
func printClientState(w io.Writer, s *control.Status, c *control.Client, said map[string]bool) {
	words := cmp.Or(clientWords[c.State], c.State)
	if c.State == "refused" && c.Clock != "" {
		words = "stopped: this machine's clock is wrong"
	}
	fmt.Fprintf(w, "\nclient: %s", words)
	if c.Percent < 100 {
		fmt.Fprintf(w, " (%d%%, %s)", c.Percent, c.Tag)
	}
	fmt.Fprintln(w)
	wrap(w, "  ! ", c.Text)
	if c.State == "down" {
		wrap(w, "    ", sentence(upperFirst(c.Fix)))
	}
	if !strings.Contains(c.Text, c.Clock) { // it may be what holds the client up
		wrap(w, "  ! ", c.Clock)
	}
	printDirectory(w, s, &c.Directory, said)
}

// printPeers names the relays that --peer names and that did not work, to who has named
// them.
func printPeers(w io.Writer, all []control.Peer) {
	for i := range all {
		if p := &all[i]; p.Text != "" {
			wrap(w, "  ! ", "--peer "+p.RID+"@"+strings.Join(p.Addresses, ", ")+" "+sentence(p.Text))
		}
	}
}

// printPaths writes a client's guards and circuits, and what it was told to begin with.
func printPaths(w io.Writer, s *control.Status, c *control.Client) {
	printPeers(w, c.Peers)
	fmt.Fprintf(w, "  guards: %d\n", len(c.Guards))
	for i, g := range c.Guards {
		until := ""
		if !g.Until.IsZero() {
			until = ", until " + g.Until.Format(time.DateOnly)
			if g.Until.Sub(s.Time) < 24*time.Hour { // a testnet's; or it is about to go
				until = ", until " + g.Until.Format(time.DateTime) + " UTC"
			}
		}
		fmt.Fprintf(w, "    %d. %s %s%s\n", i+1, called(g.RID, g.Nickname), g.State, until)
		wrap(w, "       ", g.Why)
	}
	fmt.Fprintf(w, "  circuits: %d\n", len(c.Circuits))
	for _, q := range c.Circuits {
		use := "not used yet" // in the words of the page
		switch {
		case q.Streams > 0:
			use = "in use, " + number(q.Streams, "stream")
		case q.InUse:
			use = "no stream now"
		}
		fmt.Fprintf(w, "    open for %s, %s, from the list of epoch %d\n", since(s.Time, q.Opened), use, q.Epoch)
		for _, h := range q.Hops {
			wrap(w, fmt.Sprintf("      %-6s %s  ", h.Position, called(h.RID, h.Nickname)), h.Why)
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
	"down":    "not connected: no circuit can be made",
}

func printRelay(w io.Writer, s *control.Status, r *control.Relay, said map[string]bool) {
	name := "relay"
	if r.Name != "" { // relay N, in a testnet
		name = r.Name
	}
	if r.Nickname != "" {
		name += " " + r.Nickname
	}
	fmt.Fprintf(w, "\n%s: listens at %s, published as %s, exit %s\n", name, r.Listen, orNone(strings.Join(r.Published, " and ")), r.Exit)
	fmt.Fprintf(w, "  rid %s\n", r.RID)
	if r.Family != "" {
		wrap(w, "  family ", r.Family)
	}
	if r.Permits != "" {
		wrap(w, "  exit permits: ", r.Permits)
	}
	wrap(w, "  ", r.Forwarded)
	for _, a := range r.Published {
		fmt.Fprintf(w, "  others may name it: --peer %s@%s\n", r.RID, a)
	}
	switch {
	case r.Listed && r.Running:
		fmt.Fprintf(w, "  on the list and running, %s old; ", number(r.AgeDays, "day"))
	case r.Listed:
		fmt.Fprintf(w, "  on the list but not running; ")
	default:
		fmt.Fprintf(w, "  not on the list; ")
	}
	if r.Listed || r.Neighbours > 0 {
		fmt.Fprintf(w, "%s\n", number(r.Neighbours, "neighbour"))
	} else { // those that introduce it are none
		fmt.Fprintln(w, "neighbours come with its place there")
	}
	switch p := r.Reachable; {
	case p == nil:
	case p.State == "no":
		wrap(w, "  ! ", p.Text)
	case !p.Checked.IsZero() || !r.Listed: // else the line above says it
		wrap(w, "  ", p.Text)
	}
	if r.Weight != nil {
		wrap(w, "  ", fmt.Sprintf("%.2g %% of the running relays' rate. %s", 100*r.Weight.Share, r.Weight.Why))
	}
	printLimits(w, r)
	wrap(w, "  joining: ", r.Joining)
	printPeers(w, r.Peers)
	which := r.Directory.Committee.Name
	if which != "" {
		which = " (" + which + ")"
	}
	switch {
	case r.Seat && r.Abstains == "":
		fmt.Fprintf(w, "  a member of the committee that agrees on the list now%s; it takes part\n", which)
	case r.Seat:
		wrap(w, "  ", "a member of the committee that agrees on the list now"+which+", but takes no part: "+r.Abstains)
	case r.Abstains != "":
		wrap(w, "  ! ", "it takes no part in the committee: "+r.Abstains)
	case r.Listed && len(r.SeatIn) > 0:
		fmt.Fprintf(w, "  no member of the committee that agrees on the list now%s; it is one of %s\n", which, strings.Join(r.SeatIn, " and "))
	case r.Listed && r.Directory.Committee.Members > 0:
		fmt.Fprintf(w, "  no member of the committee that agrees on the list now%s\n", which)
	}
	for _, trouble := range []struct{ what, text, fix string }{{"clock", r.Clock, ""}, {"store", r.Store, r.StoreFix}, {"keys", r.Keys, r.KeysFix}} {
		wrap(w, "  ! "+trouble.what+": ", trouble.text)
		if trouble.text != "" && trouble.fix != "" {
			wrap(w, "    Fix: ", trouble.fix)
		}
	}
	if c := r.Certificates; c != nil {
		if c.Warning != "" {
			wrap(w, "  ! certificates: ", c.Warning)
		} else {
			wrap(w, "  ", c.Text)
		}
	}
	switch v := r.Vouching; {
	case v == nil || v.GapDays == 0:
	case v.May:
		fmt.Fprintf(w, "  vouchers: 1 left, for a newcomer whose operator you know (chive relay vouch); the next counts %d days after its use\n", v.GapDays)
	case !v.FromTime.IsZero():
		fmt.Fprintf(w, "  vouchers: none left until %s UTC, since a newcomer is on the list by one\n", v.FromTime.UTC().Format(time.DateTime))
	}
	printDirectory(w, s, &r.Directory, said)
	t := r.Traffic
	fmt.Fprintf(w, "  %s open, %d made, %d refused; %s forwarded since the start\n", number(t.Circuits, "circuit"), t.Created, t.Refused, forwarded(t.Forwarded))
	for _, n := range r.Reports {
		wrap(w, "  ! "+n.Time.Format(time.DateTime)+" ", n.Text+aboutRelay(n.RID))
	}
}

// printLimits writes what bounds a relay now.
func printLimits(w io.Writer, r *control.Relay) {
	if r.Drains && (r.Quota == nil || !r.Quota.UsedUp) { // it rests
		fmt.Fprintln(w, "  drains: it takes no new circuits, and ends when those that are open have gone")
	}
	ceiling := "no ceiling"
	if r.Rate > 0 {
		ceiling = "at most " + config.Rate(r.Rate).About() + " each way"
	}
	fmt.Fprintf(w, "  rate: %s; it declares %s\n", ceiling, config.Rate(r.Declared).About())
	if u := r.RateUse; u != nil {
		mark := "    "
		if u.Binds {
			mark = "  ! "
		}
		wrap(w, mark, u.Text)
	}
	if q := r.Quota; q != nil {
		fmt.Fprintf(w, "  quota: %s of %s this %s, until %s UTC\n", config.Size(q.Used).About(), config.Size(q.Max).About(), q.Period, q.Ends.UTC().Format(time.DateTime))
		wrap(w, "    ", q.Text)
	}
	if m := r.Memory; m != nil {
		fmt.Fprintf(w, "  memory: %s of %s for circuits, queues, buffers and lists; the process has %s in all\n", config.Size(m.Used).About(), config.Size(m.Max).About(), config.Size(m.Process).About())
		wrap(w, "    ", m.Text)
	}
	wrap(w, "  ! ", r.Overload)
}

// aboutRelay names the relay that a report is about.
func aboutRelay(rid string) string {
	if rid == "" {
		return ""
	}
	return ": relay " + rid
}

// forwarded is a total, which relays tell in whole MiB.
func forwarded(n uint64) string {
	if n < 1<<20 {
		return "less than 1 MiB"
	}
	return config.Size(n).About()
}

func printDirectory(w io.Writer, s *control.Status, d *control.Directory, said map[string]bool) {
	fmt.Fprintf(w, "  list of relays: epoch %d, which began at %s UTC; now is epoch %d\n", d.Epoch, d.EpochTime.Format(time.DateTime), d.CurrentEpoch)
	wrap(w, "    ", d.Freshness)
	fmt.Fprintf(w, "    %s, %d running, of these %s and %s\n", number(d.Relays, "relay"), d.Running, number(d.Guards, "guard"), number(d.Exits, "exit"))
	if len(d.DirRoot) >= 16 {
		fmt.Fprintf(w, "    digest %s: the same wherever the list is of epoch %d\n", d.DirRoot[:16], d.Epoch)
	}
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
		switch c.Name {
		case "A":
			fmt.Fprintln(w, "    it is committee A; B, drawn apart, agrees on each fifth epoch")
		case "B":
			fmt.Fprintln(w, "    it is committee B, which agrees on each fifth epoch; A, drawn apart, on the others")
		}
		printSeats(w, &c, d.Stalled, d.Running)
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

// fewSeats is how many members that are not heard of are named.
const fewSeats = 10

// printSeats says which of the committee's members a relay sees, and names those that it
// does not, in full: their operators are to be asked. Where so many relays run that none has a
// stream with all of them, one that it has none with is missing only while nothing is agreed.
func printSeats(w io.Writer, c *control.Committee, stalled bool, running int) {
	if len(c.Seats) == 0 {
		return
	}
	line := fmt.Sprintf("this relay reaches %d of the %d (itself, if it is one of them, counts)", c.Reached, len(c.Seats))
	if c.Signers > 0 {
		by := ""
		if c.SignedBy != "" {
			by = " of committee " + c.SignedBy
		}
		line += fmt.Sprintf("; the newest list is signed by %d of %d%s (%d are enough, and later ones may not be counted)", c.Signed, c.Signers, by, cmp.Or(c.SignersNeeded, c.Quorum))
	}
	if running > fullMesh {
		line += fmt.Sprintf(". It has a stream with its neighbours alone, of %d relays: others hear from the rest", running)
	}
	wrap(w, "    ", line)
	if !slices.ContainsFunc(c.Seats, func(m control.Seat) bool { return m.Stream }) && len(c.Seats) > 1 {
		return // it is this relay that is alone: nobody is missing more than others
	}
	named, more := 0, 0
	var silent []string // reached, and have not signed the list that there is, while nothing is agreed
	for i := range c.Seats {
		m := &c.Seats[i]
		if stalled && !m.Self && m.Running && m.Stream && m.Signer && !m.Signed && m.Penalty.IsZero() {
			silent = append(silent, strings.TrimSpace(m.RID+" "+m.Nickname))
		}
		// While the network stands still, who signed before does not matter; else nobody is
		// missing who had nothing to sign.
		if m.Self || m.Running && (m.Stream || (m.Signed || !m.Signer || running > fullMesh) && !stalled) && m.Penalty.IsZero() {
			continue
		}
		if named >= fewSeats {
			more++
			continue
		}
		named++
		var how []string
		for _, one := range []struct {
			is   bool
			text string
		}{{!m.Running, "not running, as the list says"}, {!m.Stream, "no stream with it"}, {m.Signer && !m.Signed, "has not signed the newest list"},
			{!m.Penalty.IsZero(), "shut out until " + m.Penalty.Format(time.DateTime) + " UTC for two signatures"}} {
			if one.is {
				how = append(how, one.text)
			}
		}
		fmt.Fprintf(w, "    missing: %s (%s)\n", strings.TrimSpace(m.RID+" "+m.Nickname), strings.Join(how, "; "))
	}
	if more > 0 {
		fmt.Fprintf(w, "    and %d more\n", more)
	}
	for i, who := range silent {
		if i == fewSeats {
			fmt.Fprintf(w, "    and %d more that did not sign\n", len(silent)-i)
			break
		}
		fmt.Fprintf(w, "    not signed: %s (reached; the newest list there is lacks its signature, which may only have been late: its own chive status says whether it takes part)\n", who)
	}
}

// shortDay says how long the days are in which ages are told, where they are no days.
func shortDay(seconds float64) string {
	if seconds == 0 || seconds == (24*time.Hour).Seconds() {
		return ""
	}
	return ", and a day of its ages " + duration(seconds)
}

// printList writes the list of relays for a person.
func printList(w io.Writer, l *control.Relays) {
	fmt.Fprintf(w, "list of relays of epoch %d: %s%s\n", l.Epoch, number(len(l.Relays)+l.Left, "relay"), shortDay(l.Day))
	fmt.Fprint(w, "A rate is the list's step at or below what the relay declares: up to 16 % less.\n\n") // steps of 2^(1/4)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "rid\tname\taddresses\trunning\tage\trate\tshare\texit\tflags")
	for i := range l.Relays {
		r := &l.Relays[i]
		running, name := "no", "-"
		if r.Running {
			running = "yes"
		}
		if r.Nickname != "" {
			name = r.Nickname
		}
		flags := strings.Join(r.Flags, ",")
		if !r.Penalty.IsZero() {
			flags += " shut out of the committee until " + r.Penalty.Format(time.DateTime) + " UTC"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%.2g %%\t%s\t%s\n", r.RID, name, strings.Join(r.Addresses, ","), running,
			number(r.AgeDays, "day"), config.Rate(r.Rate).About(), 100*r.Share, r.Exit, strings.TrimSpace(flags))
	}
	_ = t.Flush()
	if l.Left > 0 {
		fmt.Fprintf(w, "and %d more\n", l.Left)
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

// called names a relay, and what it calls itself where that is known.
func called(rid, nickname string) string { return strings.TrimSpace(short(rid) + " " + nickname) }

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
