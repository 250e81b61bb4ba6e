// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"fmt"
	"net/netip"
	"slices"

	"chive/internal/config"
	"chive/internal/control"
	"chive/internal/node"
)

// relayPlace is where a relay is, as far as this machine, the configuration and the relay
// itself tell: nobody else is asked.
type relayPlace struct {
	own    node.Own
	listen netip.AddrPort
	named  []netip.AddrPort // where others reach it, as its operator says; none: it finds out
	nat    bool             // it may ask a router

	runs      bool
	published []netip.AddrPort
	reachable *control.Reachable // nil: not tested
	forwarded string             // what a router does for it
}

// checkPlace looks how others reach the relay: by a router, by IPv6. In a testnet all are
// on one machine as a rule. Spec: product CLI-11, REL-8.
func (d *doctor) checkPlace() {
	own, err := node.OwnAddresses()
	if err != nil || d.inTestnet() || d.withinRun() { // which has addresses of its own
		return
	}
	var places []relayPlace
	switch {
	case d.status != nil:
		for i := range d.status.Relays {
			places = append(places, placeOf(&d.status.Relays[i]))
		}
	case d.offersRelay() && !d.unread:
		p := relayPlace{nat: d.cfg.Relay.NAT, named: d.folder.Addresses}
		p.listen, _ = netip.ParseAddrPort(d.cfg.Relay.Listen.Or(config.DefaultListen))
		if len(d.cfg.Relay.Addresses) > 0 {
			p.named = addressesIn(d.cfg.Relay.Addresses)
		}
		places = append(places, p)
	}
	for _, p := range places {
		p.own = own
		d.found = append(d.found, judgeRouter(p)...)
		d.found = append(d.found, judgeIPv6(p)...)
	}
}

// inTestnet reports whether the network is known, and one for tests.
func (d *doctor) inTestnet() bool {
	if d.status != nil {
		return d.status.Network.Testnet
	}
	testnet, err := node.CheckGenesis(d.cfg.Network.Genesis)
	return err == nil && testnet
}

// placeOf is where a relay that runs says that it is.
func placeOf(r *control.Relay) relayPlace {
	p := relayPlace{runs: true, published: addressesIn(r.Published), reachable: r.Reachable, forwarded: r.Forwarded}
	p.listen, _ = netip.ParseAddrPort(r.Listen)
	return p
}

// addressesIn are those of a list that are addresses.
func addressesIn(list []string) (out []netip.AddrPort) {
	for _, text := range list {
		if a, err := netip.ParseAddrPort(text); err == nil {
			out = append(out, a)
		}
	}
	return out
}

func isIPv6(a netip.AddrPort) bool { return a.Addr().Is6() && !a.Addr().Is4In6() }

// behindRouter reports whether none of this machine's addresses at which the relay listens
// is one that others could reach.
func (p *relayPlace) behindRouter() bool {
	at := p.listen.Addr()
	switch {
	case !at.IsValid() || at.IsLoopback() || len(p.own.Private)+len(p.own.Public4)+len(p.own.Public6) == 0:
		return false // it is not meant for others; or the machine has no network
	case !at.IsUnspecified():
		return slices.Contains(p.own.Private, at.Unmap())
	}
	return len(p.own.Public4) == 0 && (at.Is4() || len(p.own.Public6) == 0)
}

// judgeRouter says what it means for a relay that its machine has private addresses alone.
func judgeRouter(p relayPlace) []finding {
	const check = "nat"
	port := p.listen.Port()
	private := "This machine has only private addresses at which the relay listens, so others reach the relay through a router or not at all"
	if !p.behindRouter() {
		if slices.ContainsFunc(append(p.own.Public4, p.own.Public6...), func(a netip.Addr) bool { return p.listen.Addr().IsUnspecified() || a == p.listen.Addr().Unmap() }) {
			return []finding{{check, levelOK, "public", "This machine has a public address of its own: no router has to forward the relay's port.", ""}}
		}
		return nil
	}
	forward := fmt.Sprintf("Forward TCP port %d in the router to this machine, and say the router's own address and port: relay.addresses = [\"IP:%d\"].", port, port)
	switch {
	case p.runs && p.forwarded != "":
		return []finding{{check, levelOK, "forwarded", sentence(p.forwarded), ""}}
	case p.runs && len(p.published) > 0:
		return []finding{{check, levelOK, "published", private + fmt.Sprintf(". It says %s, which other relays have reached or the router has to lead to its TCP port %d.", texts(p.published)[0], port), ""}}
	case p.runs && p.reachable != nil && p.reachable.State == "no":
		return nil // it is said, with what to do
	case p.runs:
		return []finding{{check, levelWarning, "behind_router", private + ". It publishes no address yet.", forward + " chive relay status says how its test of that goes."}}
	case len(p.named) > 0:
		return []finding{{check, levelOK, "named", private + fmt.Sprintf(". It is said to be at %s: the router has to lead that to TCP port %d of this machine, which the relay has tested when it runs.", texts(p.named)[0], port), ""}}
	case p.nat:
		return []finding{{check, levelWarning, "behind_router", private + fmt.Sprintf(". Nobody has said where: at its start the relay asks the router to forward TCP port %d to it (NAT-PMP, UPnP; the doctor does not), and does not start where none does.", port),
			"Allow that in the router. Or: " + forward}}
	}
	return []finding{{check, levelWarning, "behind_router", private + ". Nobody has said where, and relay.nat = \"off\" keeps it from asking the router for a port: it will not start.",
		"Let it ask: relay.nat = \"auto\". Or: " + forward}}
}

