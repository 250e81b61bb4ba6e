// SPDX-License-Identifier: BSD-3-Clause

// Package transition turns one snapshot into the next: a parent and the votes that a
// proposal lists give the child, the same bytes in members, other relays and the
// simulator. An op of a vote is applied only with as many equal votes as Matching
// says; everything else stays as in the parent. Here stand the state that relays
// hold beside the table, the ops, the function itself (Next), the rules that every
// snapshot must keep whatever was signed (Check), what an honest member votes
// (Propose), and the diffs by which tables travel (Diff, Apply).
//
// It verifies no signatures and no VRF proofs and decides nothing about time: who
// calls it did. It gathers no votes and sends nothing.
//
// Next, in this order; the file that does it in brackets:
//
//	ops that enough seats agree on, of votes in any order   [agree.go]
//	change of day: birth, buckets, dormant relays           [day.go]
//	ops by number: DROP, UPD by index, ADD by cut key, DOWN
//	and UP, PEN; each with its caps                         [apply.go, admit.go, stop.go]
//	indices of groups, families, policies                   [numbering.go]
//	derived columns: probation, uptime, day's counts        [next.go, aux.go]
//	lists: installed, drawn from the parent                 [list.go]
//	beacon, history, roots, header                          [next.go, state.go, tile.go]
//
// Bytes: ops in op.go, records under aux_root in aux.go, lists in list.go, diffs in
// diff.go.
//
// States are immutable and may be read by any number of goroutines. Functions keep
// no state and change no argument.
//
// Spec: directory §5, §6, §7, §10; protocol §7 (TRN-1..12).
package transition
