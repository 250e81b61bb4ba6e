// SPDX-License-Identifier: BSD-3-Clause

//go:build unix

package node

import (
	"os"
	"os/user"
	"strconv"
	"sync"
	"syscall"
)

// groupMode lets a group ask at a socket, beside its owner.
const groupMode = 0o660

// umask is held while the process's is changed, so that it is put back as it was.
var umask sync.Mutex

// forOwner makes something that is its owner's alone, and so is what others make in this
// moment. A daemon of chive has such a umask from its start.
func forOwner(do func()) {
	umask.Lock()
	defer umask.Unlock()
	defer syscall.Umask(syscall.Umask(0o077))
	do()
}

// sameOwner reports whether two files belong to one user.
func sameOwner(a, b os.FileInfo) bool {
	x, ok := a.Sys().(*syscall.Stat_t)
	y, ok2 := b.Sys().(*syscall.Stat_t)
	return ok && ok2 && x.Uid == y.Uid
}

// openToOthers reports whether a mode lets in more than the owner and the group.
func openToOthers(mode os.FileMode) bool { return mode.Perm()&0o007 != 0 }

// shareSocket lets a group ask at a socket. It stays its owner's alone where there is no
// such group, or where this process may not give it to that group.
func shareSocket(path, group string) {
	g, err := user.LookupGroup(group)
	if err != nil {
		return
	}
	gid, err := strconv.Atoi(g.Gid)
	info, wrong := os.Lstat(path)
	if err != nil || wrong != nil {
		return
	}
	// A hardened service may not change owners, not even to what they are.
	if s, ok := info.Sys().(*syscall.Stat_t); (!ok || int(s.Gid) != gid) && os.Lchown(path, -1, gid) != nil {
		return
	}
	_ = os.Chmod(path, groupMode)
}
