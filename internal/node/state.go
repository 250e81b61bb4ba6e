// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"chive/internal/redact"
	"chive/internal/store"
)

// Names under the state folder. Spec: product §3.
const (
	keysFolder       = "relay/keys"
	aboutFile        = "relay/about"
	policyFile       = "relay/exit.policy"
	relayNetworkFile = "relay/network"
	tableFile        = "relay/directory.db"
	voucherFile      = "relay/voucher" // that it was given, to join with
	vouchedFile      = "relay/vouched" // whom it gave the last one
	clientFolder     = "client"
	guardsFile       = "client/state"
	clientTableFile  = "client/directory"
	networkFile      = "client/network"
	controlFile      = "control.sock"
	controlPlaceFile = "control.place" // where it is instead
)

// State is an open state folder: what one node keeps on disk. Close it.
type State struct {
	dir  string
	lock *store.Lock // nil: not locked
	said bool        // controlPlaceFile is this process's
}

// OpenState names the folder dir as a node's. One that is not there is created,
// for its owner alone, when something is first written; one that others can look
// into is refused. Spec: product §3; security KEY-4.
func OpenState(dir string) (*State, error) {
	if dir == "" {
		return nil, fault(Usage, "state_unknown", "Name a folder: --state DIR.", "There is no home directory to keep the state in")
	}
	dir = filepath.Clean(dir)
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		return nil, fault(Usage, "state_not_folder", "Name a folder: --state DIR.", "The state folder %s is a file", dir)
	}
	if err := store.CheckFolder(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fileFault(dir, "state folder", err)
	}
	return &State{dir: dir}, nil
}

// create makes the state folder, if it is not there.
func (s *State) create() error {
	if err := store.MakeFolder(s.dir); err != nil {
		return fileFault(s.dir, "state folder", err)
	}
	return nil
}

// Dir returns the folder's path.
func (s *State) Dir() string { return s.dir }

// Lock keeps other daemons out until Close, and creates the folder. The fault state_locked names the
// process that holds the folder.
func (s *State) Lock() error {
	if s.lock != nil {
		return nil
	}
	if err := s.create(); err != nil {
		return err
	}
	lock, err := store.TakeLock(s.dir)
	if err != nil {
		return s.lockFault(err)
	}
	s.lock = lock
	_ = os.Remove(s.path(controlPlaceFile)) // of one that was killed
	return nil
}

func (s *State) lockFault(err error) *Fault {
	var held *store.HeldError
	if !errors.As(err, &held) {
		return fileFault(s.path(store.LockName), "lock file", err)
	}
	who := fault(Usage, "state_locked", "Stop that process first, or give this one a folder of its own: --state DIR.",
		"The state folder %s is in use by another process", s.dir)
	if held.PID != 0 {
		who = fault(who.Kind, who.Code, who.Fix, "The state folder %s is in use by process %d", s.dir, held.PID)
	}
	return who
}

// Close lets other daemons in.
func (s *State) Close() {
	if s.said {
		_ = os.Remove(s.path(controlPlaceFile))
		s.said = false
	}
	if s.lock != nil {
		_ = s.lock.Release()
		s.lock = nil
	}
}

func (s *State) path(name string) string { return filepath.Join(s.dir, filepath.FromSlash(name)) }

// folder makes a folder below the state folder, and refuses one that others can
// look into. It returns the path.
func (s *State) folder(name string) (string, error) {
	path := s.path(name)
	if err := store.MakeFolder(path); err != nil {
		return "", fileFault(path, "folder", err)
	}
	return path, s.checkFolders(path)
}

// checkFolders refuses path and the folders between it and the state folder if
// others can look into them.
func (s *State) checkFolders(path string) error {
	for ; len(path) > len(s.dir); path = filepath.Dir(path) {
		if err := store.CheckFolder(path); err != nil {
			return fileFault(path, "folder", err)
		}
	}
	return nil
}

// exists reports whether there is something at path, and a fault if that cannot
// be told.
func exists(path, what string) (bool, error) {
	_, err := os.Stat(path)
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	}
	return false, fileFault(path, what, err)
}

// fileFault puts an error of the file system, or of internal/store, into words.
func fileFault(path, what string, err error) *Fault {
	var exposed *store.ExposedError
	if errors.As(err, &exposed) {
		return fault(Usage, "permissions", "Run: "+exposed.Fix(), "Other users have access to %s, which holds secrets", exposed.Path())
	}
	if info, statErr := os.Stat(path); statErr == nil && info.IsDir() && errors.Is(err, fs.ErrInvalid) {
		return fault(Usage, "file_is_folder", "Name the file itself.", "The %s %s is a folder", what, path)
	}
	if errors.Is(err, syscall.ENOTDIR) {
		return fault(Usage, "file_missing", "Check the path.", "The %s %s cannot be there: a part of its path is a file, not a folder", what, path)
	}
	if errors.Is(err, store.ErrSize) {
		return fault(Usage, "file_too_large", "Name the right file.", "The %s %s is larger than any such file", what, path)
	}
	switch reason := redact.Classify(err); reason {
	case redact.FileNotFound:
		return fault(Usage, "file_missing", "Check the path.", "The %s %s does not exist", what, path)
	case redact.NotPermitted:
		return forbidden(path, what)
	case redact.DiskFull:
		return fault(Failed, "disk_full", "Make room on that disk.", "There is no space left for the %s %s", what, path)
	case redact.ReadOnly:
		return fault(Usage, "disk_read_only", "Name a place that can be written to.", "The %s %s is on a read-only disk", what, path)
	default:
		return fault(Failed, "file_failed", "Check the path and the disk.", "The %s %s cannot be used (%s)", what, path, strings.ReplaceAll(reason.String(), "_", " "))
	}
}

// forbidden is the fault of what this user may not read, or of what is not there and cannot
// be made: then it is the folder's that it would be in, which may be this user's own.
func forbidden(path, what string) *Fault {
	for at := filepath.Dir(path); !there(path); at = filepath.Dir(at) {
		info, err := os.Stat(at)
		if err != nil {
			if at == filepath.Dir(at) {
				break
			}
			continue
		}
		may := "may not write in"
		if _, err := os.Lstat(path); errors.Is(err, fs.ErrPermission) {
			may = "may not look into"
		}
		other := "name another"
		if what == "state folder" || what == "lock file" {
			other = "name another state folder (--state DIR)"
		}
		return fault(Usage, "file_forbidden", "If that folder is yours: chmod u+rwx "+quote(at)+". If not, "+other+", or run chive as the user who owns it: ls -ld "+quote(at),
			"This user %s the folder %s (its mode is %04o), which the %s %s needs", may, at, info.Mode().Perm(), what, path)
	}
	return fault(Usage, "file_forbidden", "Run chive as the user who owns it: ls -ld "+quote(path), "This user has no access to the %s %s", what, path)
}

// there reports whether this user sees something at path.
func there(path string) bool {
	_, err := os.Stat(path)
	return err == nil
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
