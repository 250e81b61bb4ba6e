// SPDX-License-Identifier: BSD-3-Clause

package measure

import (
	"strconv"
	"strings"
)

// Heap is what a Go program held after its last collection, in bytes, to a MiB.
type Heap struct {
	Live   uint64 // objects that were left
	Stacks uint64 // of goroutines
}

// ParseCollection reads a line that a Go program prints for a collection when
// GODEBUG has gctrace=1:
//
//	gc 12 @3.428s 0%: 0.1+2.3+0.02 ms clock, 0.2+1.1/2.2/0+0.04 ms cpu, 9->9->4 MB, 10 MB goal, 1 MB stacks, ...
//
// It is not ok when the line is another.
func ParseCollection(line string) (h Heap, ok bool) {
	if !strings.HasPrefix(line, "gc ") {
		return Heap{}, false
	}
	_, rest, _ := strings.Cut(line, "ms cpu, ")
	for part := range strings.SplitSeq(rest, ", ") {
		number, unit, _ := strings.Cut(part, " ")
		var field *uint64
		switch {
		case unit == "MB" && strings.Count(number, "->") == 2:
			number, field = number[strings.LastIndex(number, ">")+1:], &h.Live
		case unit == "MB stacks":
			field = &h.Stacks
		default:
			continue
		}
		n, err := strconv.ParseUint(number, 10, 32)
		if err != nil {
			return Heap{}, false
		}
		*field = n << 20
		ok = true
	}
	return h, ok
}
