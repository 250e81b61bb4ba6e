// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"fmt"
	"math"
	"net/netip"
	"path/filepath"
	"runtime/debug"
	"testing"
	"testing/fstest"
	"time"

	"chive/internal/control"
	"chive/internal/limit"
	"chive/relay"
)

// TestAutomaticMemoryIsAQuarterOfWhatTheProcessMayUse, of the machine or of the control
// group (REL-5).
func TestAutomaticMemoryIsAQuarterOfWhatTheProcessMayUse(t *testing.T) {
	const meminfo = "MemTotal:       8388608 kB\nMemFree:  1 kB\n"
	files := func(pairs ...string) fstest.MapFS {
		m := fstest.MapFS{}
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1])}
		}
		return m
	}
	for _, c := range []struct {
		name  string
		files fstest.MapFS
		want  int64
	}{
		{"nothing is known", files(), 512 << 20},
		{"a machine", files("proc/meminfo", meminfo), 2 << 30},
		{"a small machine", files("proc/meminfo", "MemTotal: 262144 kB\n"), 128 << 20},
		{"a large machine", files("proc/meminfo", "MemTotal: 1073741824 kB\n"), 4 << 30},
		{"nonsense", files("proc/meminfo", "MemTotal: lots kB\n", "proc/self/cgroup", "0:/\nx\n"), 512 << 20},
		{"a group without a limit", files("proc/meminfo", meminfo, "proc/self/cgroup", "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max", "max\n"), 2 << 30},
		{"a group", files("proc/meminfo", meminfo, "proc/self/cgroup", "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max", "1073741824\n"), 256 << 20},
		{"the group above", files("proc/meminfo", meminfo, "proc/self/cgroup", "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max", "max\n", "sys/fs/cgroup/a/memory.max", "2147483648\n"), 512 << 20},
		{"a container", files("proc/meminfo", meminfo, "proc/self/cgroup", "0::/outside\n", "sys/fs/cgroup/memory.max", "1073741824\n"), 256 << 20},
		{"the first kind of groups", files("proc/meminfo", meminfo, "proc/self/cgroup", "3:cpu,memory:/g\n", "sys/fs/cgroup/memory/g/memory.limit_in_bytes", "1073741824\n"), 256 << 20},
		{"its highest number", files("proc/meminfo", meminfo, "proc/self/cgroup", "3:memory:/g\n", "sys/fs/cgroup/memory/g/memory.limit_in_bytes", "9223372036854771712\n"), 2 << 30},
	} {
		if got := limit.AutoMemory(machineMemory(c.files)); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
	if n := ceiling(0); n < 128<<20 || n > 4<<30 {
		t.Errorf("auto is %d here", n)
	}
}

// TestTheHeapIsBoundByTheSameNumber (REL-5).
func TestTheHeapIsBoundByTheSameNumber(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	s, err := OpenState(filepath.Join(t.TempDir(), "state"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	noon := time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)
	a, _, err := s.openAllowance(RelayLimits{Memory: 100 << 20}, 0, noon)
	if err != nil {
		t.Fatal(err)
	}
	if n := debug.SetMemoryLimit(-1); n != 100<<20+programMemory || a.memory.Most() != 100<<20 {
		t.Errorf("%d for a ceiling of %d", n, a.memory.Most())
	}
	a.set(RelayLimits{Memory: 200 << 20}, noon)
	if n := debug.SetMemoryLimit(-1); n != 200<<20+programMemory || a.memory.Most() != 200<<20 {
		t.Errorf("after a reload %d for a ceiling of %d", n, a.memory.Most())
	}
	a.set(RelayLimits{}, noon)
	if n := debug.SetMemoryLimit(-1); n == math.MaxInt64 || a.memory.Most() != ceiling(0) {
		t.Errorf("auto: %d for a ceiling of %d", n, a.memory.Most())
	}
}

// TestMemoryIsShownAndSaidWhenItBinds (REL-5).
func TestMemoryIsShownAndSaidWhenItBinds(t *testing.T) {
	const most, tight = 100 << 20, 80 << 20
	at := time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		in       relay.MemoryStatus
		want     *control.Memory
		overload string
	}{
		{relay.MemoryStatus{Used: 5}, nil, ""},
		{relay.MemoryStatus{Most: most, Used: 5<<20 + 7}, &control.Memory{Used: 5 << 20, Max: most}, ""},
		{relay.MemoryStatus{Most: most, Used: 212<<10 + 7}, &control.Memory{Used: 208 << 10, Max: most}, ""}, // little, and not nothing
		{relay.MemoryStatus{Most: most, Used: 70 << 20, Refused: 3, Killed: 1, Last: at}, &control.Memory{Used: 70 << 20, Max: most, Refused: 3, Killed: 1,
			Text: "Since the start 3 circuits were refused and 1 closed for want of it, the last at 2026-12-01 12:00:00 UTC."}, ""},
		{relay.MemoryStatus{Most: most, Used: 81 << 20, Level: limit.Tight, Refused: 1, Tight: tight, Since: at}, &control.Memory{Since: at, Used: 81 << 20, Max: most, Refused: 1,
			Text: "Since the start 1 circuit was refused and 0 closed for want of it."},
			"Memory is short since 2026-12-01 12:00:00 UTC: 81 MiB of 100 MiB are in use. The relay takes no new circuits until less than 80 MiB are; raise relay.memory if the machine has more."},
		{relay.MemoryStatus{Most: most, Used: 96 << 20, Level: limit.Critical, Killed: 2}, &control.Memory{Used: 96 << 20, Max: most, Killed: 2,
			Text: "Since the start 0 circuits were refused and 2 closed for want of it."},
			"Memory is short: 96 MiB of 100 MiB are in use. The relay takes no new circuits, and closes those whose cells have waited longest; raise relay.memory if the machine has more."},
	} {
		got, overload := memoryPart(&c.in)
		if (got == nil) != (c.want == nil) || got != nil && *got != *c.want || overload != c.overload {
			t.Errorf("%+v: %+v, %q", c.in, got, overload)
		}
	}
}

