// SPDX-License-Identifier: BSD-3-Clause

package sybil

import (
	"net/netip"
	"time"

	"chive/directory/genesis"
)

// What an entry relay takes in an hour. Spec: directory §4 (JOIN).
const (
	JoinsPerHour    = 20
	JoinsPerHourNet = 2 // per source, IPv4 /24 or IPv6 /48
)

// Net returns the source that an address belongs to: its IPv4 /24 or IPv6 /48. Invalid
// addresses are one source of their own.
func Net(a netip.Addr) netip.Prefix {
	bits := 48
	if a = a.Unmap(); a.Is4() {
		bits = 24
	}
	net, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return net
}

// PerSource reports whether a network bounds what comes from one source: not where it
// has no caps of addresses, as where all relays are on one machine.
func PerSource(p genesis.Params) bool { return p.AddrPerIPv4Net > 0 || p.AddrPerIPv6Net > 0 }

// Joins bounds the requests to join at one entry relay. The zero value is ready. It
// holds at most JoinsPerHour entries.
type Joins struct{ seen []join }

type join struct {
	at  time.Time
	net netip.Prefix
}

// Allow reports whether a request from this address is within the bounds, and if so
// counts it. An invalid address counts in a net of its own. Where a network has no
// quota for newcomers there are no bounds, where it has no address caps none per
// source. Spec: protocol §7 (ADM-8).
func (j *Joins) Allow(p genesis.Params, now time.Time, source netip.Addr) bool {
	if p.AdmitRate == 0 && p.AdmitFloor == 0 {
		return true
	}
	kept := j.seen[:0]
	for _, s := range j.seen {
		if now.Sub(s.at) < time.Hour {
			kept = append(kept, s)
		}
	}
	j.seen = kept
	net, same := Net(source), 0
	for _, s := range j.seen {
		if s.net == net {
			same++
		}
	}
	if len(j.seen) >= JoinsPerHour || PerSource(p) && same >= JoinsPerHourNet {
		return false
	}
	j.seen = append(j.seen, join{now, net})
	return true
}
