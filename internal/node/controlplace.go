// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"chive/internal/control"
	"chive/internal/store"
)

// maxPlaceSize bounds what is read of controlPlaceFile, in bytes.
const maxPlaceSize = 4096

// sayControl says in the locked state folder at which control socket this process is asked,
// if that is elsewhere, until Close. Who knows the folder alone finds it then; that it
// cannot be said is no reason not to run.
func (s *State) sayControl(at ControlSocket) {
	_ = os.Remove(s.path(controlPlaceFile)) // of one that was killed
	full, err := filepath.Abs(at.Path)
	beside, err2 := filepath.Abs(s.path(controlFile))
	if at.Path == "" || err != nil || err2 != nil || full == beside || len(full) > maxSocketPath {
		return
	}
	s.said = store.WriteFile(s.path(controlPlaceFile), []byte(strconv.Itoa(os.Getpid())+" "+unixPrefix+full+"\n")) == nil
}

// Or is where the daemon that runs with the state folder said that it is asked, if nobody
// is where it usually would be and no flag named a place: it was started with --control, or
// with another session's variables. Only what the folder's owner alone could have written is
// believed, and only a socket of the same owner that is closed to everybody else, while the
// process that wrote it holds the folder: what a killed one said may lead to another daemon.
func (s ControlSocket) Or(state string) ControlSocket {
	if s.Fixed || state == "" || s.Path != "" && present(s.Path) {
		return s
	}
	file := filepath.Join(state, controlPlaceFile)
	if store.CheckFolder(state) != nil {
		return s
	}
	wrote, err := os.Lstat(file)
	if err != nil || !wrote.Mode().IsRegular() {
		return s
	}
	data, err := store.ReadFile(file, maxPlaceSize)
	writer, at, _ := strings.Cut(strings.TrimSuffix(string(data), "\n"), " ")
	path, isUnix := strings.CutPrefix(at, unixPrefix)
	if err != nil || !isUnix || !filepath.IsAbs(path) || len(path) > maxSocketPath || strings.ContainsRune(path, 0) {
		return s
	}
	there, err := os.Lstat(path)
	if err != nil || there.Mode().Type() != fs.ModeSocket || openToOthers(there.Mode()) || !sameOwner(wrote, there) || !control.Answers(path) || writer != strconv.Itoa(store.Working(state)) {
		return s
	}
	return ControlSocket{Path: path, Group: s.Group}
}

// present reports whether somebody accepts at a socket, or this user may not know.
func present(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist) && control.Answers(path)
}
