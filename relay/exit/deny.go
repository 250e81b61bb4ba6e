// SPDX-License-Identifier: BSD-3-Clause

package exit

import (
	"net/netip"
	"time"
)

// verdict is what the judge says about an address.
type verdict byte

const (
	// public may be dialled if the policy permits it.
	public verdict = iota
	// unusable leads nowhere: documentation, tunnels of the past.
	unusable
	// inside leads, or could lead, to the exit's host, its network or a relay's
	// link. A name with such an address is hostile or broken as a whole.
	inside
)

type deniedRange struct {
	prefix  netip.Prefix
	verdict verdict
}

func deny(v verdict, prefixes ...string) []deniedRange {
	var out []deniedRange
	for _, p := range prefixes {
		out = append(out, deniedRange{netip.MustParsePrefix(p), v})
	}
	return out
}

// denied4 and denied6 are the ranges that are never dialled. IPv6 is public
// within 2000::/3 only: the rest is not assigned to anybody.
// Spec: product REL-3.
var (
	denied4 = append(deny(inside,
		"0.0.0.0/8",        // this host
		"10.0.0.0/8",       // private
		"100.64.0.0/10",    // carrier-grade NAT; some clouds' metadata service
		"127.0.0.0/8",      // loopback
		"168.63.129.16/32", // a cloud's metadata service on a public address
		"169.254.0.0/16",   // link-local; most clouds' metadata service
		"172.16.0.0/12",    // private
		"192.0.0.0/24",     // protocol assignments; a cloud's metadata service
		"192.168.0.0/16",   // private
		"224.0.0.0/4",      // multicast
		"240.0.0.0/4",      // reserved, broadcast
	), deny(unusable,
		"192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", // documentation
		"192.88.99.0/24", // relays of 6to4
		"198.18.0.0/15",  // benchmarks
	)...)
	denied6 = append(deny(inside,
		"::/96",          // unspecified, loopback, IPv4-compatible
		"64:ff9b:1::/48", // local translation to IPv4
		"fc00::/7",       // private; some clouds' metadata service
		"fe80::/10",      // link-local
		"fec0::/10",      // site-local
		"ff00::/8",       // multicast
	), deny(unusable,
		"100::/64",                     // discarded
		"2001::/32",                    // Teredo
		"2001:2::/48",                  // benchmarks
		"2001:10::/28",                 // identifiers, not addresses
		"2001:20::/28",                 // the same, second version
		"2001:db8::/32",                // documentation
		"2002::/16",                    // 6to4
		"3fff::/20",                    // documentation
		"::/3", "4000::/2", "8000::/1", // all that is not 2000::/3
	)...)
	translated = netip.MustParsePrefix("64:ff9b::/96") // NAT64: IPv4 in the last four bytes
)

// unwrap returns the IPv4 address inside an IPv4-mapped or NAT64 address, and
// any other address as it is: whatever such an address is written as, packets
// end up at the IPv4 address.
func unwrap(a netip.Addr) netip.Addr {
	a = a.Unmap()
	if translated.Contains(a) {
		b := a.As16()
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	return a
}

// judgeRange judges an unwrapped address by the ranges alone.
func judgeRange(a netip.Addr) verdict {
	ranges := denied6
	if a.Is4() {
		ranges = denied4
	}
	for _, r := range ranges {
		if r.prefix.Contains(a) {
			return r.verdict
		}
	}
	return public
}

// judge says whether an address may be dialled, whatever the policy says. It is
// asked about the very address passed to connect, or with port 0 about one that
// an answer would name. Spec: product REL-3.
func (e *Exit) judge(target netip.AddrPort) verdict {
	a := target.Addr()
	if !a.IsValid() || a.Zone() != "" {
		return inside
	}
	if e.testnet && a.Unmap().IsLoopback() {
		// One machine is the whole network; only relays' links stay closed.
		if e.forbidden(netip.AddrPortFrom(a.Unmap(), target.Port())) {
			return inside
		}
		return public
	}
	plain := unwrap(a)
	if v := judgeRange(plain); v != public {
		return v
	}
	if e.isOwn(plain) || e.forbidden(netip.AddrPortFrom(plain, target.Port())) {
		return inside
	}
	return public
}

// ownRefresh is how long a list of the exit's own addresses is used.
const ownRefresh = 10 * time.Second

// ownAddresses is a list of the exit's own addresses and when it was asked for.
type ownAddresses struct {
	at    time.Time
	addrs map[netip.Addr]bool
}

// isOwn reports whether an unwrapped address is one of the exit's own. As long
// as the list was never to be had, every address counts as own.
func (e *Exit) isOwn(a netip.Addr) bool {
	list := e.own.Load()
	now := time.Now()
	if list == nil || now.Sub(list.at) >= ownRefresh {
		if addrs, err := e.ownSource(); err == nil {
			list = &ownAddresses{at: now, addrs: make(map[netip.Addr]bool, len(addrs))}
			for _, o := range addrs {
				list.addrs[unwrap(o.WithZone(""))] = true
			}
			e.own.Store(list)
		}
	}
	return list == nil || list.addrs[a]
}
