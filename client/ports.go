// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"chive/directory/path"
	"chive/directory/snapshot"
)

// errPorts says that a relay has no address with a port that can be reached from here.
var errPorts = errors.New("client: the relay takes no connections on the ports that can be used")

// passing returns the addresses that can be reached from here, by their ports.
// Spec: product §7 (NET-2).
func (c *Client) passing(addrs []netip.AddrPort) []netip.AddrPort {
	if len(c.cfg.Ports) == 0 {
		return addrs
	}
	var out []netip.AddrPort
	for _, a := range addrs {
		if slices.Contains(c.cfg.Ports, a.Port()) {
			out = append(out, a)
		}
	}
	return out
}

// passes reports whether a relay can be linked to from here.
func (c *Client) passes(r *snapshot.Relay) bool { return len(c.passing(r.Addresses)) > 0 }

// entrances returns what new guards are drawn from.
func (c *Client) entrances(s *path.Selector) *path.Selector {
	if len(c.cfg.Ports) == 0 {
		return s
	}
	return s.Entering(c.passes)
}

// portsShut reports whether it is the ports alone that leave nobody to link to.
func (c *Client) portsShut() bool {
	if len(c.cfg.Ports) == 0 {
		return false
	}
	all := c.current().view.Table()
	for i := range all.Len() {
		if r := all.At(i); r.Flags&snapshot.FlagRunning != 0 && c.passes(r) {
			return false
		}
	}
	return !slices.ContainsFunc(c.cfg.Peers, func(p Peer) bool { return len(c.passing(p.Addresses)) > 0 })
}

// portWords says that no relay can be reached on the ports that pass.
func (c *Client) portWords() string {
	var all []string
	for _, p := range c.cfg.Ports {
		all = append(all, fmt.Sprint(p))
	}
	return "no relay that is known takes connections on a port that may be used (" + strings.Join(all, ", ") +
		"). Allow further ports in client.ports, or name a peer that listens on one of these."
}
