// SPDX-License-Identifier: BSD-3-Clause

//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"
)

// listenReload has the two signals that a daemon answers be sent to c.
func listenReload(c chan<- os.Signal) { signal.Notify(c, syscall.SIGHUP, syscall.SIGUSR1) }

// isReload tells the two apart.
func isReload(s os.Signal) bool { return s == syscall.SIGHUP }
