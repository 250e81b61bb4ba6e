// SPDX-License-Identifier: BSD-3-Clause

package lab

import (
	"os"
	"os/exec"
	"syscall"
)

// dieWithParent has the kernel end the process when this one dies, even if killed.
// An interrupt from the terminal reaches this process only, which then ends the
// others in order.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

func interrupt(p *os.Process) error { return p.Signal(syscall.SIGTERM) }
