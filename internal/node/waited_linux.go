// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"bytes"
	"os"
	"strconv"
	"time"
)

// waitedTime is for how long this process's threads were ready to run and waited
// for a processor, in all. Threads that have ended do not count. 0 if the kernel
// does not say.
func waitedTime() time.Duration {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return 0
	}
	var total time.Duration
	for _, t := range threads {
		line, err := os.ReadFile("/proc/self/task/" + t.Name() + "/schedstat")
		if err != nil {
			continue
		}
		if fields := bytes.Fields(line); len(fields) == 3 { // on a processor, waiting, times
			n, _ := strconv.ParseInt(string(fields[1]), 10, 64)
			total += time.Duration(n)
		}
	}
	return total
}
