// SPDX-License-Identifier: BSD-3-Clause

package main

import "syscall"

// noDump also keeps other processes of the user from reading this one's memory.
func noDump() {
	const setDumpable = 4 // PR_SET_DUMPABLE
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, setDumpable, 0, 0)
}
