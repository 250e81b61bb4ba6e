// SPDX-License-Identifier: BSD-3-Clause

package testnet

import "syscall"

// end asks a process to end in order. Where there are no such signals, the end of its
// input does.
func end(p *process) {
	err := p.cmd.Process.Signal(syscall.SIGTERM)
	if p.input != nil && err != nil {
		_ = p.input.Close()
	}
}
