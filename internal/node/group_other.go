// SPDX-License-Identifier: BSD-3-Clause

//go:build !unix

package node

// shareSocket does nothing: sockets here have no group.
func shareSocket(string, string) {}
