// SPDX-License-Identifier: BSD-3-Clause

package proxy

import (
	"net/netip"
	"strings"
)

const (
	maxName  = 253 // a name without its trailing dot (SOCKS-3)
	maxLabel = 63
)

// address is what a program put into an address field: an IP address, or the
// bytes of a name field.
type address struct {
	ip   netip.Addr
	name string
	port uint16
}

// host brings an address into its one form: an unmapped, zoneless IP address,
// or a lower-case name without trailing dot. A name field that holds an IP
// literal is that address. Names that cannot exist are name_not_found.
//
// Spec: product §4.1 (SOCKS-7).
func (a address) host() (ip netip.Addr, name string, err error) {
	if a.ip.IsValid() {
		return a.ip.Unmap().WithZone(""), "", nil
	}
	name = a.name
	if n := len(name); n > 2 && name[0] == '[' && name[n-1] == ']' {
		ip, err := netip.ParseAddr(name[1 : n-1])
		if err != nil || !ip.Is6() {
			return netip.Addr{}, "", refusal(reasonNameNotFound)
		}
		return ip.Unmap().WithZone(""), "", nil
	}
	if len(name) <= maxName {
		if ip, err := netip.ParseAddr(name); err == nil {
			return ip.Unmap().WithZone(""), "", nil
		}
	}
	name, ok := normalName(name)
	if !ok {
		return netip.Addr{}, "", refusal(reasonNameNotFound)
	}
	return netip.Addr{}, name, nil
}

// normalName lower-cases a name and takes its trailing dot. It refuses what no
// resolver could find: NUL and every byte but letters, digits, '-', '_' and
// dots; empty and over-long labels; and a last label that is a number, which C
// libraries would read as an address.
func normalName(s string) (string, bool) {
	s = strings.TrimSuffix(s, ".")
	if len(s) == 0 || len(s) > maxName {
		return "", false
	}
	s = strings.ToLower(s)
	last := s
	for rest, more := s, true; more; {
		last, rest, more = strings.Cut(rest, ".")
		if len(last) == 0 || len(last) > maxLabel {
			return "", false
		}
		for i := range len(last) {
			switch c := last[i]; {
			case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-', c == '_':
			default:
				return "", false
			}
		}
	}
	return s, !numeric(last)
}

// numeric reports a label that reads as a number: digits, or 0x and hex digits.
func numeric(label string) bool {
	digits := "0123456789"
	if rest, ok := strings.CutPrefix(label, "0x"); ok {
		label, digits = rest, "0123456789abcdef"
	}
	return strings.Trim(label, digits) == ""
}

// underDomain reports that name is domain or lies below it.
func underDomain(name, domain string) bool {
	rest, ok := strings.CutSuffix(name, domain)
	return ok && (rest == "" || strings.HasSuffix(rest, "."))
}
