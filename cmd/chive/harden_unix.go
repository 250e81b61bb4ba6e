// SPDX-License-Identifier: BSD-3-Clause

//go:build unix

package main

import "syscall"

// harden keeps what this process holds to itself: new files are the owner's alone,
// and a crash leaves no memory on disk. Spec: product §3; security LOG-7.
func harden() {
	syscall.Umask(0o077)
	_ = syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}) // lowering is always allowed
	noDump()
}
