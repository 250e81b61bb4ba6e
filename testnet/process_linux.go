// SPDX-License-Identifier: BSD-3-Clause

package testnet

import (
	"os/exec"
	"syscall"
)

// endsWithUs says that the system ends a process when the thread ends that started it,
// however that happens.
const endsWithUs = true

// detach has the process end with ours, and keeps an interrupt of the terminal from it:
// we end our processes in order.
func detach(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
