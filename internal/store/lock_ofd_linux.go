// SPDX-License-Identifier: BSD-3-Clause

package store

import (
	"os"

	"golang.org/x/sys/unix"
)

// show puts a second lock on a file that is locked: flock has no question that takes nothing,
// and this one, which goes with the open file just the same, has.
func show(file *os.File) {
	// Where it cannot be had, as on some network file systems, and of a process of a version without
	// it, heldNow says that nobody holds the file. TakeLock does not go by it.
	_ = unix.FcntlFlock(file.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK})
}

// heldNow reports whether an open file of that path is locked by TakeLock, and whether this
// system tells.
func heldNow(file *os.File) (held, known bool) {
	ask := unix.Flock_t{Type: unix.F_WRLCK}
	if unix.FcntlFlock(file.Fd(), unix.F_OFD_GETLK, &ask) != nil {
		return false, false
	}
	return ask.Type != unix.F_UNLCK, true
}
