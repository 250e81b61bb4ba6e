// SPDX-License-Identifier: BSD-3-Clause

package store

import "golang.org/x/sys/unix"

// FreeSpace is what this user may still write to the disk of a folder, in bytes, and whether
// this system tells: some file systems count no blocks.
func FreeSpace(dir string) (free uint64, known bool) {
	var s unix.Statfs_t
	if unix.Statfs(dir, &s) != nil || s.Blocks == 0 {
		return 0, false
	}
	size := uint64(s.Bsize)
	if s.Frsize > 0 {
		size = uint64(s.Frsize) // what blocks are counted in
	}
	return s.Bavail * size, true
}
