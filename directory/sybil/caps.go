// SPDX-License-Identifier: BSD-3-Clause

package sybil

import (
	"net/netip"
	"slices"

	"chive/directory/genesis"
)

// Addresses counts the relays of a table by address, as the caps see them: each
// IPv4 address, each IPv4 /24 and each IPv6 /48. A relay counts once in each net
// that it has an address in. Its size follows the table's.
type Addresses struct {
	perIPv4, perIPv4Net, perIPv6Net int // 0: off
	counts                          map[netip.Prefix]int
}

// NewAddresses returns an empty index with a network's caps.
func NewAddresses(p genesis.Params) *Addresses {
	return &Addresses{
		perIPv4: p.AddrPerIPv4, perIPv4Net: p.AddrPerIPv4Net, perIPv6Net: p.AddrPerIPv6Net,
		counts: make(map[netip.Prefix]int),
	}
}

// Add counts a relay, whether it fits or not: those who are in stay.
func (x *Addresses) Add(addrs []netip.AddrPort) {
	for _, net := range x.nets(addrs) {
		x.counts[net]++
	}
}

// Remove undoes one Add of a relay with these addresses.
func (x *Addresses) Remove(addrs []netip.AddrPort) {
	for _, net := range x.nets(addrs) {
		if x.counts[net]--; x.counts[net] <= 0 {
			delete(x.counts, net)
		}
	}
}

// Fits reports whether one more relay with these addresses breaks no cap.
// Spec: directory §7, protocol §7 (ADM-5).
func (x *Addresses) Fits(addrs []netip.AddrPort) bool { return x.FitsInstead(nil, addrs) }

// FitsInstead reports whether a relay that is counted with the addresses old may
// have new in their place. What it already has it may keep.
// Spec: protocol §7 (ADM-5).
func (x *Addresses) FitsInstead(old, new []netip.AddrPort) bool {
	mine := x.nets(old)
	for _, net := range x.nets(new) {
		if !slices.Contains(mine, net) && x.counts[net] >= x.most(net) {
			return false
		}
	}
	return true
}

// Len returns the number of addresses and nets that are counted.
func (x *Addresses) Len() int { return len(x.counts) }

func (x *Addresses) most(net netip.Prefix) int {
	switch net.Bits() {
	case 32:
		return x.perIPv4
	case 24:
		return x.perIPv4Net
	}
	return x.perIPv6Net
}

// nets returns what these addresses count in, each once; nothing where a cap is off.
func (x *Addresses) nets(addrs []netip.AddrPort) []netip.Prefix {
	var out []netip.Prefix
	add := func(ip netip.Addr, bits, most int) {
		if most <= 0 {
			return
		}
		if net, err := ip.Prefix(bits); err == nil && !slices.Contains(out, net) {
			out = append(out, net)
		}
	}
	for _, a := range addrs {
		ip := a.Addr()
		switch {
		case ip.Is4():
			add(ip, 32, x.perIPv4)
			add(ip, 24, x.perIPv4Net)
		case ip.Is6():
			add(ip, 48, x.perIPv6Net)
		}
	}
	return out
}
