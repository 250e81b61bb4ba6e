// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"chive/client"
	"chive/internal/control"
	"chive/internal/node"
)

// clockSlack is how far ahead of this machine's clock a file's time may be.
const clockSlack = 10 * time.Minute

const setClock = "Set the clock, and let the system keep it: timedatectl set-ntp true."

// checkClock believes the network, which a running daemon knows; without one it looks
// for what cannot be.
func (d *doctor) checkClock(e node.Examined, now time.Time) {
	const check = "clock"
	if s := d.status; s != nil {
		wrong := ""
		if s.Client != nil {
			wrong = s.Client.Clock
		}
		for i := range s.Relays {
			if wrong == "" {
				wrong = s.Relays[i].Clock
			}
		}
		switch {
		case wrong != "":
			d.fault(check, "clock_skew", sentence(wrong), setClock)
		case !followed(s):
			d.ok(check, "unknown", "Nobody has said that this clock is wrong, but no newer list has come either that it could be compared with.")
		case s.Client != nil && s.Client.State != "ready":
			d.ok(check, "unknown", "The daemon has not said that this clock is wrong, but it is not connected yet.")
		default:
			d.ok(check, "good", "It agrees with the network.")
		}
		return
	}
	switch built := buildTime(); {
	case now.Before(built.Add(-clockSlack)):
		d.fault(check, "clock_behind", "This clock says a time before chive was made: "+now.UTC().Format(time.DateTime)+" UTC.", setClock)
	case e.Newest.After(now.Add(clockSlack)):
		d.fault(check, "clock_behind", "A file of the state folder was written in the future: this clock was set back, or was wrong then.", setClock)
	case unsynchronised():
		d.warn(check, "clock_unkept", "This system does not keep its clock by a time server.", setClock)
	default:
		d.ok(check, "plausible", "Nothing here says that it is wrong. A running client compares it with the network.")
	}
}

// buildTime is when the source of this binary was committed; zero: unknown.
func buildTime() time.Time {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return time.Time{}
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.time" {
			t, _ := time.Parse(time.RFC3339, s.Value)
			return t
		}
	}
	return time.Time{}
}

func (d *doctor) checkNetwork(ctx context.Context, now time.Time) {
	const check = "network"
	if d.status == nil && d.withinRun() {
		d.warn(check, "not_judged", "Not judged: within chive run no relay is reached, and no client says how it goes.", "Ask outside of it: chive doctor")
		return
	}
	if d.status == nil {
		d.checkPeers(ctx, now)
		return
	}
	s, c := d.status, d.status.Client
	switch {
	case c == nil:
	case c.State == "ready":
		d.ok(check, "connected", fmt.Sprintf("The client is connected to %s, with %s and %s open.", s.Network.Name, number(len(c.Guards), "guard"), number(len(c.Circuits), "circuit")))
	case c.State == "down":
		d.fault(check, c.Cause, sentence("The client is not connected any more: "+c.Text), causeFix(c.Cause, c.Fix))
	case c.Cause != "" && c.Cause != "disk" || c.State == "refused":
		cause := c.Cause
		if cause == "" {
			cause = "refused"
		}
		d.fault(check, cause, sentence(fmt.Sprintf("The client is stuck at %d%% (%s): %s", c.Percent, c.Tag, c.Text)), causeFix(cause, c.Fix))
	default:
		d.warn(check, "starting", sentence(fmt.Sprintf("The client is not connected yet: %d%% (%s). %s", c.Percent, c.Tag, c.Text)), "Wait, and ask again; after 20 s of standstill it says the cause.")
	}
	if c != nil && c.Cause == "disk" { // nothing stands still for it
		d.fault("state", c.Cause, sentence(upperFirst(c.Text)), causeFix(c.Cause, c.Fix))
	}
	said := map[string]bool{}
	lists := []control.Directory{}
	if c != nil {
		d.peersOf(c.Peers)
		lists = append(lists, c.Directory)
	}
	for i := range s.Relays {
		d.peersOf(s.Relays[i].Peers)
		lists = append(lists, s.Relays[i].Directory)
	}
	for _, l := range lists {
		for _, n := range l.Notes {
			if n.Level == control.LevelInfo || said[n.Code] {
				continue
			}
			said[n.Code] = true
			switch n.Level {
			case control.LevelAlarm:
				d.fault("directory", n.Code, sentence(n.Text), "Compare with what others see, and ask those who run the network: chive status says more.")
			case control.LevelWarning:
				fix := "See chive status; nothing on this machine causes it."
				if n.Code == "no_exit" {
					fix = "Wait until an exit runs again: chive status says how many do by the list. Ask those who run the network whether theirs do."
				}
				if n.Code == "clock_skew" || d.hasFault("clock") {
					fix = "This machine's clock causes it. " + setClock
				}
				d.warn("directory", n.Code, sentence(n.Text), fix)
			}
		}
	}
	for _, l := range lists {
		if l.Stalled && !said["stalled"] && !d.hasFault("clock") { // a newcomer is not told so in its status
			said["stalled"] = true
			d.warn("directory", "stalled", sentence(l.Freshness), control.FixStalled)
		}
	}
	if len(said) == 0 && len(lists) > 0 {
		d.ok("directory", "fresh", sentence(lists[0].Freshness))
	}
}

