// SPDX-License-Identifier: BSD-3-Clause

//go:build !unix

package node

import "os"

// forOwner makes something: the folder says who may use it.
func forOwner(do func()) { do() }

// shareSocket does nothing: sockets here have no group.
func shareSocket(string, string) {}

// sameOwner and openToOthers know nothing here: the folder says who may write to it.
func sameOwner(_, _ os.FileInfo) bool { return true }

func openToOthers(os.FileMode) bool { return false }
