// SPDX-License-Identifier: BSD-3-Clause

package proxy

import (
	"net/netip"
	"strings"
)

// NameKind is who can answer for a name.
//
// Spec: product §4.4 (DNS-1, DNS-3).
type NameKind byte

// Kinds of names. Only NameOrdinary may leave this machine.
const (
	NameOrdinary  NameKind = iota // an exit looks it up
	NameService                   // below chive.alt
	NameLocalhost                 // localhost and below: this machine
	NameOnion                     // onion and below: Tor's
	NameAlt                       // alt and below, but services: in no name system
	NameLocal                     // local and below: the user's own network
	NameSingle                    // one label: what it means depends on the machine that asks
	NameInvalid                   // no name at all
)

// ClassifyName brings a name into its normal form, lower case and without
// trailing dot, and tells its kind. Both doors, proxy and DNS, judge names here.
func ClassifyName(s string) (string, NameKind) {
	name, ok := normalName(s)
	switch {
	case !ok:
		return "", NameInvalid
	case strings.HasSuffix(name, ".chive.alt"):
		return name, NameService
	case underDomain(name, "onion"):
		return name, NameOnion
	case underDomain(name, "alt"):
		return name, NameAlt
	case underDomain(name, "localhost"):
		return name, NameLocalhost
	case underDomain(name, "local"):
		return name, NameLocal
	case strings.IndexByte(name, '.') < 0:
		return name, NameSingle
	}
	return name, NameOrdinary
}

// Public reports an address that an exit may be told of: not private, loopback,
// link-local, multicast or reserved. Spec: product §4.1 (SOCKS-14).
func Public(addr netip.Addr) bool { return !isPrivate(addr) }