// judgeIPv6 says whether who has IPv6 alone reaches a relay, and how they would.
func judgeIPv6(p relayPlace) []finding {
	const check = "ipv6"
	if !p.listen.IsValid() || p.listen.Addr().IsLoopback() {
		return nil
	}
	hears := isIPv6(p.listen)
	both := netip.AddrPortFrom(netip.IPv6Unspecified(), p.listen.Port())
	listenBoth := fmt.Sprintf("Have it listen at both: relay.listen = \"%s\".", both)
	deaf := "it listens at " + p.listen.String() + ", which is IPv4 alone"
	said := slices.Concat(p.published, p.named)
	at := slices.IndexFunc(said, isIPv6)
	refuted := p.refuted6()
	switch {
	case p.runs && at >= 0:
		return []finding{{check, levelOK, "published", "The relay publishes an IPv6 address: " + said[at].String() + ".", ""}}
	case refuted != "" && !hears:
		return []finding{{check, levelWarning, "deaf", "The relay says that others reach it at " + refuted + ", and " + deaf + ": it does not publish that.", listenBoth + " Then start it again."}}
	case refuted != "":
		return []finding{{check, levelWarning, "unreached", "The relay says that others reach it at " + refuted + ", and they do not: it does not publish that.",
			"Let its TCP port through the firewalls for IPv6, too: this machine's, and the router's, which has nothing to forward there but may drop what nobody here has asked for."}}
	case at >= 0 && !hears:
		return []finding{{check, levelWarning, "deaf", "The relay is said to be at " + said[at].String() + ", and " + deaf + ".", listenBoth}}
	case at >= 0:
		return []finding{{check, levelOK, "named", "The relay is said to be at an IPv6 address, too: " + said[at].String() + ". It has that tested when it runs.", ""}}
	case len(p.own.Public6) == 0 && len(p.own.Passing6) > 0:
		return []finding{{check, levelWarning, "passing", "This machine's public IPv6 addresses are for some time only, such as those for privacy that change every day: a relay publishes none of them, so it is reached by IPv4 alone.",
			"Have the system keep one that stays, too: a fixed one, or one by its interface (SLAAC)."}}
	case len(p.own.Public6) == 0:
		return []finding{{check, levelOK, "none", "This machine has no public IPv6 address: a relay on it is reached by IPv4 alone.", ""}}
	case p.runs && len(p.published) == 0:
		return nil // it has its addresses tested
	case !p.runs && hears && len(p.named) == 0 && (p.nat || len(p.own.Public4) == 0):
		return []finding{{check, levelOK, "found", "The relay will publish this machine's IPv6 address.", ""}}
	}
	six := netip.AddrPortFrom(p.own.Public6[0], p.listen.Port())
	text, fix := "This machine has a public IPv6 address, and the relay publishes none", ""
	if !p.runs {
		text = "This machine has a public IPv6 address, and the relay will publish none"
	}
	if !hears {
		text, fix = text+": "+deaf, listenBoth+" "
	}
	four := "IP:PORT"
	if i := slices.IndexFunc(said, func(a netip.AddrPort) bool { return !isIPv6(a) }); i >= 0 {
		four = said[i].String()
	}
	if len(p.named) > 0 || p.runs || !p.nat { // else it finds it by itself
		fix += fmt.Sprintf("Name both addresses: relay.addresses = [\"%s\", \"%s\"]. ", four, six)
	}
	return []finding{{check, levelWarning, "unpublished", text + ". Who has IPv6 alone does not reach it.", fix + "Then start it again."}}
}

// refuted6 is an IPv6 address that other relays did not find the relay at; empty: none.
func (p *relayPlace) refuted6() string {
	if p.reachable == nil {
		return ""
	}
	for _, a := range p.reachable.Addresses {
		if at, err := netip.ParseAddrPort(a.Address); err == nil && isIPv6(at) && a.State == "no" {
			return a.Address
		}
	}
	return ""
}
