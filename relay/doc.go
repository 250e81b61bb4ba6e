// SPDX-License-Identifier: BSD-3-Clause

// Package relay is the volunteer's side: it accepts links, answers CREATE,
// passes cells on, extends circuits, serves the directory, and connects to
// destinations where the operator has turned the exit on.
//
// It has no name for what circuits carry end to end and never imports the
// client. New does no I/O; Run blocks, owns every goroutine it starts and waits
// for them. A circuit has one goroutine for the client's side, which is also the
// writer towards the next relay, and, once extended, one for the next relay's side.
//
// Nothing a peer can trigger is logged: it is counted (Status).
//
// Spec: protocol §1-§6.
package relay
