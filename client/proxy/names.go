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
	NameOrdinary   NameKind = iota // an exit looks it up
	NameService                    // below chive.alt
	NameLocalhost                  // localhost and below: this machine
	NameOnion                      // onion and below: Tor's
	NameAlt                        // alt and below, but services: in no name system
	NameLocal                      // local and below: the user's own network
	NameSingle                     // one label: what it means depends on the machine that asks
	NameInvalid                    // no name at all
	NameServiceBad                 // below chive.alt, where no service can be: nobody is asked
)

// ClassifyName brings a name into its normal form, lower case and without
// trailing dot, and tells its kind. Both doors, proxy and DNS, judge names here.
func ClassifyName(s string) (string, NameKind) {
	name, ok := normalName(s)
	switch {
	case !ok:
		return "", NameInvalid
	case strings.HasSuffix(name, serviceDomain):
		if !serviceLabel(name) {
			return name, NameServiceBad
		}
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

// Names of services: the last label is base32 of a key, a check and the version.
const (
	serviceDomain    = ".chive.alt"
	serviceIDSize    = 56
	serviceAlphabet  = "abcdefghijklmnopqrstuvwxyz234567"
	serviceVersion   = 1
	versionBitsAhead = 0b111 // of the last character but one: the version's high bits
)

// serviceLabel reports whether the label before chive.alt, in normal form, has the length,
// the letters and the version of a service's address. Its check is for whoever looks the
// service up.
func serviceLabel(name string) bool {
	id := strings.TrimSuffix(name, serviceDomain)
	id = id[strings.LastIndexByte(id, '.')+1:]
	if len(id) != serviceIDSize || strings.Trim(id, serviceAlphabet) != "" {
		return false
	}
	high := strings.IndexByte(serviceAlphabet, id[serviceIDSize-2])
	low := strings.IndexByte(serviceAlphabet, id[serviceIDSize-1])
	return high&versionBitsAhead<<5|low == serviceVersion
}

// Public reports an address that an exit may be told of: not private, loopback,
// link-local, multicast or reserved. Spec: product §4.1 (SOCKS-14).
func Public(addr netip.Addr) bool { return !isPrivate(addr) }
