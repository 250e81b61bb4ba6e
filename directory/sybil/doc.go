// SPDX-License-Identifier: BSD-3-Clause

// Package sybil makes joining in masses slow and dear: the stamp and the memory-hard
// work of a newcomer, how many may come in a day, in which order, how many from one
// address, and the bounded store in which candidates wait.
//
// It decides nothing alone. Who is admitted is voted on by members and refused by
// the transition when it breaks a rule; both call the same functions. It verifies no
// signatures and never sees a socket.
//
// The proof of work, with H and the conventions of the protocol:
//
//	salt   = H("work", nid 32 | identity 32 | epoch 8 | beacon of that epoch 32)
//	work   = Argon2id(password nonce 8, salt, t = 1, 8 MiB, 1 lane), 32 bytes: work_bits zero bits lead
//	stamp  = H("stamp", salt 32 | nonce 8 | stamp 8): stamp_bits zero bits lead
//
// The stamp is over the work's nonce, so that whoever makes others check false work
// pays for a stamp each time.
//
//	lottery = H("lottery", beacon ending the previous day 32 | rid 16), lowest first
//
// Values belong to one goroutine at a time; functions keep no state.
//
// Spec: directory §7, protocol §7 (ADM-1..8).
package sybil
