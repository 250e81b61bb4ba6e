// SPDX-License-Identifier: BSD-3-Clause

// Package committee is the part of the directory that turns one snapshot into the
// next: relays drawn from the table vote on changes, propose and sign. Here stand
// the draw of a list, the list's root and the numbers of votes and signatures that
// count. All of it is integer arithmetic over explicit arguments, and comes out the
// same on every machine.
//
// It is not told who is eligible: the caller applies age, uptime, penalties and
// committee keys, and hands over the candidates with their weights.
//
// Hash inputs, after the label (H and the conventions are protocol.md's):
//
//	draw          nid 32 | committee 1 ('A', 'B') | term 8 | beacon 32 | i 4
//	list          committee 1 | term 8 | K 2 | length 8 | committee keys, K x 32 | list relays 32
//	list relays   length 8 | K x (rid 16 | VRF key 32)
//
// Functions keep no state and change no argument.
//
// Spec: directory §6, protocol (COM-2, COM-3).
package committee
