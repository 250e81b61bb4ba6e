// SPDX-License-Identifier: BSD-3-Clause

// Package exit connects to destinations on behalf of circuits: TCP streams, name
// look-ups, UDP associations. It is the only package of chive that dials or
// resolves what a client names.
//
// A [Policy] is what the operator permits. Below it, and whatever it says, stands
// the judge: no connection, datagram or answer ever goes to or names the
// exit's own host and network, other private or unusable ranges, or a relay's link.
// The judge sees the very address that is passed to connect; with [System] it
// sits in the dialler's hook, so no look-up lies between check and use.
//
// [Exit] holds what is common: policy, cache of names, totals. Each circuit has a
// [Circuit], through which everything goes and on which every cap of the threat
// model's budget B15 to B18 is kept; beyond a cap the answer is [ReasonBusy].
//
// It is not a proxy and knows no cells: who asks, and over which circuit, it is
// not told. It does not log; [Counters] says what the role may show. Nothing of
// a destination is kept but the cache of names, in memory.
//
// Everything is safe for concurrent use. An association has one goroutine per
// open socket, a dial one per attempt; all end soon after their owner. Time comes
// from package time only, and no lock is held across a wait.
//
// Spec: protocol §6, product REL-2, REL-3, UDP-2 to UDP-4, DNS-4, security B15-B18.
package exit
