// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"time"

	"chive/client"
)

// A portTry is how one try to connect to a relay went, as far as it tells what lies on the way.
type portTry byte

const (
	tryNothing  portTry = iota // it tells nothing: there is no way to that network
	tryTook                    // the relay took the connection
	tryAnswered                // something answered that nobody listens: the port is not dropped
	trySilent                  // nothing came back
)

// triedAs is what a look at a relay that the user has named tells of the way to it.
var triedAs = map[client.PeerState]portTry{
	client.PeerReached: tryTook, client.PeerOther: tryTook, client.PeerStranger: tryTook, client.PeerClock: tryTook, client.PeerForged: tryTook,
	client.PeerRefused: tryAnswered, client.PeerTimeout: trySilent,
}

// portTries counts tries by the port that they were to.
type portTries map[uint16][trySilent + 1]int

func (p portTries) add(port uint16, how portTry) {
	n := p[port]
	n[how]++
	p[port] = n
}

// fewSilent is from how many silent tries, or refused ones at one port, on one may speak of a
// firewall: a relay may be away by itself.
const fewSilent = 2

// judge says whether connections to relays get through, by the ports that they are at.
// Spec: product CLI-11.
func (p portTries) judge() []finding {
	const check = "filtered"
	var passing, silent, refusing, taking []int
	tries := 0
	for _, port := range slices.Sorted(maps.Keys(p)) {
		switch n := p[port]; {
		case n[tryTook]+n[tryAnswered] > 0:
			passing = append(passing, int(port))
			if n[tryTook] > 0 {
				taking = append(taking, int(port))
			} else if n[tryAnswered] >= fewSilent {
				refusing = append(refusing, int(port))
			}
		case n[trySilent] > 0:
			silent, tries = append(silent, int(port)), tries+n[trySilent]
		}
	}
	switch {
	case len(passing)+len(silent) == 0:
		return nil
	case len(refusing) > 0 && len(taking) > 0: // a relay that is away refuses, too, but seldom all at one port
		return []finding{{check, levelWarning, "some_refused", "Every connection to relays at " + portList(refusing) + " is refused, and at " + portList(taking) + " relays take them. Those relays are away, or a firewall on the way refuses some ports.",
			"Have it let them through, or use the ports that pass alone: client.ports = [" + joinPorts(taking) + "]"}}
	case len(silent) == 0:
		return []finding{{check, levelOK, "passes", "Something answers at each port at which relays were tried: " + portList(passing) + ".", ""}}
	case len(passing) == 0:
		return []finding{{check, levelWarning, "all_silent", "Nothing comes back from the ports at which relays were tried, not even a refusal: " + portList(silent) + ". A firewall on the way may drop these connections, or the relays are away.",
			"Try another connection, or a proxy that lets them through: client.upstream. If this network lets some ports out only, say which, client.ports = [443], and name a relay that is at one: --peer RID@IP:PORT"}}
	case tries < fewSilent:
		return []finding{{check, levelOK, "one_silent", "Something answers at " + portList(passing) + "; of the one relay that was tried at " + portList(silent) + " nothing comes back, which may be away.", ""}}
	}
	return []finding{{check, levelWarning, "some_silent", "Nothing comes back from relays at " + portList(silent) + ", not even a refusal, and at " + portList(passing) + " something answers. A firewall on the way may let some ports through only.",
		"Have it let the others through, or use those that pass alone: client.ports = [" + joinPorts(passing) + "]"}}
}

// maxPortsShown bounds how many ports one sentence names.
const maxPortsShown = 8

// portList names ports in a sentence.
func portList(all []int) string {
	shown := all[:min(len(all), maxPortsShown)]
	text := "port " + joinPorts(shown)
	if len(shown) > 1 {
		text = "ports " + joinPorts(shown)
	}
	if more := len(all) - len(shown); more > 0 {
		text += " and " + number(more, "other")
	}
	return text
}

func joinPorts(all []int) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(all), " ", ", "), "[]")
}

// tryPort connects to a relay and hangs up.
func tryPort(ctx context.Context, address netip.AddrPort, within time.Duration) portTry {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	c, err := new(net.Dialer).DialContext(ctx, "tcp", address.String())
	var timeout net.Error
	switch {
	case err == nil:
		_ = c.Close()
		return tryTook
	case refused(err):
		return tryAnswered
	case errors.As(err, &timeout) && timeout.Timeout():
		return trySilent
	}
	return tryNothing
}

// wsaRefused is what Windows calls ECONNREFUSED.
const wsaRefused = syscall.Errno(10061)

// refused reports whether a host answered that nobody listens there.
func refused(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, wsaRefused)
}

// checkFiltered says whether connections to relays get through, where the daemon or the tries
// of this look tell. That nothing does is said of the network, too.
func (d *doctor) checkFiltered() {
	switch {
	case d.status == nil:
		d.found = append(d.found, d.tries.judge()...)
	case d.status.Client != nil && d.status.Client.State == "ready" && len(d.status.Client.Guards) > 0:
		text := "The client's connections to relays get through."
		if ports := d.cfg.Client.Ports; len(ports) > 0 && !d.unread {
			text = "The client's connections to relays get through; client.ports leaves it " + portList(ports) + "."
		}
		d.ok("filtered", "passes", text)
	}
}
