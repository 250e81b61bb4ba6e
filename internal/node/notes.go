// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"fmt"
	"strings"
	"time"

	"chive/directory/genesis"
	dirsync "chive/directory/sync"
	"chive/internal/control"
)

// Notes of a client whose list is old, or whose clock cannot tell; its progress says so as
// well.
const (
	noteClock   = "clock_skew"
	noteStalled = "stalled"
	noteStale   = "stale"
	noteRefused = "refused"
	noteNoExit  = "no_exit" // the list has none that runs, or all that were tried fail
)

// directoryNotes says in plain words what a list of relays can be relied on for, to a
// relay's operator or a client's user. Spec: directory §6 (young), §12.
func directoryNotes(doc *genesis.Document, d *control.Directory, isRelay bool) []control.Note {
	notes := []control.Note{}
	add := func(level, code, format string, args ...any) {
		notes = append(notes, control.Note{Level: level, Code: code, Text: fmt.Sprintf(format, args...)})
	}
	protection := control.LevelWarning
	if doc.Testnet { // which protects nobody, and says so once
		protection = control.LevelInfo
		add(control.LevelInfo, "testnet", "This is a testnet: its times are short, its rules against floods of relays are off, and it protects nobody.")
	}
	if d.Alarm != nil {
		add(control.LevelAlarm, d.Alarm.Kind, "%s", d.Alarm.Text)
	}
	if d.Forked && (d.Alarm == nil || d.Alarm.Kind != "forked") { // the alarm has said so, with digests
		add(control.LevelAlarm, "forked", "There is another history of this network with enough signatures, which this node does not follow. "+
			"Both are kept. Ask the operators of several relays which list they hold, and compare digests.")
	}
	if d.Young {
		c := d.Committee
		if c.Members == 0 { // before the first epoch that one agrees on
			add(protection, "young", "This network is young: so few relays can agree on its list that a handful of them acting together decide what is on it. Do not rely on it for protection.")
		} else {
			add(protection, "young", "This network is young: its relay list is agreed by %s in %s, and %d of them acting together decide what is on it. Do not rely on it for protection.",
				count(c.Members, "relay"), count(c.Networks, "network"), c.Majority)
		}
	}
	if d.Unmeasured {
		add(protection, "unmeasured", "Nobody measures this network's relays: how often one is used follows from what it declares and from its age, so somebody who runs many relays for months gains by lying.")
	}
	if d.Stalled {
		add(control.LevelWarning, noteStalled, "%s", stalledText(doc, d, isRelay))
	}
	return notes
}

// stalledText says that no newer list has come, and claims that none was agreed only
// where that is known: a client has asked relays apart; a relay that reaches fewer
// members than a list needs may be the one that is cut off.
func stalledText(doc *genesis.Document, d *control.Directory, isRelay bool) string {
	stays := "The last one stays in use; clients refuse it when it is older than " + epochs(doc, doc.Params.Refuse) + "."
	goesOn := "It goes on by itself when enough of the committee's relays run, take part and reach each other: " + quorumText(d) + "."
	c := &d.Committee
	switch {
	case !isRelay:
		return fmt.Sprintf("No new list of relays was agreed for %s, as relays apart say. %s %s", behind(d), stays, goesOn)
	case c.Members > 0 && c.Reached >= c.Quorum:
		return fmt.Sprintf("No new list of relays was agreed for %s, though this relay reaches %d of the %d that agree on it, and %d are enough: some of them take no part, "+
			"and their own chive status says why%s. %s", behind(d), c.Reached, c.Members, c.Quorum, shutOutText(c), stays)
	}
	return fmt.Sprintf("This relay has received no new list for %s. Either none was agreed, since too few of the committee's relays run (%s are needed), or this relay does not hear of it: "+
		"it reaches %d of them. Check its connection and clock, and ask other operators which epoch their chive status shows. %s %s", behind(d), quorumText(d), c.Reached, stays, goesOn)
}

