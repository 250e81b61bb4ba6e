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

// machineMemory is what this process may use: the machine's memory, or less if a control
// group says so. root is the file system; where it has no such files a machine of
// unknownMachine bytes is assumed.
func machineMemory(root fs.FS) uint64 {
	most := uint64(unknownMachine)
	if text, err := fs.ReadFile(root, "proc/meminfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			f := strings.Fields(line)
			if len(f) == 3 && f[0] == "MemTotal:" && f[2] == "kB" {
				if n, err := strconv.ParseUint(f[1], 10, 44); err == nil && n > 0 {
					most = n << 10
				}
			}
		}
	}
	text, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return most
	}
	for line := range strings.Lines(string(text)) {
		// hierarchy:controllers:path
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		switch {
		case len(f) != 3:
		case f[1] == "":
			most = min(most, leastLimit(root, "sys/fs/cgroup", f[2], "memory.max"))
		case hasWord(f[1], "memory"):
			most = min(most, leastLimit(root, "sys/fs/cgroup/memory", f[2], "memory.limit_in_bytes"))
		}
	}
	return most
}

// leastLimit is the least limit of a control group and of those above it. A container may
// see its own group as the root.
func leastLimit(root fs.FS, mount, group, file string) uint64 {
	least := uint64(1 << 62)
	for at := path.Clean("/" + group); ; at = path.Dir(at) {
		if text, err := fs.ReadFile(root, path.Join(mount, at, file)); err == nil {
			if n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64); err == nil && n > 0 {
				least = min(least, n) // "max" is no number
			}
		}
		if at == "/" {
			return least
		}
	}
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
