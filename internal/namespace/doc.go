// SPDX-License-Identifier: BSD-3-Clause

// Package namespace starts a command in a user, mount and network namespace of its own
// (Linux), which holds only loopback: a program that goes around the proxy finds no
// network. It is the plumbing of chive run; what answers at the sockets inside is the
// caller's.
//
// The program starts itself again inside ([Enter]). That child brings loopback up,
// opens the sockets at which the command will find proxy and name server, and hands
// them out: a socket belongs to the namespace that it was opened in, so the caller
// accepts from outside what the command sends inside, and no process of ours stays
// inside. Then the child becomes the command.
//
//	outside                         inside
//	Start     ---- clone ---->      Enter: lo up, own resolv.conf and nsswitch.conf,
//	                                /run/nscd and /run/systemd/resolve covered
//	          <--- sockets ---      or the step that failed, and why
//	Release   ---- go ------->      becomes the command
//	          <--- end --------     or why it cannot
//
// It is no sandbox: files, processes and unix sockets with a path are the same inside.
//
// Start, Release and Wait are called in this order, from one goroutine; Signal from
// any. Only chive's own two ends talk to each other, so messages are trusted.
//
// Spec: product CLI-9.
package namespace