// shutOutText names the members that a penalty shuts out.
func shutOutText(c *control.Committee) string {
	var rids []string
	for i := range c.Seats {
		if s := &c.Seats[i]; !s.Penalty.IsZero() {
			rids = append(rids, s.RID[:16])
		}
	}
	switch len(rids) {
	case 0:
		return ""
	case 1:
		return "; " + rids[0] + " is shut out, since there is proof that it has signed two things that exclude each other"
	}
	return "; " + strings.Join(rids, ", ") + " are shut out, since there is proof that they have signed two things that exclude each other"
}

// quorumText says how many members a list needs.
func quorumText(d *control.Directory) string {
	return fmt.Sprintf("%d of %d", d.Committee.Quorum, d.Committee.Members)
}

// behind says how many epochs a list is behind the clock.
func behind(d *control.Directory) string {
	if d.CurrentEpoch <= d.Epoch {
		return "0 epochs"
	}
	return count(int(min(d.CurrentEpoch-d.Epoch, 1<<30)), "epoch")
}

// epochs says how long so many epochs are.
func epochs(doc *genesis.Document, n int) string {
	return count(n, "epoch") + " (" + long(time.Duration(n)*doc.Params.EpochLen) + ")"
}

// newestText says of when a relay's list is.
func newestText(doc *genesis.Document, d *control.Directory) string {
	switch lag := d.CurrentEpoch - min(d.Epoch, d.CurrentEpoch); {
	case d.Epoch == 0 && lag == 0:
		return "The list is the one that the network began with."
	case d.Stalled && lag <= uint64(doc.Params.Refuse):
		return "The newest list is " + behind(d) + " old, and no newer one has come: it stays in use."
	case lag <= 1:
		return "The newest list is of this epoch or the one before: fresh."
	case lag <= uint64(doc.Params.Fresh):
		return "The newest list is " + behind(d) + " old, which happens: fresh."
	case lag <= uint64(doc.Params.Refuse):
		return "The newest list is " + behind(d) + " old: stale."
	default:
		return "The newest list is " + behind(d) + " old: clients refuse it."
	}
}

// staleText says what an old list means, and more beyond the network's warn: by then
// more than a hiccup is wrong, and the time is near when nothing works.
func staleText(doc *genesis.Document, d *control.Directory) string {
	if dirsync.FreshnessOf(doc.Params, d.Epoch, d.CurrentEpoch) == dirsync.Outdated {
		left := doc.Params.Refuse - int(d.CurrentEpoch-d.Epoch)
		return fmt.Sprintf("The list of relays is %s old, which is more than %s: many of its relays may be gone, and whoever withholds newer ones chooses what is seen here. "+
			"Do not rely on it for protection. Check the clock and the connection now: in %s no new circuits are built any more.",
			behind(d), epochs(doc, doc.Params.Warn), epochs(doc, left+1))
	}
	return fmt.Sprintf("The list of relays is %s old. Circuits are still built from it, up to %s; a newer one is asked for again and again. "+
		"If other networks work here, the relays that were asked withhold it or the network stands still.", behind(d), epochs(doc, doc.Params.Refuse))
}

func refusedText(doc *genesis.Document, d *control.Directory) string {
	return fmt.Sprintf("The list of relays is %s old, more than %s: no new circuits are built from it, since who knows what has become of its relays. "+
		"Check the clock and the connection; chive asks for a newer list again and again.", behind(d), epochs(doc, doc.Params.Refuse))
}

// count writes a number of things.
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// times writes how often.
func times(n int) string {
	if n == 2 {
		return "twice"
	}
	return fmt.Sprintf("%d times", n)
}

// long writes a duration for a person, in its largest whole units.
func long(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return count(int(d.Hours()/24), "day")
	case d >= 2*time.Hour:
		return count(int(d.Hours()), "hour")
	case d >= 2*time.Minute:
		return count(int(d.Minutes()), "minute")
	}
	return count(int(d.Seconds()), "second")
}

// clockNote says that this machine's clock cannot be right.
func clockNote(doc *genesis.Document, now time.Time) string {
	if ahead := doc.Time.Sub(now); ahead > doc.Params.EpochLen {
		return fmt.Sprintf("This machine's clock says %s, but the network %s began at %s: the clock is at least %s slow. Set it, for example with timedatectl set-ntp true.",
			now.UTC().Format(time.DateTime), doc.Name, doc.Time.UTC().Format(time.DateTime), long(ahead))
	}
	return ""
}
