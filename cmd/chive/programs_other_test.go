// SPDX-License-Identifier: BSD-3-Clause

//go:build !linux

package main

// programs are what the test binary is by the name that it is called by.
func programs() map[string]func() { return map[string]func(){"chive": main} }
