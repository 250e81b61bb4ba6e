// SPDX-License-Identifier: BSD-3-Clause

//go:build !linux

package measure

// Sockets returns the TCP connections over IPv4 that a process has open.
func Sockets(int) ([]Socket, error) {
	return nil, ErrUnsupported
}
