// SPDX-License-Identifier: BSD-3-Clause

//go:build unix && !linux

package testnet

import (
	"os/exec"
	"syscall"
)

// endsWithUs says that the system ends a process with ours. It does not here: the end of
// its input tells it.
const endsWithUs = false

// detach keeps an interrupt of the terminal from the process: we end our processes in
// order.
func detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
