// SPDX-License-Identifier: BSD-3-Clause

package link

import "golang.org/x/sys/unix"

const (
	// notSentLowat bounds the bytes the kernel holds that are not yet on the
	// wire: they can no longer be scheduled.
	notSentLowat = 32 << 10
	// userTimeout is how long sent bytes may stay unacknowledged.
	userTimeout = 30_000 // ms
)

func tuneSocket(fd uintptr) {
	_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, notSentLowat)
	_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, userTimeout)
}

// isLate reports whether a new descriptor is within ReservedDescriptors of the
// limit. The kernel gives out the lowest free number.
func isLate(fd uintptr) bool {
	var r unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &r) != nil {
		return false
	}
	return uint64(fd)+ReservedDescriptors >= r.Cur
}
