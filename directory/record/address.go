// SPDX-License-Identifier: BSD-3-Clause

package record

import (
	"errors"
	"net/netip"
	"slices"
)

// MaxAddressCount is the largest number of addresses of a relay, and
// MaxAddressesPerVersion that of one IP version.
const (
	MaxAddressCount        = 4
	MaxAddressesPerVersion = 2
)

// ErrAddress means addresses that no relay may publish.
var ErrAddress = errors.New("record: bad addresses")

// wireAddress is one address on the wire: [ip, port].
type wireAddress struct {
	_    struct{} `cbor:",toarray"`
	IP   []byte
	Port uint16
}

// CheckAddresses refuses a list that is empty, longer than MaxAddressCount, with
// more than two of one IP version, or with an address that is mapped, zoned,
// unspecified, multicast, without a port, or there twice. Error: ErrAddress.
// Whether an address is public is Public's question.
func CheckAddresses(addrs []netip.AddrPort) error {
	if len(addrs) == 0 || len(addrs) > MaxAddressCount {
		return ErrAddress
	}
	var four, six int
	for i, a := range addrs {
		ip := a.Addr()
		switch {
		case !ip.IsValid(), ip.Zone() != "", ip.Is4In6(), ip.IsUnspecified(), ip.IsMulticast(), a.Port() == 0:
			return ErrAddress
		case ip.Is4():
			four++
		default:
			six++
		}
		if slices.Contains(addrs[:i], a) {
			return ErrAddress
		}
	}
	if four > MaxAddressesPerVersion || six > MaxAddressesPerVersion {
		return ErrAddress
	}
	return nil
}

// Ranges that a relay of a public network cannot be reached at.
// Spec: product REL-3.
var (
	notPublic = []netip.Prefix{
		netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8"),
		netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("127.0.0.0/8"),
		netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("172.16.0.0/12"),
		netip.MustParsePrefix("192.0.0.0/24"), netip.MustParsePrefix("192.0.2.0/24"),
		netip.MustParsePrefix("192.168.0.0/16"), netip.MustParsePrefix("198.18.0.0/15"),
		netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("203.0.113.0/24"),
		netip.MustParsePrefix("224.0.0.0/4"), netip.MustParsePrefix("240.0.0.0/4"),
		netip.MustParsePrefix("64:ff9b:1::/48"), netip.MustParsePrefix("2001::/32"),
		netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("2002::/16"),
		netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("::/96"),
		netip.MustParsePrefix("100::/64"), netip.MustParsePrefix("fec0::/10"),
	}
	globalUnicast6 = netip.MustParsePrefix("2000::/3")
)

// Public reports whether strangers can reach this address: what a relay of a
// network that is no testnet must have. Mapped addresses never count.
func Public(ip netip.Addr) bool {
	if !ip.IsValid() || ip.Is4In6() || ip.Zone() != "" {
		return false
	}
	for _, p := range notPublic {
		if p.Contains(ip) {
			return false
		}
	}
	return ip.Is4() || globalUnicast6.Contains(ip)
}

// Network returns the part of an address that the path rules compare: /16 of IPv4,
// /32 of IPv6.
func Network(ip netip.Addr) netip.Prefix {
	bits := 32
	if ip.Is4() {
		bits = 16
	}
	p, err := ip.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

func encodeAddresses(addrs []netip.AddrPort) []wireAddress {
	out := make([]wireAddress, 0, len(addrs))
	for _, a := range addrs {
		out = append(out, wireAddress{IP: a.Addr().AsSlice(), Port: a.Port()})
	}
	return out
}

func decodeAddresses(wire []wireAddress) ([]netip.AddrPort, error) {
	if len(wire) > MaxAddressCount {
		return nil, ErrAddress
	}
	out := make([]netip.AddrPort, 0, len(wire))
	for _, w := range wire {
		ip, ok := netip.AddrFromSlice(w.IP)
		if !ok {
			return nil, ErrAddress
		}
		out = append(out, netip.AddrPortFrom(ip, w.Port))
	}
	return out, CheckAddresses(out)
}
