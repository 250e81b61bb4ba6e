// SPDX-License-Identifier: BSD-3-Clause

// Package nat makes a relay at home reachable: it looks for a public address of this
// machine, and else asks the home router, by NAT-PMP and by UPnP, to forward a TCP
// port. Where nothing works it says which port somebody has to forward by hand.
//
// It is not a reachability test: whether others get through is for relays that dial
// back. It talks to the router and to nobody else: what a router's answers name
// elsewhere is not followed. It never logs. A [Mapper] is used by one goroutine at a
// time.
//
// Spec: product §6 (REL-8).
package nat
