// SPDX-License-Identifier: BSD-3-Clause

package proxy

import "net/netip"

// privatePrefixes are the ranges that netip's own predicates do not cover.
var privatePrefixes = [...]netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),     // this network
	netip.MustParsePrefix("100.64.0.0/10"), // carrier-grade NAT
	netip.MustParsePrefix("192.0.0.0/24"),  // protocol assignments
	netip.MustParsePrefix("198.18.0.0/15"), // benchmarks; names of services are mapped here
	netip.MustParsePrefix("240.0.0.0/4"),   // reserved, broadcast
	netip.MustParsePrefix("::/96"),         // unspecified, loopback, IPv4-compatible
	netip.MustParsePrefix("64:ff9b:1::/48"),
	netip.MustParsePrefix("100::/64"),
	netip.MustParsePrefix("fec0::/10"), // site-local
}

var (
	nat64 = netip.MustParsePrefix("64:ff9b::/96")
	sixTo = netip.MustParsePrefix("2002::/16")
)

// isPrivate reports an address that no exit may connect to. Addresses that
// carry an IPv4 address are judged by it.
//
// Spec: product §4.1 (SOCKS-14).
func isPrivate(ip netip.Addr) bool {
	ip = ip.Unmap().WithZone("")
	if !ip.IsValid() || ip.IsUnspecified() || ip.IsLoopback() || ip.IsPrivate() || ip.IsMulticast() || ip.IsLinkLocalUnicast() {
		return true
	}
	for _, p := range privatePrefixes {
		if p.Contains(ip) {
			return true
		}
	}
	switch b := ip.As16(); {
	case nat64.Contains(ip):
		return isPrivate(netip.AddrFrom4([4]byte(b[12:])))
	case sixTo.Contains(ip):
		return isPrivate(netip.AddrFrom4([4]byte(b[2:])))
	}
	return false
}
