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
	bits := 48
	if source = source.Unmap(); source.Is4() {
		bits = 24
	}
	net, err := source.Prefix(bits)
	if err != nil {
		net = netip.Prefix{}
	}
	same := 0
	for _, s := range j.seen {
		if s.net == net {
			same++
		}
	}
	capped := p.AddrPerIPv4Net > 0 || p.AddrPerIPv6Net > 0
	if len(j.seen) >= JoinsPerHour || (capped && same >= JoinsPerHourNet) {
		return false
	}
	j.seen = append(j.seen, join{now, net})
	return true
}
