// SPDX-License-Identifier: BSD-3-Clause

// Package carrier drives one end of a circuit: it owns the lock around the pure
// state machine, writes what the machine queues, and gives its streams the
// blocking methods that programs expect.
//
// It knows no handshake, no directory and no policy, dials nothing and never
// logs; client and relay share it because neither may import the other.
//
// One lock a circuit, never held across a wait. Whoever queues cells writes them
// if nobody else is writing: there is no writer goroutine that an idle circuit
// would have to keep. All methods are safe for concurrent use.
//
// Spec: protocol §5.
package carrier
