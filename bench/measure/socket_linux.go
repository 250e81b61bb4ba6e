// SPDX-License-Identifier: BSD-3-Clause

package measure

import (
	"golang.org/x/sys/unix"
)

// maxDiagDatagrams bounds what is read of one answer.
const maxDiagDatagrams = 10_000

// Sockets returns the TCP connections over IPv4 that a process has open, closed
// ones and listeners left out.
func Sockets(pid int) ([]Socket, error) {
	mine, err := socketInodes(pid)
	if err != nil {
		return nil, err
	}
	all, err := allSockets()
	if err != nil {
		return nil, err
	}
	var out []Socket
	const listening = 10
	for _, s := range all {
		if s.inode != 0 && s.state != listening && mine[s.inode] {
			out = append(out, s)
		}
	}
	return out, nil
}

func allSockets() ([]Socket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, ErrUnsupported
	}
	defer unix.Close(fd)
	// The kernel answers at once; the bound only keeps a fault from hanging.
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 2}); err != nil {
		return nil, ErrUnsupported
	}
	if err := unix.Sendto(fd, diagRequest(), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, ErrUnsupported
	}
	var out []Socket
	buf := make([]byte, 64<<10)
	for range maxDiagDatagrams {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if err != nil {
			return nil, ErrUnsupported
		}
		some, done, err := parseDiag(buf[:n])
		if err != nil {
			return nil, err
		}
		out = append(out, some...)
		if done {
			return out, nil
		}
	}
	return nil, ErrFormat
}
