// SPDX-License-Identifier: BSD-3-Clause

// Package draws simulates what the directory's numbers buy: who sits on committees,
// what a hostile share of the seats can do with an epoch, and how far an attacker
// comes who joins and waits.
//
// It drives the code that relays run (transition, committee, sybil, weight, path,
// vote) and has no rule of its own. There are three simulators, and a variant:
//
//	seats    committees drawn for years of half-terms, and the outcome of every epoch  [seats.go, epoch.go]
//	members  vote's machines of a small committee with traitors, message by message    [member.go, traitor.go]
//	growth   the table day by day under a plan of attack, two snapshots a day      [growth.go, share.go]
//	evasion  the same, every epoch, with relays that move, stop and return             [evasion.go]
//
// What is not simulated: gossip and sockets (package model's and the testnet's), real
// work (its bits are drawn), signatures outside of members.
//
// All randomness comes from a run's seed; the same seed gives the same result. What
// ends in a trace is integers and digests. Values belong to one goroutine.
//
// Spec: directory §6, §7, §9, §13, §14 (G3, G5, G6); testnet §4, §5, §6 (O1, O2, O5),
// §8.
package draws
