// SPDX-License-Identifier: BSD-3-Clause

//go:build !unix

package main

import "os"

// listenReload does nothing: this system has no such signals. The control socket reads
// the configuration again.
func listenReload(chan<- os.Signal) {}

func isReload(os.Signal) bool { return false }
