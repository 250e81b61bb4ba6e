// SPDX-License-Identifier: BSD-3-Clause

// Package testutil holds what tests of several packages share: the door into
// virtual time. It is imported by tests and the testnet only.
//
// Spec: testnet §1 (V1)
package testutil

import (
	"runtime"
	"testing"
	"testing/synctest"
)

// Bubble runs f in a bubble of virtual time, which begins at 2000-01-01 00:00
// UTC and moves only when every goroutine of the bubble waits. Tests that use
// it must not be parallel.
//
// It collects garbage twice, before and after: yamux keeps timers in a
// package-level pool, a timer of one bubble kills whoever takes it outside, and
// two collections empty a pool.
func Bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	drainPools()
	defer drainPools()
	synctest.Test(t, f)
}

func drainPools() {
	runtime.GC()
	runtime.GC()
}
