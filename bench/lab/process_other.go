// SPDX-License-Identifier: BSD-3-Clause

//go:build !linux

package lab

import (
	"os"
	"os/exec"
)

// dieWithParent is Linux's; elsewhere nothing is measured.
func dieWithParent(*exec.Cmd) {}

func interrupt(p *os.Process) error { return p.Signal(os.Interrupt) }
