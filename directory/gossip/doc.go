// SPDX-License-Identifier: BSD-3-Clause

// Package gossip spreads records among relays: one Machine per relay, which is given
// what happened and says what to do.
//
// A relay tells its neighbours which records it has learnt (INV, short ids), they ask
// for what they lack (GET, ITEM), so that a payload crosses the network about once per
// relay. What is rare and urgent is sent unasked (PUSH). What announcements have
// missed is repaired (package reconcile). Who is whose neighbour follows from the
// day's beacon and can be checked by both ends.
//
// It is not a store: records, their names and whether they hold are the owner's
// (Records), and so are sockets, the clock, and dialling. It decides nothing about
// relay lists, and it gives no answer to clients.
//
// # Driving it
//
// One goroutine owns a Machine. Each event goes to Step with the time; the effects
// are carried out in order. Wake asks for a Tick no later than its time and replaces
// the Wake before. Link numbers are the owner's and never used twice. When the
// machine says Close the owner closes the gossip stream of that link; events of a link
// that is closed are ignored. Equal random sources, events and times give equal
// effects.
//
// # Frames
//
// On a stream of type 2: length 4 | CBOR array [type, ...], at most 64 KiB.
//
//	 1 HELLO      version, nid 32, time ms, epoch, head digest 32, [8 counts: D C R E V P G F]
//	 2 INV        class, n x short id 8 (1 to 512)
//	 3 GET        class, n x short id 8 (1 to 32)
//	 4 ITEM       class, record
//	 5 NONE       class, n x short id 8 (1 to 32)
//	 6 PUSH       class (F, R, E), record
//	 7-10         REPAIR: package reconcile
//	11 JOIN       candidate without entry statement
//	12 JOINED     code
//	13 STATE      header digest 32, part
//	14 STATE PART header digest 32, part, count of parts (0: not held), bytes
//
//	short id = SipHash-2-4 of the item digest, big-endian on the wire, under
//	           H("short id", handshake hash of the link 32)[:16]
//	edge     = H("edge", day beacon 32 | caller's rid 16 | other's rid 16)
//
// Spec: directory §4, protocol §7 (GOS-1..12).
package gossip
