// SPDX-License-Identifier: BSD-3-Clause

//go:build race

package main

// raceOn: the race detector makes every start of a process slow, so scripts that
// only start commands of one goroutine are left out.
const raceOn = true
