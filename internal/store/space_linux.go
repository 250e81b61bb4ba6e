// SPDX-License-Identifier: BSD-3-Clause

package store

import "golang.org/x/sys/unix"

// FreeSpace is what this user may still write to the disk of a folder, in bytes, and whether
// this system tells.
func FreeSpace(dir string) (free uint64, known bool) {
	var s unix.Statfs_t
	if unix.Statfs(dir, &s) != nil {
		return 0, false
	}
	return s.Bavail * uint64(s.Bsize), true
}
