// SPDX-License-Identifier: BSD-3-Clause

// Package client is the user's side: it keeps guards, builds circuits ahead of
// need, attaches streams to circuits by their isolation key, retries, and says
// why something failed.
//
// It knows no proxy protocol (client/proxy speaks those) and never resolves a
// name or dials a destination: only links to guards leave the machine. New does
// no I/O; Run blocks, owns every goroutine it starts and waits for them.
//
// Logs and errors carry no destination, address, key or number of a circuit or
// stream.
//
// Spec: protocol §5; directory §8, §9 of the design.
package client
