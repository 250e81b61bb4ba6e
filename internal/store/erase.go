// SPDX-License-Identifier: BSD-3-Clause

package store

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// ErasedSuffix marks a file that is being erased. One that a kill left behind is
// erased by calling Erase again with its name without the suffix.
const ErasedSuffix = ".erased"

// Erase destroys a file: it takes the file's name away, overwrites what is in it with
// zeros, and deletes it, each step durable before the next. A kill leaves the file
// whole, or nameless and on its way out, never a file of zeros under its name. A
// file that is not there is no error.
//
// What a disk holds beside the file, as flash and journals do, nobody can erase from
// here. Error: ErrWrite.
//
// Spec: security KEY-3, A9.
func Erase(path string) error {
	gone := path + ErasedSuffix
	err := os.Rename(path, gone)
	if err == nil {
		err = system{}.syncFolder(filepath.Dir(path))
	}
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		err = overwrite(gone)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return &hiddenError{ErrWrite, err}
	}
	return Remove(gone)
}

// Replace writes a file that holds a secret anew, as WriteFile does, and overwrites
// what was there before with zeros: else the old bytes would lie on the disk, without a
// name, when the new ones are erased one day. On Windows, where no file that is open can
// be replaced, they do. Errors: WriteFile's.
//
// Spec: security KEY-3.
func Replace(path string, data []byte) error {
	var old *os.File
	if runtime.GOOS != "windows" {
		info, err := os.Lstat(path)
		if err == nil && info.Mode().IsRegular() {
			if old, err = os.OpenFile(path, os.O_WRONLY, 0); err != nil {
				return &hiddenError{ErrWrite, err}
			}
			defer old.Close()
		}
	}
	if err := WriteFile(path, data); err != nil || old == nil {
		return err
	}
	if err := zero(old); err != nil {
		return &hiddenError{ErrWrite, err}
	}
	return nil
}

// overwrite fills a regular file with zeros and syncs it.
func overwrite(path string) error {
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() {
		return err
	}
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	err = zero(file)
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	return err
}

// zero fills an open file with zeros and syncs it.
func zero(file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	zeros := make([]byte, min(info.Size(), MaxKeySize))
	for left := info.Size(); left > 0 && err == nil; left -= int64(len(zeros)) {
		_, err = file.Write(zeros[:min(left, int64(len(zeros)))])
	}
	if err == nil {
		err = file.Sync()
	}
	return err
}
