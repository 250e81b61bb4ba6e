// SPDX-License-Identifier: BSD-3-Clause

//go:build unix

package main

import (
	"os"
	"syscall"
)

// signals that scripts may send.
var signals = map[string]os.Signal{
	"INT": os.Interrupt, "TERM": syscall.SIGTERM, "KILL": os.Kill, "HUP": syscall.SIGHUP, "USR1": syscall.SIGUSR1,
	"STOP": syscall.SIGSTOP, "CONT": syscall.SIGCONT,
}
