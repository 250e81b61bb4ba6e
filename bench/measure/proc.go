// SPDX-License-Identifier: BSD-3-Clause

package measure

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

var (
	// ErrUnsupported says that this system does not show the figure, or not to
	// this user.
	ErrUnsupported = errors.New("measure: this system does not show that")
	// ErrFormat says that the kernel's text is not what was expected.
	ErrFormat = errors.New("measure: unknown format")
)

// tick is the unit of processor times in /proc, the same on every Linux that Go
// runs on.
const tick = 10 * time.Millisecond

// statBits bounds each of the two times, so that their sum is a time.Duration: a
// thousand machines' lifetimes.
const statBits = 38

// ParseStat reads the processor time, user and system together, out of a
// process's stat file. The name of the process may hold anything.
func ParseStat(data []byte) (time.Duration, error) {
	text := string(data)
	end := strings.LastIndexByte(text, ')')
	if end < 0 {
		return 0, ErrFormat
	}
	fields := strings.Fields(text[end+1:])
	const user, system = 11, 12 // fields 14 and 15, counted from the one after the name
	if len(fields) <= system {
		return 0, ErrFormat
	}
	var sum uint64
	for _, f := range []string{fields[user], fields[system]} {
		n, err := strconv.ParseUint(f, 10, statBits)
		if err != nil {
			return 0, ErrFormat
		}
		sum += n
	}
	return time.Duration(sum) * tick, nil
}

// Memory is what a process holds of the machine's memory, in bytes.
type Memory struct {
	Resident uint64 // now
	Peak     uint64 // most so far
}

// ParseStatus reads the memory out of a process's status file.
func ParseStatus(data []byte) (Memory, error) {
	var m Memory
	var seen int
	for line := range strings.Lines(string(data)) {
		name, rest, _ := strings.Cut(line, ":")
		var field *uint64
		switch name {
		case "VmRSS":
			field = &m.Resident
		case "VmHWM":
			field = &m.Peak
		default:
			continue
		}
		text, isKB := strings.CutSuffix(strings.TrimSpace(rest), " kB")
		n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 48)
		if err != nil || !isKB {
			return Memory{}, ErrFormat
		}
		*field = n * 1024
		seen++
	}
	if seen != 2 {
		return Memory{}, ErrFormat
	}
	return m, nil
}

// ParseLoad reads how many processes were busy on average in the last minute out
// of /proc/loadavg.
func ParseLoad(data []byte) (float64, error) {
	first, _, _ := strings.Cut(string(data), " ")
	n, err := strconv.ParseFloat(first, 64)
	if err != nil || n < 0 {
		return 0, ErrFormat
	}
	return n, nil
}

// ParseModel reads the processor's name out of /proc/cpuinfo; empty if it has none.
func ParseModel(data []byte) string {
	for line := range strings.Lines(string(data)) {
		name, rest, _ := strings.Cut(line, ":")
		if strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(rest)
		}
	}
	return ""
}