// followed reports whether a list of relays that is held here is one of now.
func followed(s *control.Status) bool {
	if s.Client != nil && !s.Client.Directory.Stalled {
		return true
	}
	return slices.ContainsFunc(s.Relays, func(r control.Relay) bool { return !r.Directory.Stalled })
}

// causeFix says what to do about the cause of a standstill; said is what the daemon knows of
// it, which may know more than the cause does. Spec: product CLI-7.
func causeFix(cause, said string) string {
	if cause == "clock_skew" {
		return setClock
	}
	if said == "" {
		said = client.CauseFix(cause)
	}
	return sentence(upperFirst(said))
}

// upperFirst begins a text as a sentence does.
func upperFirst(text string) string {
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

// hasRoute reports whether the system would send a datagram there; nothing is sent.
func hasRoute(network, address string) bool {
	c, err := net.Dial(network, address)
	if err != nil {
		return false
	}
	_ = c.Close()
	return true
}

// checkRelays looks at the relays that the daemon runs.
func (d *doctor) checkRelays() {
	if d.status == nil || d.status.Client != nil && d.status.Network.Testnet && len(d.status.Relays) > fewRelays {
		return // a testnet in one process
	}
	for i := range d.status.Relays {
		r := &d.status.Relays[i]
		const check = "relay"
		good := true
		for _, bad := range []struct{ code, text, fix string }{{"store", r.Store, r.StoreFix}, {"keys", r.Keys, r.KeysFix}} {
			if bad.text != "" {
				good = false
				d.fault(check, bad.code, sentence(strings.ToUpper(bad.text[:1])+bad.text[1:]), cmp.Or(sentence(bad.fix), "Do what it says;")+" chive relay status tells when it is over.")
			}
		}
		if rests(r) {
			good = false
			d.warn(check, "rests", sentence("It rests, takes no circuits, and its port is closed. "+r.Quota.Text),
				"It goes on by itself at "+r.Quota.Ends.UTC().Format(time.DateTime)+" UTC, or when you raise relay.accounting.max (--monthly) and reload it.")
		}
		if r.Reachable != nil && r.Reachable.State == "no" {
			good = false
			text := r.Reachable.Text
			if r.Reachable.Checked.IsZero() { // else it begins with that
				text = "Other relays cannot reach it. " + text
			}
			d.fault(check, "unreachable", sentence(text), "Let the port through the firewall, and forward it in the router to this machine: "+r.Listen)
		}
		if !r.Listed {
			good = false
			d.warn(check, "unlisted", sentence("It is not on the list of relays yet. "+r.Joining), "Wait for the next lists; chive relay status says what is missing.")
		}
		if seats := judgeSeat(r); len(seats) > 0 {
			good = false
			d.found = append(d.found, seats...)
		}
		if !r.Penalty.IsZero() && !r.Twin {
			good = false
			d.warn(check, "penalty", sentence(r.Abstains), "Run one process with these keys, from one state folder, and never an old copy of it. Nothing ends the time sooner.")
		}
		if r.Overload != "" {
			good = false
			d.warn(check, "overload", sentence(r.Overload), "Give it more, or let it offer less: relay.rate, relay.memory")
		}
		if good {
			d.ok(check, "good", "It is on the list of relays, and its keys and files are as they should be.")
		}
	}
}
