// SPDX-License-Identifier: BSD-3-Clause

// Package node joins roles into one process: it opens the state folder and its
// keys, reads the genesis document, opens listeners, builds the roles' Config and
// runs them until they are told to stop.
//
// It is not a user interface: it prints nothing and reads neither flags nor the
// environment. What happened comes back as values, what went wrong as a [Fault],
// which says what to do about it. A Fault may name the user's own files and
// addresses and is therefore shown to that user only; nothing of it is logged.
//
// Functions are safe for concurrent use; a [State] belongs to one goroutine.
//
// Spec: product §2, §3, SOCKS-2; security KEY-2, KEY-4.
package node
