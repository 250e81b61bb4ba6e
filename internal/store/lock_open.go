// SPDX-License-Identifier: BSD-3-Clause

//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package store

import (
	"errors"
	"io/fs"
	"os"
)

// openLocked makes the lock file anew. Where files that are open cannot be
// removed, as on Windows, a file that can be removed has no living holder.
func openLocked(path string) (file *os.File, held bool, err error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, true, err
	}
	file, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, FileMode)
	return file, errors.Is(err, fs.ErrExist), err
}

// unlock does nothing: what holds a file here goes with its handle.
func unlock(*os.File) {}
