// SPDX-License-Identifier: BSD-3-Clause

//go:build !amd64 || purego

package cgo

// assembly lists no implementation: none is written for this system, or the
// build asked for none.
func assembly() []implementation { return nil }
