// SPDX-License-Identifier: BSD-3-Clause

// Package directory is the agreed list of relays and everything that hangs on it.
// All of it is pure: no sockets, clocks, goroutines or files; the relay and client
// roles own those.
//
//	record    what relays say about themselves: rid, descriptor, founder, policy
//	genesis   the document a network begins with: parameters and founders
//	snapshot  the agreed table: leaves, trees, header, the View of one epoch
//	weight    how often each relay is chosen for each position
//	path      which relays make a circuit, and a client's guards
//	sync      how clients ask relays for the table
//
// Snapshot 0 follows from the genesis document, so that a network of founders
// works with these. Gossip, the committee with its VRF, and admission, which turn
// one snapshot into the next, stand beside these packages and hand their result
// on as a snapshot.View; this package is where their machine is put together.
//
// Spec: directory §1.
package directory
