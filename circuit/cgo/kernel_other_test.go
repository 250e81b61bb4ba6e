// SPDX-License-Identifier: BSD-3-Clause

//go:build !amd64 || purego

package cgo

// kernelNames are all implementations in assembly: none.
var kernelNames []string

func publishedWith(implementation) func() expanded { return nil }
