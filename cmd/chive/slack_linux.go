// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"os"
	"runtime"
	"syscall"
)

// timerSlack is by how much the kernel may be late to wake a thread, in nanoseconds.
// The runtime's monitor asks to be woken after 20 microseconds whenever the process
// has something to do. With the kernel's default of 50 microseconds that alone is
// half of all wake-ups of a node whose cells come in bursts.
const timerSlack = 1_000_000

// againVariable is in the environment of a program that was started again, until it
// has seen it: once is enough, whatever the kernel says about the slack.
const againVariable = "CHIVE_STARTED_AGAIN"

// coarseTimers starts this program again with timerSlack, unless whoever started it
// has given as much. A thread's slack is that of the thread that made it, so it must
// be there before the runtime's threads are. Where it cannot be set, as under a
// real-time policy, the program goes on without.
func coarseTimers() {
	if _, again := os.LookupEnv(againVariable); again {
		_ = os.Unsetenv(againVariable)
		return
	}
	const setTimerSlack, getTimerSlack = 29, 30 // PR_SET_TIMERSLACK, PR_GET_TIMERSLACK
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	slack, _, fault := syscall.RawSyscall(syscall.SYS_PRCTL, getTimerSlack, 0, 0)
	if fault != 0 || slack >= timerSlack {
		return
	}
	program, err := os.Executable()
	if err != nil {
		return
	}
	if _, _, fault := syscall.RawSyscall(syscall.SYS_PRCTL, setTimerSlack, timerSlack, 0); fault != 0 {
		return
	}
	slack, _, fault = syscall.RawSyscall(syscall.SYS_PRCTL, getTimerSlack, 0, 0)
	if fault != 0 || slack < timerSlack {
		return
	}
	_ = syscall.Exec(program, os.Args, append(os.Environ(), againVariable+"=1"))
}
