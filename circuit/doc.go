// SPDX-License-Identifier: BSD-3-Clause

// Package circuit says what a circuit is, from both ends.
//
// Origin is the client's end of a circuit, Hop is one relay's part in it. Both
// embed End, what any end that speaks relay messages needs: messages are packed
// into cells, cells are sealed in order, a congestion window bounds the cells
// in flight, credit bounds the bytes of each stream.
//
// The package is pure: no goroutine, no clock, no socket. Cells go in through
// Receive, Forward and Pass, cells come out of Take; what the owner has to act on
// comes out of Events. Time and randomness are arguments. Nothing here is safe
// for concurrent use: the owner (see circuit/carrier) holds one lock per circuit
// and never waits inside it.
//
// A method that fails with an error has met a peer that broke the protocol, or
// a bound of ours; the circuit is then of no more use and must be destroyed with
// the reason that ReasonOf gives.
//
// Spec: protocol §2, §4, §5.
package circuit
