// SPDX-License-Identifier: BSD-3-Clause

//go:build !linux

package link

// tuneSocket does nothing: the options are Linux's.
func tuneSocket(uintptr) {}

// isLate does not know here; running out is an error of accept then.
func isLate(uintptr) bool { return false }
