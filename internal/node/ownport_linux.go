// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"os"
	"strconv"
	"strings"
)

// maxOwnFiles bounds how many open files of this process are looked at.
const maxOwnFiles = 1 << 16

// ownsPort reports whether this very process listens at a TCP port, at any address. It is
// asked when a port is taken, to say by whom.
func ownsPort(port uint16) bool {
	const listens = "0A" // TCP_LISTEN
	sockets := map[string]bool{}
	want := ":" + strings.ToUpper(strconv.FormatUint(uint64(port)|1<<16, 16)[1:])
	for _, table := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		text, err := os.ReadFile(table)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			if f := strings.Fields(line); len(f) > 9 && f[3] == listens && strings.HasSuffix(f[1], want) {
				sockets["socket:["+f[9]+"]"] = true
			}
		}
	}
	if len(sockets) == 0 {
		return false
	}
	folder, err := os.Open("/proc/self/fd")
	if err != nil {
		return false
	}
	defer folder.Close()
	names, _ := folder.Readdirnames(maxOwnFiles)
	for _, name := range names {
		if target, err := os.Readlink("/proc/self/fd/" + name); err == nil && sockets[target] {
			return true
		}
	}
	return false
}
