// SPDX-License-Identifier: BSD-3-Clause

package store

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// Modes of what this package makes.
const (
	FileMode   fs.FileMode = 0o600
	FolderMode fs.FileMode = 0o700
)

// MaxKeySize is the largest key file that is read, in bytes.
const MaxKeySize = 64 << 10

// newSuffix marks a file that is being written. One that a kill left behind is
// overwritten by the next write.
const newSuffix = ".new"

// What fails while files are read and written. The operating system's error is
// wrapped for errors.Is and classification, but its text, which names the path,
// is not shown.
var (
	ErrWrite  = errors.New("store: the file could not be written")
	ErrRead   = errors.New("store: the file could not be read")
	ErrFolder = errors.New("store: the folder could not be made private")
	ErrSize   = errors.New("store: the file is too large")
)

// hiddenError is err under the text of kind.
type hiddenError struct{ kind, err error }

func (e *hiddenError) Error() string   { return e.kind.Error() }
func (e *hiddenError) Unwrap() []error { return []error{e.kind, e.err} }

// ExposedError says that others can read a key file or look into a key folder.
type ExposedError struct {
	path string
	mode fs.FileMode
}

// Error says what is wrong, without the path.
func (e *ExposedError) Error() string {
	return "store: others have access to a key file or to its folder"
}

// Path returns the file or folder that is exposed, to be shown to the operator.
func (e *ExposedError) Path() string { return e.path }

// Fix returns the command that makes it private.
func (e *ExposedError) Fix() string {
	return "chmod " + strconv.FormatUint(uint64(e.mode), 8) + " " + quote(e.path)
}

// quote makes a path one word of a POSIX shell.
func quote(path string) string {
	if strings.HasPrefix(path, "-") {
		path = "./" + path
	}
	odd := func(r rune) bool {
		return !strings.ContainsRune("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ/._-+@%", r)
	}
	if path != "" && !strings.ContainsFunc(path, odd) {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}

// MakeFolder makes a folder and its missing parents, all 0700. A folder that is
// there already keeps its mode. Error: ErrFolder.
func MakeFolder(path string) error {
	if err := os.MkdirAll(path, FolderMode); err != nil {
		return &hiddenError{ErrFolder, err}
	}
	return nil
}

// CheckFolder refuses a folder that others can look into. Errors: *ExposedError,
// ErrFolder.
func CheckFolder(path string) error {
	info, err := os.Stat(path)
	if err == nil && !info.IsDir() {
		err = fs.ErrInvalid
	}
	if err != nil {
		return &hiddenError{ErrFolder, err}
	}
	if exposed(info.Mode()) {
		return &ExposedError{path, FolderMode}
	}
	return nil
}

// exposed reports whether a mode lets others than the owner in. Windows has no
// such bits: there the folder's access list decides.
func exposed(mode fs.FileMode) bool { return runtime.GOOS != "windows" && mode.Perm()&0o077 != 0 }

// ReadFile reads a file of at most limit bytes. Errors: ErrRead, which wraps
// fs.ErrNotExist when there is none, and ErrSize.
func ReadFile(path string, limit int) ([]byte, error) {
	data, _, err := read(path, limit)
	return data, err
}

// ReadKey reads a key file of at most MaxKeySize bytes, and refuses one that is
// no regular file, or that others can read. The caller clears the bytes.
// Errors: *ExposedError, ErrRead, ErrSize.
//
// Spec: security KEY-4.
func ReadKey(path string) ([]byte, error) {
	data, mode, err := read(path, MaxKeySize)
	if err != nil {
		return nil, err
	}
	if exposed(mode) {
		clear(data)
		return nil, &ExposedError{path, FileMode}
	}
	return data, nil
}

func read(path string, limit int) (data []byte, mode fs.FileMode, err error) {
	// A pipe would block in Open: look first, and look again at what was opened.
	info, err := os.Stat(path)
	if err != nil {
		return nil, 0, &hiddenError{ErrRead, err}
	}
	if !info.Mode().IsRegular() {
		return nil, 0, &hiddenError{ErrRead, fs.ErrInvalid}
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, 0, &hiddenError{ErrRead, err}
	}
	defer file.Close()
	if info, err = file.Stat(); err != nil {
		return nil, 0, &hiddenError{ErrRead, err}
	}
	if info.Size() > int64(limit) {
		return nil, 0, ErrSize
	}
	data, err = io.ReadAll(io.LimitReader(file, int64(limit)+1))
	if err != nil {
		return nil, 0, &hiddenError{ErrRead, err}
	}
	if len(data) > limit {
		return nil, 0, ErrSize
	}
	return data, info.Mode(), nil
}

// WriteFile makes data the whole content of the file at path, with mode 0600.
// When it returns nil the new content is on disk; after an error, or a kill at
// any instant, the file is as it was or as it should be. Error: ErrWrite.
//
// Spec: product §3.
func WriteFile(path string, data []byte) error { return writeFile(system{}, path, data) }

// files is what WriteFile asks of the operating system, so that each step can
// fail in tests.
type files interface {
	create(path string) (handle, error)
	rename(from, to string) error
	remove(path string) error
	syncFolder(path string) error
}

type handle interface {
	io.WriteCloser
	Sync() error
}

func writeFile(sys files, path string, data []byte) (err error) {
	fresh := path + newSuffix
	defer func() {
		if err != nil {
			_ = sys.remove(fresh)
			err = &hiddenError{ErrWrite, err}
		}
	}()
	// An old attempt goes first, so that the mode of the new file is ours.
	if err := sys.remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	file, err := sys.create(fresh)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	if err == nil {
		err = file.Sync()
	}
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	if err := sys.rename(fresh, path); err != nil {
		return err
	}
	return sys.syncFolder(filepath.Dir(path))
}

// Remove deletes a file and syncs its folder, so that it does not come back. A
// file that is not there is no error. Error: ErrWrite.
func Remove(path string) error {
	err := os.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = system{}.syncFolder(filepath.Dir(path))
	}
	if err != nil {
		return &hiddenError{ErrWrite, err}
	}
	return nil
}

// system is the real files.
type system struct{}

func (system) create(path string) (handle, error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, FileMode)
	if err != nil {
		return nil, err
	}
	return file, nil
}

func (system) rename(from, to string) error { return os.Rename(from, to) }

func (system) remove(path string) error { return os.Remove(path) }

// syncFolder makes a rename in the folder durable. Windows cannot sync a folder
// and journals renames itself.
func (system) syncFolder(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	err = folder.Sync()
	if closeErr := folder.Close(); err == nil {
		err = closeErr
	}
	return err
}
