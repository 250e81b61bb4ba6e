// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
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
				if n.Code == "clock_skew" || d.hasFault("clock") {
					fix = "This machine's clock causes it. " + setClock
				}
				d.warn("directory", n.Code, sentence(n.Text), fix)
			}
		}
	}
	if len(said) == 0 && len(lists) > 0 {
		d.ok("directory", "fresh", sentence(lists[0].Freshness))
	}
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

// peerTime bounds one try to reach a relay, and maxTried how many are tried of a kind.
const (
	peerTime = 4 * time.Second
	maxTried = 8
)

// checkPeers tries what a client would try first. Spec: product CLI-11, NET-1.
func (d *doctor) checkPeers(ctx context.Context, now time.Time) {
	const check = "network"
	if d.cfg.Network.Genesis == "" {
		d.warn(check, "no_network", "No network is named, and this version has none built in.", "Name one: --genesis FILE or the key network.genesis. Or start one here: chive testnet up")
		return
	}
	testnet, err := node.CheckGenesis(d.cfg.Network.Genesis)
	if err != nil {
		d.failed(check, err)
		return
	}
	info, err := node.ShowNetwork(d.cfg.Network.Genesis)
	if err != nil {
		d.failed(check, err)
		return
	}
	if now.Before(info.Time.Add(-clockSlack)) {
		d.fault("clock", "clock_behind", "The network "+info.Name+" began at "+info.Time.UTC().Format(time.DateTime)+" UTC, and this clock says an earlier time.", setClock)
	}
	switch {
	case d.offline:
		d.ok(check, "not_tried", "The network is "+info.Name+"; its relays were not tried.")
		return
	case d.cfg.Client.Upstream != "off" && d.cfg.Client.Upstream != "":
		d.ok(check, "upstream", "The network is "+info.Name+". Links go through the proxy of client.upstream: relays were not tried without it.")
		return
	}
	if !testnet && !hasRoute("udp4", "192.0.2.1:9") && !hasRoute("udp6", "[2001:db8::1]:9") {
		d.fault(check, "no_route", "This machine has no way to other networks.", "Connect it to a network.")
		return
	}
	var founders []string
	for _, f := range info.Founders {
		founders = append(founders, texts(f.Addresses)...)
	}
	total := d.tryPeers(ctx, "founders", founders)
	named, err := d.tryNamed(ctx)
	if err != nil {
		d.failed(check, err)
		return
	}
	if total+named == 0 {
		d.fault(check, "no_peers", "None of the relays that are known here takes a connection.",
			"Check this machine's connection and firewall. If the relays are gone, name one that runs: --peer RID@IP:PORT. If only some ports pass: client.ports; behind a proxy: client.upstream")
	}
}

// tryNamed makes a link to each relay that network.peers names, and names each that is not
// reached. It returns how many are.
func (d *doctor) tryNamed(ctx context.Context) (reached int, err error) {
	tried, err := node.TryPeers(ctx, d.cfg.Network.Genesis, d.cfg.Network.Peers, peerTime)
	if err != nil {
		return 0, err
	}
	for _, p := range tried {
		if p.Text == "" {
			reached++
			continue
		}
		d.peerFails(p.Peer, p.Text)
	}
	if reached > 0 {
		d.ok("network", "peers", fmt.Sprintf("%d of %d peers of the configuration are reached, and are who they should be.", reached, len(tried)))
	}
	return reached, nil
}

// peerFails notes that a relay that the user has named is of no use; text is what and the fix.
func (d *doctor) peerFails(peer, text string) {
	what, fix, _ := strings.Cut(text, ". ")
	d.warn("network", "peer", sentence("The peer "+peer+" "+what), sentence(fix))
}

// peersOf notes what a running daemon says of the relays that its user has named.
func (d *doctor) peersOf(all []control.Peer) {
	for _, p := range all {
		if p.Text != "" {
			d.peerFails(p.RID+"@"+strings.Join(p.Addresses, ","), p.Text)
		}
	}
}

// tryPeers connects to relays and hangs up, and says how many took it.
func (d *doctor) tryPeers(ctx context.Context, kind string, addresses []string) int {
	addresses = slices.DeleteFunc(addresses, func(a string) bool {
		p, err := netip.ParseAddrPort(a)
		return err != nil || len(d.cfg.Client.Ports) > 0 && !slices.Contains(d.cfg.Client.Ports, int(p.Port()))
	})
	if len(addresses) > maxTried {
		addresses = addresses[:maxTried]
	}
	if len(addresses) == 0 {
		return 0
	}
	var took atomic.Int64
	var tries sync.WaitGroup
	for _, a := range addresses {
		tries.Go(func() {
			if accepts(ctx, a, peerTime) {
				took.Add(1)
			}
		})
	}
	tries.Wait()
	n := int(took.Load())
	text := fmt.Sprintf("%d of %d %s take connections.", n, len(addresses), kind)
	if n > 0 {
		d.ok("network", "peers", text)
	} else {
		d.warn("network", "peers", text, "See the finding about the network.")
	}
	return n
}

// accepts reports whether a program takes a TCP connection.
func accepts(ctx context.Context, address string, within time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	c, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return false
	}
	_ = c.Close()
	return true
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
		for _, bad := range []struct{ code, text string }{{"store", r.Store}, {"keys", r.Keys}} {
			if bad.text != "" {
				good = false
				d.fault(check, bad.code, sentence(strings.ToUpper(bad.text[:1])+bad.text[1:]), "Do what it says; chive relay status tells when it is over.")
			}
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
			d.warn(check, "unlisted", sentence("It is not on the list of relays yet. "+r.Joining), "Wait some epochs; chive relay status says what is missing.")
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
