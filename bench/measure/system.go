// SPDX-License-Identifier: BSD-3-Clause

package measure

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// CPU returns the processor time that a process has used so far.
func CPU(pid int) (time.Duration, error) {
	data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0, ErrUnsupported
	}
	return ParseStat(data)
}

// MemoryOf returns what a process holds.
func MemoryOf(pid int) (Memory, error) {
	data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return Memory{}, ErrUnsupported
	}
	return ParseStatus(data)
}

// Load returns how many processes were busy on average in the last minute.
func Load() (float64, error) {
	data, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0, ErrUnsupported
	}
	return ParseLoad(data)
}

// ProcessorModel returns the processor's name; empty if the system does not tell.
func ProcessorModel() string {
	data, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	return ParseModel(data)
}

// Kernel returns the kernel's release; empty if the system does not tell.
func Kernel() string {
	data, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

// socketInodes returns the inodes of the sockets that a process has open. Other
// users' processes, and those that hide from debuggers, show them to root only.
func socketInodes(pid int) (map[uint32]bool, error) {
	folder := filepath.Join("/proc", strconv.Itoa(pid), "fd")
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, ErrUnsupported
	}
	out := make(map[uint32]bool)
	for _, e := range entries {
		target, err := os.Readlink(filepath.Join(folder, e.Name()))
		if err != nil {
			continue // closed meanwhile
		}
		if n, ok := parseSocketLink(target); ok {
			out[n] = true
		}
	}
	return out, nil
}

// parseSocketLink reads the inode out of "socket:[123]".
func parseSocketLink(link string) (uint32, bool) {
	text, ok := strings.CutPrefix(link, "socket:[")
	text, ok2 := strings.CutSuffix(text, "]")
	n, err := strconv.ParseUint(text, 10, 32)
	return uint32(n), ok && ok2 && err == nil
}
