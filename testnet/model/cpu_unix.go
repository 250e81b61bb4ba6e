// SPDX-License-Identifier: BSD-3-Clause

//go:build unix

package model

import (
	"syscall"
	"time"
)

// processorTime is what the program has used of all cores.
func processorTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
