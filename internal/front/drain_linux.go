// SPDX-License-Identifier: BSD-3-Clause

package front

import "syscall"

// maxDrain bounds how many datagrams are thrown away; the socket holds fewer.
const maxDrain = 4096

// drain throws away what a socket has not been read of.
func drain(c syscall.Conn) {
	raw, err := c.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Read(func(fd uintptr) bool {
		var b [1]byte
		for range maxDrain {
			if _, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_DONTWAIT); err != nil {
				break
			}
		}
		return true
	})
}
