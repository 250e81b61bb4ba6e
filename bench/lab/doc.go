// SPDX-License-Identifier: BSD-3-Clause

// Package lab runs the processes of a network under test on loopback: it starts
// them, waits for what they say, finds free ports, and ends everything. It does
// not know what the processes do. A Process may be used by several goroutines.
package lab
