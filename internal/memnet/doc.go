// SPDX-License-Identifier: BSD-3-Clause

// Package memnet is a network in memory: hosts, listeners, stream connections
// and datagram sockets, with latency, jitter, bandwidth, loss, cuts and kills.
//
// It is a model of streams, not of packets: bytes of one direction are never
// lost or reordered, a loss is a stall. It is not a substitute for tests over
// loopback TCP.
//
// It keeps virtual time moving (testing/synctest): nothing waits on a mutex, a
// direction is one FIFO of (due, bytes) with one timer for its head, and Close
// releases pending reads and writes at once, passing no time. A Network and
// everything made from it belong to the bubble in which New was called.
//
// All methods are safe for concurrent use.
//
// Spec: testnet §1 (V1-V12), §4
package memnet
