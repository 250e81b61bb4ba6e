// SPDX-License-Identifier: BSD-3-Clause

//go:build race

package transition

// raceOn: nothing here is concurrent, and the race detector makes it ten times as
// slow.
const raceOn = true
