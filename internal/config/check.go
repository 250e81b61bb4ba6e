// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"
)

// check refuses what is wrong about several keys together. It runs after all layers,
// since a later one may put right what an earlier one says.
func (l *loader) check() {
	c := l.c
	r := &c.Relay
	if r.Burst != 0 && r.Burst < Size(r.Rate) {
		l.conflict("relay.burst", "burst", r.Burst.String(), "is less than what relay.rate moves in a second ("+Size(r.Rate).String()+")",
			strconv.Quote(Size(2*r.Rate).String()), "relay.rate")
	}
	if !isStart(r.Accounting.Period, r.Accounting.Start) {
		example := startExample(r.Accounting.Period)
		l.conflict("relay.accounting.start", "start", strconv.Quote(r.Accounting.Start), "does not say when a "+r.Accounting.Period+" begins", strconv.Quote(example), "relay.accounting.period")
	}
	l.checkListeners()
	l.checkTwice()
}

// checkContact notes an exit that says nobody to ask about it, neither here nor to chive
// relay init; an empty text here takes back what that was told.
func (l *loader) checkContact(told func(state string) bool) {
	c := l.c
	if c.Relay.Exit.Policy == "off" || c.Relay.Contact != "" || told != nil && !c.Given("relay.contact") && told(c.State) {
		return
	}
	c.notes = append(c.notes, Note{c.Origin("relay.exit.policy"), "An exit needs relay.contact, unless chive relay init was told one: what its users do looks as if this host did it."})
}

// conflict is a problem of a key together with another; it is shown where the later one
// of both was said.
func (l *loader) conflict(name, code, shown, says, literal, other string) {
	where, there := l.c.origins[name]
	text := where.said(name, shown) + " " + says
	fix := "Write " + where.write(name, literal) + "."
	if late, ok := l.c.origins[other]; !there && ok {
		where, text = late, name+" "+says
	}
	l.add(where, name, code, text, fix)
}

// checkTwice refuses two things at one address: those of one role, which are open
// together, and of different roles those that somebody put there.
func (l *loader) checkTwice() {
	c := l.c
	type use struct{ key, role, addr string }
	var uses []use
	add := func(key string, a Address, auto string) {
		if role, _, _ := strings.Cut(key, "."); a != "" && !a.IsOff() && a.Or(auto) != "" {
			uses = append(uses, use{key, role, a.Or(auto)})
		}
	}
	for _, a := range c.Client.Socks {
		add("client.socks", a, DefaultSocks)
	}
	for _, i := range c.Client.Listener {
		add(listenerSection+"."+i.Name+".address", i.Address, "")
	}
	add("client.dns.listen", c.Client.DNS.Listen, DefaultDNS)
	add("web.listen", c.Web.Listen, "")
	add("relay.listen", c.Relay.Listen, DefaultListen)
	add("relay.metrics.listen", c.Relay.Metrics.Listen, DefaultMetrics)
	add("control", c.Control, "")
	for i, u := range uses {
		for _, before := range uses[:i] {
			if !sameAddress(u.addr, before.addr) || u.role != before.role && !(c.Given(u.key) && c.Given(before.key)) {
				continue
			}
			key, other := u.key, before.key
			if !c.Given(key) {
				key, other = other, key
			}
			what := key + " and " + other + " are both at " + u.addr
			if key == other {
				what = key + " names " + u.addr + " twice"
			}
			l.add(c.Origin(key), key, "address_twice", what, "Give one of them another port, or another path.")
		}
	}
}

// sameAddress reports whether only one can listen there. Port 0 is any free port.
func sameAddress(a, b string) bool {
	x, errA := netip.ParseAddrPort(a)
	y, errB := netip.ParseAddrPort(b)
	if errA != nil || errB != nil {
		return a == b
	}
	return x.Port() == y.Port() && x.Port() != 0 && (x.Addr().Unmap() == y.Addr().Unmap() || x.Addr().IsUnspecified() || y.Addr().IsUnspecified())
}

// ForNetwork refuses what only a testnet may have: short timers and private addresses.
// The error is Problems. Spec: product CFG-5.
func (c *Config) ForNetwork(testnet bool) error {
	if testnet {
		return nil
	}
	var bad Problems
	if d := c.Client.CircuitDirtiness; d < minOwnDirtiness {
		where := c.Origin("client.circuit_dirtiness")
		bad = append(bad, Problem{where, "client.circuit_dirtiness", "testnet_only",
			where.said("client.circuit_dirtiness", strconv.Quote(durationText(d))) + " is for testnets, and the network is none",
			"Write " + where.write("client.circuit_dirtiness", strconv.Quote(durationText(defaultDirtiness))) + "."})
	}
	if c.Debug {
		where := c.Origin("debug")
		bad = append(bad, Problem{where, "debug", "testnet_only",
			where.said("debug", "true") + " is for testnets, and the network is none: profiles of a process tell of the traffic that it carries for others",
			"Write " + where.write("debug", "false") + "."})
	}
	for _, text := range c.Relay.Addresses {
		a, err := netip.ParseAddrPort(text)
		if ip := a.Addr().Unmap(); err == nil && (ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast()) {
			where := c.Origin("relay.addresses")
			bad = append(bad, Problem{where, "relay.addresses", "address_private", "relay.addresses: strangers cannot reach a relay at " + text + ", and the network is no testnet",
				"Name the address that others reach this relay at; a router must forward that port to this machine."})
		}
	}
	if len(bad) > 0 {
		return bad
	}
	return nil
}

// named looks into the files that the configuration names, as far as their keys are
// right. Spec: product CFG-3.
func (l *loader) named(n Named) {
	c := l.c
	l.checkContact(n.Contact)
	wrong := func(key string, err error) {
		u := &Unfit{Code: "file_failed", Text: "The file that " + key + " names cannot be used", Fix: "Check the path."}
		errors.As(err, &u)
		where := c.Origin(key)
		text := key + ": " + u.Text
		if where.Layer != Files {
			text = where.String() + ": " + u.Text
		}
		l.add(where, key, u.Code, text, u.Fix)
	}
	if path := c.Network.Genesis; path != "" && n.Genesis != nil {
		testnet, err := n.Genesis(path)
		var more Problems
		if err != nil {
			wrong("network.genesis", err)
		} else if errors.As(c.ForNetwork(testnet), &more) {
			l.bad = append(l.bad, more...)
		}
	}
	if c.Relay.Exit.IsFile() && n.Policy != nil {
		hidden, err := n.Policy(c.Relay.Exit.Policy)
		if err != nil {
			wrong("relay.exit.policy", err)
		}
		if len(hidden) > 0 {
			c.notes = append(c.notes, Note{c.Origin("relay.exit.policy"), "Clients will not see all of the exit policy: " + strings.Join(hidden, "; ") + "."})
		}
	}
	if path := c.Relay.Family; path != "" && n.Family != nil {
		if err := n.Family(path); err != nil {
			wrong("relay.family", err)
		}
	}
	if path := c.Network.Anchor; path != "" && n.Anchor != nil {
		if err := n.Anchor(path); err != nil {
			wrong("network.anchor", err)
		}
	}
	if path := c.Relay.Voucher; path != "" && n.Voucher != nil {
		if err := n.Voucher(path, c.State); err != nil {
			wrong("relay.voucher", err)
		}
	}
}
