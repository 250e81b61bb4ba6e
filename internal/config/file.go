// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strings"
)

// ErrTooLarge means a file above MaxFileSize.
var ErrTooLarge = errors.New("config: the file is too large")

// ReadFile reads a configuration file of at most MaxFileSize bytes, and its mode. It
// follows links, and reads pipes to their end. Errors: those of the system, ErrTooLarge.
func ReadFile(path string) ([]byte, fs.FileMode, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	data, err := io.ReadAll(io.LimitReader(f, MaxFileSize+1))
	if err != nil {
		return nil, 0, err
	}
	if len(data) > MaxFileSize {
		return nil, 0, ErrTooLarge
	}
	mode := info.Mode()
	if runtime.GOOS == "windows" || !mode.IsRegular() {
		mode &^= 0o022 // says nothing there
	}
	return data, mode, nil
}

// quote makes a path one word of a POSIX shell.
func quote(path string) string {
	odd := func(r rune) bool {
		return !strings.ContainsRune("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ/._-+@%", r)
	}
	if path != "" && !strings.ContainsFunc(path, odd) {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}
