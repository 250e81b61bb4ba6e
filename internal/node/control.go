// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"context"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"chive/internal/control"
	"chive/internal/store"
)

// ControlSocket is where a daemon's control socket is, or is to be.
type ControlSocket struct {
	Path  string // empty: none
	Fixed bool   // a flag named it
	Group string // whose members may ask there, too; empty: the owner alone
	// Long says that the path it would have is longer than a socket's may be.
	Long string
}

// ControlPath says where a control socket is: where named says, as unix:PATH, or else
// in the folder. Spec: product §3.
func ControlPath(named, folder string) (ControlSocket, error) {
	if named == "" {
		path := filepath.Join(folder, controlFile)
		if folder == "" {
			return ControlSocket{}, nil
		}
		if len(path) > maxSocketPath {
			return ControlSocket{Long: path}, nil
		}
		return ControlSocket{Path: path}, nil
	}
	path, isUnix := strings.CutPrefix(named, unixPrefix)
	switch {
	case named == "off":
		return ControlSocket{Fixed: true}, nil
	case !isUnix || path == "" || strings.ContainsRune(path, 0):
		return ControlSocket{}, fault(Usage, "control_path", "Write unix: and a path, such as --control unix:/run/user/1000/chive/control.sock.", "--control %s is not the path of a socket", named)
	case len(path) > maxSocketPath:
		return ControlSocket{}, longPath(path)
	}
	return ControlSocket{Path: path, Fixed: true}, nil
}

func longPath(path string) *Fault {
	return fault(Usage, "control_path", "Name a shorter one: --control unix:PATH, for the daemon and for what asks it.",
		"The control socket %s has a path of %d bytes; no system takes more than %d everywhere", path, len(path), maxSocketPath)
}

// Name is the socket as errors show it.
func (s ControlSocket) Name() string {
	if s.Path == "" {
		return "off"
	}
	return unixPrefix + s.Path
}

// Shown is the socket as ready lines show it: what is pasted in another folder finds it,
// too. Only where the absolute path is too long for a socket it stays as it was named.
func (s ControlSocket) Shown() string {
	if full, err := filepath.Abs(s.Path); s.Path != "" && err == nil && len(full) <= maxSocketPath {
		s.Path = full
	}
	return s.Name()
}

// Check refuses a path that cannot be asked at.
func (s ControlSocket) Check() error {
	switch {
	case s.Long != "":
		return longPath(s.Long)
	case s.Path == "":
		return fault(Usage, "control_unknown", "Name the daemon's socket: --control unix:PATH, as its ready line shows it.", "There is no folder in which a daemon's control socket would be")
	}
	return nil
}

// note says why a daemon has no socket though nobody asked for none.
func (s ControlSocket) note() string {
	if s.Long == "" {
		return ""
	}
	return "There is no control socket, so chive status cannot ask this process: the path " + s.Long + " is too long for one. Name a shorter one: --control unix:PATH."
}

// TestnetFolder makes a folder of this user's alone for the control socket of a testnet,
// which has no state folder: under the session's folder for sockets, or where temporary
// files are. The caller removes it. Those of testnets that were killed are removed first.
func TestnetFolder(runtime string) (string, error) {
	parent := os.TempDir()
	if runtime != "" {
		if err := store.MakeFolder(runtime); err != nil {
			return "", fileFault(runtime, "folder of control sockets", err)
		}
		parent = runtime
	}
	removeDeadTestnets(parent)
	path, err := os.MkdirTemp(parent, testnetPrefix)
	if err != nil {
		return "", fileFault(parent, "folder of control sockets", err)
	}
	return path, nil
}

// testnetPrefix begins the names of TestnetFolder's folders. A folder younger than
// testnetYoung may be one whose testnet still starts.
const (
	testnetPrefix = "testnet-"
	testnetYoung  = 10 * time.Second
)

// TestnetSockets lists the control sockets in the folders that TestnetFolder made for
// testnets of this user. Nobody need answer there.
func TestnetSockets(runtime string) []string {
	if runtime == "" {
		runtime = os.TempDir()
	}
	all, _ := filepath.Glob(filepath.Join(runtime, testnetPrefix+"*", controlFile))
	return all
}

// removeDeadTestnets removes the folders of testnets that were killed: those that hold a
// control socket at which nobody answers, and nothing else. Others are none of ours.
func removeDeadTestnets(parent string) {
	all, err := os.ReadDir(parent)
	if err != nil {
		return
	}
	for _, e := range all {
		number, ours := strings.CutPrefix(e.Name(), testnetPrefix)
		if _, err := strconv.ParseUint(number, 10, 64); !ours || err != nil || !e.IsDir() {
			continue
		}
		folder := filepath.Join(parent, e.Name())
		made, err := os.Lstat(folder)
		held, err2 := os.ReadDir(folder)
		if err != nil || err2 != nil || made.Mode().Perm() != store.FolderMode || time.Since(made.ModTime()) < testnetYoung ||
			len(held) != 1 || held[0].Type() != fs.ModeSocket || held[0].Name() != controlFile {
			continue
		}
		if socket := filepath.Join(folder, controlFile); !control.Answers(socket) && os.Remove(socket) == nil {
			_ = os.Remove(folder)
		}
	}
}

// OpenControl opens a control socket for ServeControl, for this user alone, or for the
// group that it names. One that a killed daemon left behind is replaced. nil: there is to
// be none. Spec: product §3.
func OpenControl(s ControlSocket) (net.Listener, error) {
	if s.Path == "" {
		return nil, nil
	}
	folder := filepath.Dir(s.Path)
	if !s.Fixed {
		if err := store.MakeFolder(folder); err != nil {
			return nil, fileFault(folder, "folder of the control socket", err)
		}
	}
	if err := checkSocketAt("--control", s.Path); err != nil {
		return nil, err
	}
	l, err := listenUnix("--control", s.Path, control.Answers)
	if err != nil {
		return nil, err
	}
	if s.Group != "" {
		shareSocket(s.Path, s.Group)
	}
	return l, nil
}

// ServeControl answers the local API on l until ctx ends, and closes l. A nil l serves
// nothing.
func ServeControl(ctx context.Context, l net.Listener, sources control.Source) error {
	if l == nil {
		return nil
	}
	if control.Serve(ctx, l, sources) != nil {
		return fault(Failed, "control_failed", "Start chive again to have it back; all else goes on.", "The control socket broke")
	}
	return nil
}
