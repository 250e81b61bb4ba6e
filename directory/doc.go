// SPDX-License-Identifier: BSD-3-Clause

// Package directory is the agreed list of relays and everything that hangs on it.
// All of it is pure: no sockets, clocks, goroutines or files; the relay and client
// roles own those.
//
//	record      what relays say about themselves and each other
//	genesis     the document a network begins with: parameters and founders
//	vrf         the verifiable random function
//	snapshot    the agreed table: leaves, trees, header
//	weight      how often each relay is chosen for each position
//	sybil       what makes joining in masses slow and dear
//	committee   who sits on a committee
//	transition  how votes turn one table into the next
//	vote        how a committee agrees, and how everybody follows
//	reconcile   what two sets of digests differ in
//	gossip      how records spread
//	path        which relays make a circuit, and a client's guards
//	sync        how clients ask relays for the table
//
// This package is where a relay's part of it is put together: Machine.
//
// # Machine
//
// Machine holds the stores of descriptors, tombstones, evidence and the committee's
// items, knows who can be reached, has the duty to publish one's own descriptor, and
// drives a gossip.Machine and a vote.Member. It is no transport and no store, holds
// no identity key, and gives no answer to clients.
//
// A role that owns one:
//
//  1. makes it with New from what it stored, and calls Step with a Tick;
//  2. calls Step with each event, one at a time, with a clock that never goes back,
//     and with a Tick at the time of the latest Wake;
//  3. carries out the effects in their order. A Store is durable, or has failed, before
//     the next effect is begun; where it has a token, Stored is the next event but for
//     those that were there before;
//  4. counts a crash between two effects as what it is: everything since the last
//     Step's first effect may be lost, and New goes on from what was stored.
//
// What each effect asks for is said there. Open, Probe and Publish are answered by
// LinkUp or DialFailed, ProbeDone, and Descriptor with a Key for each new term;
// CheckWork, SignEntry and Solve by WorkChecked, EntrySigned and Solved. An answer that
// does not come costs only time. The machine signs nothing with the
// identity key. It is given the VRF key and the committee keys, which it wipes when
// their terms are over.
//
// Catching up. A relay that missed some snapshots follows their certificates and has
// the newest state sent by a neighbour (STATE). One that missed more, or a change of
// lists, takes the state of a neighbour that is ahead with the hand-over that leads
// to it, checks both against what it has, and goes on with a new member that
// remembers what was promised. A history that leaves ours before our newest snapshot
// is reported and not followed, as far as the ancestors at hand show it.
//
// Joining. A relay that the table does not list is told so by Join. It solves its work,
// asks three relays to introduce it, and hears from its role, which is a client too,
// when a snapshot lists it (Seen): then it calls the relays of that snapshot and
// catches up like any other that is behind.
//
// # Bounds
//
//	descriptors   one per relay of the table, and the one before
//	candidates    package sybil's store
//	newcomers     16 on their way through this relay, a minute each; others hear "busy"
//	tombstones    4 per relay of the table, dormant one or candidate; more are not taken. Until
//	              they end: 16,384 of relays that are gone, 1,024 of such as never came in
//	evidence      one per relay and weight; more is not taken
//	V, P, G       of this epoch and the one before; 4,096, 16 MiB: more are not taken
//	certificates  2,160; the oldest goes
//	states        the 3 newest are served; a fetched one is at most 4 MiB + 4 KiB per relay
//	probes        64 under way; the others wait
//	failures      64 pairs of relay and header; the oldest is forgotten
//
// Bounds of gossip and vote are theirs. Nothing here depends on the order of a map:
// equal events, times and random sources give equal effects.
//
// # Not here
//
// Diffs are not fetched: whoever catches up takes the whole state. V, P and G are kept
// for two epochs instead of a day, since nobody takes older ones. Candidates do not
// survive a restart; repair brings them back, and they wait anew. Work is taken whose salt
// is one of the last two days, not of the last thirty: older beacons are not held.
//
// Spec: directory §1, §4, §6, §7, §10, protocol §7 (GOS-9), §10.
package directory
