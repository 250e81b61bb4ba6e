// SPDX-License-Identifier: BSD-3-Clause

// Package vote is how relays agree on the next snapshot: the votes, proposals,
// signatures and certificates of a committee (classes V, P, G, F), the hand-over
// from one committee list to the next, and Member, one relay's machine over epochs.
//
// It does not know what ops mean or what follows from them (package transition
// does, behind Rules), who sits on a committee (package committee), or how items
// spread (package gossip).
//
// Records are CBOR (protocol §7, DIR-1). V, P and G are signed records without a
// cert, [alg 1, signature 64, payload], by the committee key of a seat:
//
//	vote       0 version, 1 epoch, 2 parent's header digest 32, 3 seat, 4 H("ops", length 8 | ops)
//	proposal   0 version, 1 epoch, 2 parent 32, 3 seat, 4 header digest 32, 5 VRF proof 80,
//	           6 H("votes", length 8 | seats | length 8 | vote digests)
//	signature  0 version, 1 epoch, 2 header digest 32, 3 seat
//
// and travel with what they only name:
//
//	V  [signed vote, ops]                                     at most 61,440 bytes
//	P  [signed proposal, header, seats, vote digests 32 each] at most  4,096
//	G  signed signature                                       at most    256
//	F  [header, seats, signatures 64 each]                    at most  8,192
//	hand-over step  [F, list]                                 at most  8,192
//	list            committee 1 | term 8 | K 2 | relays 32 | K x committee key 32
//	memory          version 1 | nid 32 | rid 16 | vote, proposal, signature: 3 x (epoch 8 | digest 32) | H("memory", all before)
//
// Seats is a set of seats: ceil(K/8) bytes, seat i in byte i/8, value 1 << (i mod 8).
//
// A driver of a Member:
//
//  1. makes it from the newest final state it kept, and its memory;
//  2. calls Step with what happens, and with Tick at the time of the latest Wake;
//  3. does what the effects ask for, in their order;
//  4. answers Store once the memory is durable, or never will be: what it promises
//     is said only then. Crashing at any moment is safe if the memory that was last
//     answered with OK, or a later one, is given to the next Member;
//  5. keeps Final's state and certificate, spreads Send and Accept, penalises for
//     Refuse, and fetches what Fetch, FetchDescriptors and Load ask for, as long as it
//     can: the member asks again when it still needs it.
//
// An epoch, T its start (times are the genesis document's):
//
//	T - cut_off                      Observe: what was seen until now is what is voted on
//	T ... T + propose/6              vote, at random
//	T + propose + hold-off           proposal, unless one of lower output is known
//	T + sign - sign/6                proposals that come later are not signed
//	T + sign                         the lowest is signed, or as soon as it is recomputed
//	T + sign_end                     nothing is signed any more
//
// Whoever holds a quorum of signatures makes the certificate. What is received is
// bounded: this epoch and the one before; of a seat one vote, one proposal and one
// signature, beside what the kept proposals call for; three proposals of lowest
// output, three late ones, three whose parent is unknown; 64 certificates that are
// not followed yet.
//
// Everything is single-threaded and deterministic: time and randomness are
// arguments. A Member belongs to one goroutine; records are immutable.
//
// Spec: directory §3 (tables), §6, §8 (hand-over), §10; protocol §11 to §13.
package vote
