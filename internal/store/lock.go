// SPDX-License-Identifier: BSD-3-Clause

package store

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

// LockName is the file in a state folder that keeps a second process out.
const LockName = "lock"

// ErrLock says that the lock could not be tried at all.
var ErrLock = errors.New("store: the state folder could not be locked")

// HeldError says that another process works in the state folder.
type HeldError struct {
	// PID is the holder's process id; 0 if it could not be read.
	PID int
}

// Error names the process that holds the folder.
func (e *HeldError) Error() string {
	if e.PID == 0 {
		return "store: another process holds this state folder"
	}
	return "store: process " + strconv.Itoa(e.PID) + " holds this state folder"
}

// Lock is a held state folder.
type Lock struct{ file *os.File }

// maxPIDSize bounds what is read of a lock file, in bytes.
const maxPIDSize = 32

// TakeLock locks the state folder, which must exist, and writes this process's
// id into its lock file. The lock ends with Release or with the process, however
// that ends. It does not wait. Errors: *HeldError, ErrLock.
//
// Spec: product §3.
func TakeLock(folder string) (*Lock, error) {
	path := filepath.Join(folder, LockName)
	file, held, err := openLocked(path)
	if held {
		return nil, &HeldError{PID: holder(path)}
	}
	if err != nil {
		return nil, &hiddenError{ErrLock, err}
	}
	err = file.Truncate(0)
	if err == nil {
		_, err = file.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	if err != nil {
		file.Close()
		return nil, &hiddenError{ErrLock, err}
	}
	show(file)
	return &Lock{file}, nil
}

// Release gives the folder back. The file stays: removing it would let two
// processes lock two files of one name.
func (l *Lock) Release() error {
	_ = l.file.Truncate(0)
	if err := l.file.Close(); err != nil {
		return &hiddenError{ErrLock, err}
	}
	return nil
}

// LockHolder returns the id of the process that has locked the state folder last, if that
// was not given back: it works there, or was killed. 0: there is none.
func LockHolder(folder string) int { return holder(filepath.Join(folder, LockName)) }

// Working returns the id of the process that holds the state folder now; 0: none does. The lock
// is not tried, so that whoever starts meanwhile is not kept out. Where the system does
// not tell who holds it, a process that has ended without giving it back counts as long as
// another one has its id.
func Working(folder string) int {
	file, err := os.Open(filepath.Join(folder, LockName))
	if err != nil {
		return 0
	}
	defer file.Close()
	pid := written(file)
	if held, known := heldNow(file); known && !held || !known && !alive(pid) {
		return 0
	}
	return pid
}

// alive reports whether there is a process with an id.
func alive(pid int) bool {
	if pid <= 0 {
		return false
	}
	p, err := os.FindProcess(pid) // where processes take no signal, one that has ended is not found
	if err != nil {
		return false
	}
	defer p.Release()
	err = p.Signal(syscall.Signal(0))
	return err == nil || errors.Is(err, os.ErrPermission) || runtime.GOOS == "windows"
}

// holder reads the process id from a lock file; 0 if there is none.
func holder(path string) int {
	file, err := os.Open(path)
	if err != nil {
		return 0
	}
	defer file.Close()
	return written(file)
}

// written reads the process id from an open lock file; 0 if there is none.
func written(file io.Reader) int {
	data, err := io.ReadAll(io.LimitReader(file, maxPIDSize))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil || pid < 0 {
		return 0
	}
	return pid
}
