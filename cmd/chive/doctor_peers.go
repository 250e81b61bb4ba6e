// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"chive/internal/control"
	"chive/internal/node"
)

// peerTime bounds one try to reach a relay, and maxTried how many are tried of a kind.
const (
	peerTime = 4 * time.Second
	maxTried = 8
)

// firstPeers are the relays of one kind that a client or relay may begin with, and how a
// look at them went.
type firstPeers struct {
	code string
	one  string // what one is called; more end with s
	why  string // why one that is gone is missed; empty: it is said of each

	places []node.PeerAddresses // one relay each; nil: they are tried by name
	known  int
	tried  int
	took   int // connections
}

// Kinds of first peers, as they are called. Spec: product NET-1.
const (
	kindFounder = "founder"
	kindNamed   = "configured peer"
	kindGuard   = "remembered guard"
	kindListed  = "remembered relay"
)

// checkPeers tries what a client would try first. Spec: product CLI-11, NET-1.
func (d *doctor) checkPeers(ctx context.Context, now time.Time) {
	const check = "network"
	if d.cfg.Network.Genesis == "" {
		d.warn(check, "no_network", "No network is named, and this version has none built in.", "Name one: --genesis FILE or the key network.genesis. Or "+d.testnetWords())
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
	kinds, err := d.firstPeers(info, now)
	if err != nil {
		d.failed("state", err) // the others are tried
	}
	switch {
	case d.offline:
		d.ok(check, "not_tried", "The network is "+info.Name+"; its relays were not tried: "+countPeers(kinds)+".")
		return
	case d.cfg.Client.Upstream != "off" && d.cfg.Client.Upstream != "":
		d.ok(check, "upstream", "The network is "+info.Name+". Links go through the proxy of client.upstream: relays were not tried without it: "+countPeers(kinds)+".")
		return
	}
	if !testnet && !hasRoute("udp4", "192.0.2.1:9") && !hasRoute("udp6", "[2001:db8::1]:9") {
		d.fault(check, "no_route", "This machine has no way to other networks.", "Connect it to a network.")
		return
	}
	d.try(ctx, kinds)
	d.found = append(d.found, judgePeers(kinds, len(d.cfg.Client.Ports) > 0)...)
}

// firstPeers gathers whom a start would ask: guards and relays that the folder's client has
// met before, those that the configuration names, the founders of the network.
func (d *doctor) firstPeers(info *node.NetworkInfo, now time.Time) ([]*firstPeers, error) {
	founders := &firstPeers{code: "peers", one: kindFounder, why: "A start without a list of relays needs one of them, or a peer that is named: --peer RID@IP:PORT", known: len(info.Founders)}
	for _, f := range info.Founders {
		founders.places = append(founders.places, f.Addresses)
	}
	named := &firstPeers{code: "peers", one: kindNamed, known: len(d.cfg.Network.Peers)}
	met, err := node.Remember(d.app.global.state, d.cfg.Network.Genesis, now)
	past := &firstPeers{code: "remembered", one: kindGuard, why: "The client draws others when it is connected: it learns of them by a list of relays", places: met.Guards}
	if len(met.Guards) == 0 {
		past = &firstPeers{code: "remembered", one: kindListed, why: "A start asks the others first", places: met.Listed}
	}
	past.known = len(past.places)
	return []*firstPeers{founders, named, past}, err
}

// countPeers says how many there are of each kind.
func countPeers(kinds []*firstPeers) string {
	var parts []string
	for _, k := range kinds {
		if k.known > 0 {
			parts = append(parts, number(k.known, k.one))
		} else {
			parts = append(parts, "no "+k.one)
		}
	}
	return strings.Join(parts, ", ")
}

// try connects to some relays of each kind and hangs up; those that are named are asked
// who they are. All that is sent to other machines without a running client is sent here.
func (d *doctor) try(ctx context.Context, kinds []*firstPeers) {
	var tries sync.WaitGroup
	var mu sync.Mutex
	var named []node.PeerTried
	d.tries = portTries{}
	for _, k := range kinds {
		if k.one == kindNamed {
			tries.Go(func() {
				tried, err := node.TryPeers(ctx, d.cfg.Network.Genesis, d.cfg.Network.Peers, peerTime)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					d.failed("network", err)
					k.known = 0 // it is said
				}
				named, k.tried = tried, len(tried)
				for _, p := range tried {
					if p.Text == "" {
						k.took++
					}
				}
			})
			continue
		}
		for _, at := range d.chosen(k.places) {
			k.tried++
			took := new(sync.Once)
			for _, a := range at {
				tries.Go(func() {
					how := tryPort(ctx, a, peerTime)
					mu.Lock()
					defer mu.Unlock()
					d.tries.add(a.Port(), how)
					if how == tryTook {
						took.Do(func() { k.took++ })
					}
				})
			}
		}
	}
	tries.Wait()
	for _, p := range named {
		_, at, _ := strings.Cut(p.Peer, "@")
		if one, err := netip.ParseAddrPort(at); err == nil { // of several nobody knows which it was
			d.tries.add(one.Port(), triedAs[p.State])
		}
		if p.Text != "" {
			d.peerFails(p.Peer, p.Text)
		}
	}
}

// chosen are the relays that are tried, at the addresses that client.ports leaves: of many
// some, by chance.
func (d *doctor) chosen(all []node.PeerAddresses) (out []node.PeerAddresses) {
	for _, at := range all {
		at = slices.DeleteFunc(slices.Clone(at), func(a netip.AddrPort) bool {
			return len(d.cfg.Client.Ports) > 0 && !slices.Contains(d.cfg.Client.Ports, int(a.Port()))
		})
		if len(at) > 0 {
			out = append(out, at)
		}
	}
	rand.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out[:min(len(out), maxTried)]
}

// judgePeers says how many first peers of each kind there are and take connections, and
// whether anybody is left to begin with. ports: client.ports may leave some out.
// Spec: product CLI-11, NET-1.
func judgePeers(kinds []*firstPeers, ports bool) (out []finding) {
	const check = "network"
	all := 0
	for _, k := range kinds {
		all += k.took
	}
	for _, k := range kinds {
		takes, of := "take connections", k.one+"s"
		if k.one == kindNamed {
			takes, of = "are reached, and are who they should be", "peers of the configuration"
		}
		text := fmt.Sprintf("%d of %d %s %s.", k.took, k.tried, of, takes)
		if k.tried < k.known {
			text = fmt.Sprintf("%d of %d %s that were tried %s; %d are known.", k.took, k.tried, of, takes, k.known)
		}
		switch {
		case k.known == 0:
		case k.tried == 0 && ports:
			out = append(out, finding{check, levelWarning, k.code + "_ports", fmt.Sprintf("None of %s is at a port that client.ports names, so none was tried.", number(k.known, k.one)),
				"Add a port that relays are at to client.ports, or name a relay that is at one of them: --peer RID@IP:PORT"})
		case k.took > 0:
			out = append(out, finding{check, levelOK, k.code, text, ""})
		case k.why == "": // it is said of each
		case all > 0:
			out = append(out, finding{check, levelWarning, k.code, text, "The others that answer are enough to begin with. " + k.why})
		default:
			out = append(out, finding{check, levelWarning, k.code, text, "See the finding about the network."})
		}
	}
	if all == 0 {
		out = append(out, finding{check, levelFault, "no_peers", "None of the relays that are known here takes a connection: " + countPeers(kinds) + ".",
			"Check this machine's connection and firewall. If the relays are gone, name one that runs: --peer RID@IP:PORT. If only some ports pass: client.ports; behind a proxy: client.upstream"})
	}
	return out
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