// TestWhatTheProcessHasIsShown: more than nothing, in whole MiB.
func TestWhatTheProcessHasIsShown(t *testing.T) {
	if n := processMemory(); n < 4<<20 || n%(1<<20) != 0 {
		t.Errorf("%d bytes", n)
	}
}

// TestRoomIsWhatTheGroupLeaves: of a group that is nearly full little is free, but what is only
// kept to read files faster counts.
func TestRoomIsWhatTheGroupLeaves(t *testing.T) {
	files := fstest.MapFS{}
	for name, text := range map[string]string{
		"proc/meminfo":                     "MemTotal: 8388608 kB\nMemAvailable: 4194304 kB\n",
		"proc/self/cgroup":                 "0::/a\n",
		"proc/7/cgroup":                    "0::/b\n",
		"sys/fs/cgroup/a/memory.max":       "1073741824\n",
		"sys/fs/cgroup/a/memory.current":   "1000000000\n",
		"sys/fs/cgroup/a/memory.stat":      "anon 5\ninactive_file 200000000\n",
		"sys/fs/cgroup/b/memory.max":       "max\n",
		"sys/fs/cgroup/b/memory.current":   "5\n",
		"sys/fs/cgroup/none/memory.stat":   "inactive_file x\n",
		"sys/fs/cgroup/none/memory.events": "",
	} {
		files[name] = &fstest.MapFile{Data: []byte(text)}
	}
	for process, want := range map[string]Room{
		"self": {1 << 30, 1<<30 - 800000000, true}, "7": {8 << 30, 4 << 30, true}, "9": {8 << 30, 4 << 30, true},
	} {
		if got := memoryRoom(files, process); got != want {
			t.Errorf("%s: %+v, want %+v", process, got, want)
		}
	}
	if got := memoryRoom(fstest.MapFS{}, "self"); got.Known || got.Free != 0 || got.Most != unknownMachine {
		t.Errorf("nothing is known: %+v", got)
	}
}

// TestAddressesAreSortedByWhoReachesThem (product CLI-11).
func TestAddressesAreSortedByWhoReachesThem(t *testing.T) {
	var all []netip.Addr
	for _, a := range []string{"127.0.0.1", "::1", "fe80::1", "10.0.0.1", "100.64.0.1", "fd00::1", "::ffff:192.168.1.1", "8.8.8.8", "2600::1"} {
		all = append(all, netip.MustParseAddr(a))
	}
	own := sortAddresses(all)
	if got := fmt.Sprint(own.Public4, own.Public6, own.Private); got != "[8.8.8.8] [2600::1] [10.0.0.1 100.64.0.1 fd00::1 192.168.1.1]" {
		t.Error(got)
	}
}
