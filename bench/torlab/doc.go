// SPDX-License-Identifier: BSD-3-Clause

// Package torlab runs a private Tor network of real processes on loopback, made of
// the system's tor: three directory authorities, five relays, and clients. Every
// circuit of three hops takes one of two guards, one of two middles, and the one
// exit, so that processor time can be told by role. The
// package installs nothing. It is not for reaching the public network: no process
// resolves a name or listens elsewhere than on loopback.
package torlab
