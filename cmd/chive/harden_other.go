// SPDX-License-Identifier: BSD-3-Clause

//go:build unix && !linux

package main

// noDump is Linux's.
func noDump() {}
