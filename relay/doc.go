// SPDX-License-Identifier: BSD-3-Clause

// Package relay is the volunteer's side: it accepts links, answers CREATE,
// passes cells on, extends circuits, takes part in the directory and serves it, and
// connects to destinations where the operator has turned the exit on.
//
// The directory is one loop (replica) that owns a directory.Machine; everybody else
// reads the newest snapshot, directory server and onion keys through pointers that it
// swaps, so that traffic waits neither for the disk nor for a committee. Keys come from
// a Keyring, memory goes to a Store; both may fail while traffic goes on (Status says
// so). A relay that is not on the list is a client of the directory until it is.
//
// It has no name for what circuits carry end to end and never imports the
// client. New does no I/O; Run blocks, owns every goroutine it starts and waits
// for them. An idle circuit has none: a link starts one for the side on which cells
// arrive (circ, link.Handler), and soon after its last cell a circuit gives back what
// only busy ones need (warm).
//
// Nothing a peer can trigger is logged: it is counted (Status).
//
// Spec: protocol §1-§7, §12.
package relay
