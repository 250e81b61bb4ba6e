// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"chive/internal/namespace"
	"chive/internal/node"
)

// unsynchronised reports that the kernel says that nobody keeps its clock right.
func unsynchronised() bool {
	const unsynced = 0x40 // STA_UNSYNC
	var t unix.Timex
	_, err := unix.Adjtimex(&t)
	return err == nil && t.Status&unsynced != 0
}

// openToAll reports whether a mode lets everybody use a socket.
func openToAll(mode fs.FileMode) bool { return mode.Perm()&0o006 != 0 }

// Files that a process should be able to have open: a client's streams, a relay's links.
const (
	clientFiles = 4096
	relayFiles  = 16384
)

// checkLimits looks at what the system grants to processes like this one.
func (d *doctor) checkLimits() {
	const check = "limits"
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) != nil {
		return
	}
	least := uint64(clientFiles)
	if d.cfg.Relay.Enabled || d.status != nil && len(d.status.Relays) > 0 {
		least = relayFiles
	}
	if l.Max < least {
		d.warn(check, "few_files", fmt.Sprintf("A process of this user may have %d files open; %d are better, or busy programs are refused.", l.Max, least),
			fmt.Sprintf("Raise it: ulimit -Hn %d as root, or LimitNOFILE=65536 in the service.", least))
		return
	}
	d.ok(check, "files", fmt.Sprintf("A process of this user may have %d files open.", l.Max))
}

// runObstacle says why chive run cannot work here; nil: nothing is known to be in its way.
func runObstacle() *node.Fault {
	switch namespace.FindObstacle() {
	case namespace.Unknown:
		return nil
	case namespace.RootOnly, namespace.AppArmor:
		if os.Getuid() == 0 {
			return nil
		}
	}
	return namespaceFault(&namespace.Failure{})
}

// daemonProcess is the id of the process that answers at a control socket; 0: not known.
func daemonProcess(ctx context.Context, control string) int {
	c, err := new(net.Dialer).DialContext(ctx, "unix", control)
	if err != nil {
		return 0
	}
	defer c.Close()
	raw, err := c.(*net.UnixConn).SyscallConn()
	if err != nil {
		return 0
	}
	var peer *unix.Ucred
	var credErr error
	err = raw.Control(func(fd uintptr) { peer, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err != nil || credErr != nil {
		return 0
	}
	return int(peer.Pid)
}

// daemonSockets are the sockets of the process that answers at a control socket.
func daemonSockets(ctx context.Context, control string) ([]kernelSocket, error) {
	pid := daemonProcess(ctx, control)
	if pid <= 0 {
		return nil, errNoSight
	}
	proc := fmt.Sprintf("/proc/%d/", pid)
	inodes, err := socketInodes(proc + "fd")
	if err != nil {
		return nil, errNoSight
	}
	var out []kernelSocket
	for _, table := range []string{"tcp", "tcp6", "udp", "udp6"} {
		data, err := os.ReadFile(proc + "net/" + table)
		if errors.Is(err, fs.ErrNotExist) { // no IPv6 here
			continue
		}
		if err != nil {
			return nil, errNoSight
		}
		for _, s := range parseSockets(string(data), strings.HasPrefix(table, "udp")) {
			if inodes[s.inode] {
				out = append(out, s)
			}
		}
	}
	return out, nil
}

// socketInodes are the sockets among a process's files.
func socketInodes(folder string) (map[string]bool, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	out := map[string]bool{}
	for _, e := range entries {
		target, _ := os.Readlink(folder + "/" + e.Name())
		if n, ok := strings.CutPrefix(target, "socket:["); ok {
			out[strings.TrimSuffix(n, "]")] = true
		}
	}
	return out, nil
}
