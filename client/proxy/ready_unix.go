// SPDX-License-Identifier: BSD-3-Clause

//go:build unix

package proxy

import (
	"net"
	"syscall"
)

// readReady reads what has already arrived, without waiting; 0 when there is
// nothing or the connection is not a socket. An end of stream stays readable.
func readReady(c net.Conn, p []byte) (n int) {
	sc, ok := c.(syscall.Conn)
	if !ok || len(p) == 0 {
		return 0
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return 0
	}
	err = rc.Read(func(fd uintptr) bool {
		n, _ = syscall.Read(int(fd), p)
		return true
	})
	if err != nil || n < 0 {
		return 0
	}
	return n
}
