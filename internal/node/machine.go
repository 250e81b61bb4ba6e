// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"io/fs"
	"os"
	"path"
	"runtime/debug"
	"strconv"
	"strings"

	"chive/internal/limit"
)

const (
	// unknownMachine is taken for a machine that does not say how much memory it has.
	unknownMachine = 2 << 30
	// programMemory is what the program itself may need beside the account of memory:
	// the rest of its heap, and garbage that waits.
	programMemory = 64 << 20
)

// ceiling is what relay.memory means here: bytes, 0 is auto. Spec: product REL-5.
func ceiling(memory int64) int64 {
	if memory > 0 {
		return memory
	}
	return limit.AutoMemory(machineMemory(os.DirFS("/")))
}

// boundHeap has the collector keep the heap near a relay's ceiling.
func boundHeap(ceiling int64) { debug.SetMemoryLimit(ceiling + programMemory) }

// Room is how much memory there is for a process.
type Room struct {
	Most  uint64 // bytes: the machine's, or fewer if a control group says so
	Free  uint64 // of those, what is not in use; what is only kept to read files faster counts as free
	Known bool   // the system tells; else Most is a guess, and Free is 0
}

// MemoryRoom is that of the process pid of this machine; 0: of this process. What cannot be
// read of a process is taken not to bound it.
func MemoryRoom(pid int) Room {
	process := "self"
	if pid > 0 {
		process = strconv.Itoa(pid)
	}
	return memoryRoom(os.DirFS("/"), process)
}

// RelayCeiling is what a relay takes for relay.memory, 0 being auto, where there is so much
// room, and what its process may come to have with it; both in bytes. Spec: product REL-5.
func RelayCeiling(memory int64, room Room) (ceiling, process uint64) {
	if memory <= 0 {
		memory = limit.AutoMemory(room.Most)
	}
	return uint64(memory), uint64(memory) + programMemory
}

// ClientMemory is what the process of a client alone may need, in bytes.
const ClientMemory = programMemory

// machineMemory is what this process may use: the machine's memory, or less if a control
// group says so. root is the file system; where it has no such files a machine of
// unknownMachine bytes is assumed.
func machineMemory(root fs.FS) uint64 { return memoryRoom(root, "self").Most }

// memoryRoom is the room of a process as the files of proc and of control groups tell it.
func memoryRoom(root fs.FS, process string) Room {
	r := Room{Most: unknownMachine}
	if text, err := fs.ReadFile(root, "proc/meminfo"); err == nil {
		total, there := field(string(text), "MemTotal:")
		free, tells := field(string(text), "MemAvailable:")
		if there && total > 0 && total < 1<<44 {
			r = Room{Most: total << 10, Free: min(free, total) << 10, Known: tells}
		}
	}
	text, err := fs.ReadFile(root, path.Join("proc", process, "cgroup"))
	if err != nil {
		return r
	}
	for line := range strings.Lines(string(text)) {
		// hierarchy:controllers:path
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		switch {
		case len(f) != 3:
		case f[1] == "":
			r.within(root, "sys/fs/cgroup", f[2], "memory.max", "memory.current", "inactive_file")
		case hasWord(f[1], "memory"):
			r.within(root, "sys/fs/cgroup/memory", f[2], "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
		}
	}
	return r
}

// within lessens a room by the limits of a control group and of those above it. A container
// may see its own group as the root. most and used are files; cached is a line of memory.stat.
func (r *Room) within(root fs.FS, mount, group, most, used, cached string) {
	number := func(at, file string) (uint64, bool) {
		text, err := fs.ReadFile(root, path.Join(mount, at, file))
		if err != nil {
			return 0, false
		}
		n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
		return n, err == nil // "max" is no number
	}
	for at := path.Clean("/" + group); ; at = path.Dir(at) {
		if limit, is := number(at, most); is && limit > 0 {
			r.Most = min(r.Most, limit)
			has, _ := number(at, used)
			stat, _ := fs.ReadFile(root, path.Join(mount, at, "memory.stat"))
			kept, _ := field(string(stat), cached)
			has -= min(kept, has)
			r.Free = min(r.Free, limit-min(has, limit))
		}
		if at == "/" {
			return
		}
	}
}

// field is the number behind a name that begins a line.
func field(text, name string) (uint64, bool) {
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) >= 2 && f[0] == name {
			n, err := strconv.ParseUint(f[1], 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}

// hasWord reports whether a list with commas has a word.
func hasWord(list, word string) bool {
	for w := range strings.SplitSeq(list, ",") {
		if w == word {
			return true
		}
	}
	return false
}
