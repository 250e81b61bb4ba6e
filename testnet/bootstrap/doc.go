// SPDX-License-Identifier: BSD-3-Clause

// Package bootstrap measures how clients come to the agreed table and keep it: whether
// hostile first peers can mislead or stop them (scenario bootstrap, goal G7), and what it
// costs in bytes on their links (scenario join, goal G4).
//
// Both run the code that clients and relays run, directory/sync, over streams in memory,
// on a chain of snapshots that the real transition made and real keys signed: relays come,
// rest, return, publish again and leave as the measured ones of Tor did, under the
// parameters, quotas and caps of a public network. Equal seeds give equal figures.
//
// It is not the client: links, circuits and waiting are not here. Whom a client asks and
// what it concludes is role code, which takes a network to run; rules.go says the same
// once more, and a test holds its numbers against the client's. Reading a clock is not
// simulated either, but what relays claim about it is.
//
// # Bytes
//
// A stream counts what it carries: requests, and answers with their padding. On top comes
// the link as protocol §1 has it: multiplexer frames with heads of 12 bytes, joined, in
// records of 2,112 bytes, a record begun anew for each request and each answer, and one
// each for opening and closing the stream. A test sends the same over a real link and
// compares. Handshakes of links are a row of their own.
//
// # Adversary
//
// It runs a share of the first peers and of the listed relays, and its relays share what
// they know. They answer with the honest server's bytes changed, with servers of tables
// and chains of their own, with old ones, with a snapshot that a quorum signed and nobody
// built on, or not at all. Keys of a quorum in office it does not have; those of a list
// that has retired it has.
//
// Values belong to the goroutine that runs the scenario.
//
// Spec: directory §8, §13 (client), §14 (G4, G7); testnet §4 (tor2019), §8 (attack-eclipse).
package bootstrap
