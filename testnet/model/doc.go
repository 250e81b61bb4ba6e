// SPDX-License-Identifier: BSD-3-Clause

// Package model is the driver `model`: the directory's machines of a whole network in one
// deterministic event loop without goroutines, in virtual time, with adversaries.
//
// Every relay runs the directory.Machine that a volunteer runs, on a role made of an
// event queue: streams between relays with a delay, a store in memory, signing, dialling.
// Nothing in the machines knows it. Machines share a memoised Verifier and a
// directory.Catalog, so that what is equal is computed and held once; a world that is
// "alone" shares nothing, which is what its comparison of states byte for byte (I4)
// needs. A crowd (crowd.go) runs the gossip.Machine alone, for ten thousand relays.
//
// One experiment is not of this kind: `idle` runs such a world in real time and joins real
// relay processes to it over links on loopback (live.go), to see what they take of a core.
// Nothing of the rest of this page holds for it.
//
// # What is not simulated
//
// Links are streams with a delay, not TCP: there is no loss, no bandwidth and no queue.
// Computing takes no virtual time, and neither does what a client reads. Clients choose paths and
// guards beside every run (client.go); they read lists, and relays that are on none do, in the runs
// about newcomers and terms (follow.go). Their goals, G4 and G7, are elsewhere. There is no reachability beyond partitions. Relays' addresses are made up, public ones,
// so that caps and path rules bite.
//
// # Determinism
//
// Events are ordered by (time, source, sequence of that source). All randomness comes
// from streams named by (seed, node, purpose). Delays are integers from a table. Equal
// seeds give one trace, a SHA-256 over every event, whatever the number of processors;
// the short runs' hashes are in testdata and are renewed only by a change that says why.
//
// # Adversaries
//
// They wrap the frames of the same machines (brain.go, treason.go): relays that are
// silent, announce and do not deliver, deliver late or garbage, or spoil repairs; members
// that withhold, delay, or say two things. They share what they know.
//
// # Concurrency
//
// A world belongs to the goroutine that runs it.
//
// Spec: testnet §1 (DRV-1..7), §3, §8; directory §13, §14.
package model
