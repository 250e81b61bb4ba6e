// SPDX-License-Identifier: BSD-3-Clause

// Package relay is the volunteer's side: it accepts links, answers CREATE,
// passes cells on, extends circuits, serves the directory, and connects to
// destinations where the operator has turned the exit on.
//
// It has no name for what circuits carry end to end and never imports the
// client. New does no I/O; Run blocks, owns every goroutine it starts and waits
// for them. An idle circuit has none: a link starts one for the side on which cells
// arrive (circ, link.Handler), and soon after its last cell a circuit gives back what
// only busy ones need (warm).
//
// Nothing a peer can trigger is logged: it is counted (Status).
//
// Spec: protocol §1-§6.
package relay
