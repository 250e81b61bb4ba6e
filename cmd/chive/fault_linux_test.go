// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"chive/internal/control"
)

// TestFaults does to real processes what befalls machines: a wrong clock, a full disk,
// files that are damaged, the document of another network. Each is told with what to do
// about it, nothing is lost, and it goes on when it is mended. Seven founders run on
// loopback meanwhile and agree; at most two of them are in trouble at a time.
func TestFaults(t *testing.T) {
	if !soak {
		t.Skip("a minute of real time, and a build of the standard library; -tags soak")
	}
	folder := t.TempDir()
	binary, wrongClocks := buildWrongClock(t, folder)
	if !wrongClocks {
		t.Log("NOT TESTED: wrong clocks. This Go's time.Now is not the one that is known here")
		binary = filepath.Join(folder, "chive")
		output(t, "go", "build", "-trimpath", "-o", binary, ".")
	}
	w := found(t, binary, t.TempDir(), 7)
	for _, p := range w.founders {
		p.startsRelay(t)
	}
	for _, p := range w.founders {
		p.until(t, "it takes part", 40*time.Second, takesPart)
	}
	t.Run("while it runs", func(t *testing.T) {
		if wrongClocks {
			t.Run("clock of a member", func(t *testing.T) { t.Parallel(); w.memberClock(t, w.founders[0]) })
			for _, off := range []time.Duration{3 * time.Hour, -3 * time.Hour, -40 * time.Minute} {
				t.Run("clock of a newcomer "+off.String(), func(t *testing.T) { t.Parallel(); w.newcomerClock(t, off) })
			}
			for off, says := range map[time.Duration]string{
				3 * time.Hour: "this clock is 3 h fast", -3 * time.Hour: "this clock is 3 h slow", -40 * time.Minute: "this clock is 40 min slow", -130 * time.Minute: "this clock is 2 h 10 min slow", 72 * time.Hour: "this clock is 3 days fast",
			} {
				t.Run("clock of a client "+off.String(), func(t *testing.T) { t.Parallel(); w.clientClock(t, off, says) })
			}
		}
		t.Run("disk", func(t *testing.T) { t.Parallel(); w.fullDisk(t, w.founders[1]) })
		t.Run("files of a client", func(t *testing.T) { t.Parallel(); w.clientFiles(t) })
		t.Run("another network", func(t *testing.T) { t.Parallel(); w.otherNetwork(t) })
	})
	for _, p := range w.founders {
		r := p.until(t, "it takes part at last", 40*time.Second, takesPart)
		if len(r.Reports) > 0 || r.Directory.Forked {
			t.Errorf("%s reports %+v", p.name, r.Reports)
		}
	}
	for _, p := range w.founders {
		p.stops(t)
	}
	// By itself the relay signs nothing, whatever its files say.
	t.Run("files of a relay", func(t *testing.T) { w.relayFiles(t, w.founders[2]) })
}

// memberClock sets a member's clock while it runs, restarts it so, and sets it right.
func (w *faultWorld) memberClock(t *testing.T, p *faulty) {
	offIs := func(text string) func(*control.Relay) bool {
		return func(r *control.Relay) bool {
			return strings.Contains(r.Clock, text) && r.Abstains == "its clock is off"
		}
	}
	p.sets(t, 3*time.Hour)
	p.until(t, "a clock that was set fast", 20*time.Second, offIs("3h0m0s ahead of that of its neighbours; set it"))
	p.says(t, "Note: this machine's clock is 3h0m0s ahead")
	if said := p.run.err.text(); strings.Contains(said, "No new list of relays was agreed") {
		t.Errorf("it blames the network:\n%s", said)
	}
	if out := p.must(t, "status", "--control", "unix:"+p.socket); !strings.Contains(out, "! clock: this machine's clock is 3h0m0s ahead") || !strings.Contains(out, "its clock is off") {
		t.Errorf("the status says\n%s", out)
	}
	p.stops(t)
	p.sets(t, -130*time.Minute)
	p.startsRelay(t)
	p.until(t, "a clock that is slow from the start", 30*time.Second, offIs("2h10m0s behind that of"))
	p.says(t, "Note: this machine's clock is 2h10m0s behind")
	p.sets(t, 0)
	p.until(t, "it takes part when its clock is right", 45*time.Second, takesPart)
}

// newcomerClock lets a relay join whose clock is wrong, and sets it.
func (w *faultWorld) newcomerClock(t *testing.T, off time.Duration) {
	p := w.newFaulty(t, "n"+off.String())
	p.sets(t, off)
	p.must(t, "relay", "init", "--yes", "--address", p.addr, "--genesis", w.genesis)
	p.startsRelay(t)
	way := "ahead of"
	if off < 0 {
		way = "behind"
	}
	p.until(t, "its clock is named", 30*time.Second, func(r *control.Relay) bool {
		return strings.Contains(r.Clock, fmt.Sprintf("clock is %v %s that of the relays that it has asked; set it", off.Abs(), way))
	})
	p.says(t, "Note: this machine's clock is "+off.Abs().String())
	p.sets(t, 0)
	p.until(t, "it is let in when its clock is right", 60*time.Second, func(r *control.Relay) bool { return r.Listed && r.Running && r.Clock == "" && r.Joining == "" })
	p.stops(t)
}

// clientClock starts a client whose clock is wrong, to whom that is said, and sets it.
func (w *faultWorld) clientClock(t *testing.T, off time.Duration, says string) {
	p := w.newFaulty(t, "c"+off.String())
	p.sets(t, off)
	args := []string{"client", "--genesis", w.genesis, "--socks", "127.0.0.1:0", "--wait", "5s"}
	_, said, code := p.command(t, args...)
	if code != 3 || !strings.Contains(said, "): "+says+". Set the clock.\n") ||
		!strings.Contains(said, "Error: The network was not reached within 5s: "+says+". Fix: Set the clock") {
		t.Errorf("exit code %d:\n%s", code, said)
	}
	out, said, code := p.command(t, append(args, "--json")...)
	if code != 3 || !strings.Contains(out+said, `"cause":"clock_skew"`) {
		t.Errorf("as a program: exit code %d:\n%s%s", code, out, said)
	}
	p.starts(t, nil, args[:5]...)
	p.says(t, says)
	status, said, code := p.command(t, "status", "--json", "--control", "unix:"+p.socket)
	var s control.Status
	if err := json.Unmarshal([]byte(status), &s); err != nil || code != 0 || s.Client == nil || s.Client.Cause != "clock_skew" || !strings.Contains(s.Client.Clock, says) {
		t.Errorf("the status says (%v, exit code %d)\n%s%s", err, code, status, said)
	}
	p.sets(t, 0)
	p.says(t, "Bootstrapped 100% (done)")
	p.stops(t)
}

// smallDisk is a program: chive with a small disk of its own in the place of its state
// folder, whose content it keeps.
func smallDisk() {
	state, program := os.Args[1], os.Args[2:]
	fail := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, "small disk:", err)
			os.Exit(1)
		}
	}
	aside := state + ".disk"
	fail(os.Mkdir(aside, 0o700))
	fail(syscall.Mount("none", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""))
	fail(syscall.Mount("none", aside, "tmpfs", 0, "size=8m,mode=0700"))
	fail(os.CopyFS(aside, os.DirFS(state)))
	fail(filepath.Walk(aside, func(path string, info os.FileInfo, err error) error {
		if err != nil || path == aside {
			return err
		}
		was, err := os.Stat(filepath.Join(state, strings.TrimPrefix(path, aside)))
		if err == nil {
			err = os.Chmod(path, was.Mode().Perm())
		}
		return err
	}))
	fail(syscall.Mount(aside, state, "", syscall.MS_BIND, ""))
	fail(syscall.Exec(program[0], program, os.Environ()))
}

// fullDisk fills the disk under a member that runs, and makes room again.
func (w *faultWorld) fullDisk(t *testing.T, p *faulty) {
	p.stops(t)
	cmd := exec.Command(os.Args[0], p.state, w.binary)
	cmd.Args[0] = "smalldisk"
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	probe := exec.Command("/bin/true")
	probe.SysProcAttr = cmd.SysProcAttr
	if err := probe.Run(); err != nil {
		t.Skipf("NOT TESTED: a full disk. No mount namespace can be had here: %v", err)
	}
	p.starts(t, cmd, "relay", "run", "--genesis", w.genesis, "--listen", p.addr)
	p.until(t, "it takes part on a disk of its own", 45*time.Second, takesPart)
	inside := fmt.Sprintf("/proc/%d/root%s", p.run.cmd.Process.Pid, p.state)
	full := filepath.Join(inside, "full")
	f, err := os.OpenFile(full, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	for piece := make([]byte, 4096); err == nil; {
		_, err = f.Write(piece)
	}
	_ = f.Close()
	if said := p.must(t, "health", "--control", "unix:"+p.socket); !strings.Contains(said, "! disk_low: The disk of the state folder has 0 MiB left") {
		t.Errorf("at once health says %q", said)
	}
	// The store has pages to spare, for a minute at times.
	p.until(t, "it says that the disk is full and takes no part", 150*time.Second, func(r *control.Relay) bool {
		return strings.Contains(r.Store, "the disk is full") && r.Abstains == "it cannot keep what it promises, so it promises nothing"
	})
	p.says(t, "the disk is full")
	if said := p.must(t, "health", "--control", "unix:"+p.socket); !strings.Contains(said, "the disk is full") || !strings.Contains(said, "Fix: Make room") ||
		!strings.Contains(said, "! disk_low: The disk of the state folder has 0 MiB left") {
		t.Errorf("health says %q", said)
	}
	made := p.relay().Traffic.Created
	// A path of three through five, of which it is one in most; on a busy machine the list may
	// call it not running for an epoch.
	client := w.newFaulty(t, "disk-client")
	for range 15 {
		client.starts(t, nil, "client", "--genesis", w.genesis, "--socks", "127.0.0.1:0")
		client.says(t, "Bootstrapped 100% (done)")
		client.stops(t)
		if p.relay().Traffic.Created > made {
			break
		}
		_ = os.RemoveAll(client.state)
	}
	if p.relay().Traffic.Created == made {
		t.Error("it carries nothing any more")
	}
	if err := os.Remove(full); err != nil {
		t.Fatal(err)
	}
	r := p.until(t, "it takes part when there is room", 60*time.Second, takesPart)
	if len(r.Reports) > 0 {
		t.Errorf("it reports %+v", r.Reports)
	}
	if said := p.must(t, "health", "--control", "unix:"+p.socket); !strings.HasPrefix(said, "ready\n") || strings.Contains(said, "the disk is full") {
		t.Errorf("there is room again, and health says %q", said)
	}
}

// damage is something that befalls a file.
type damage struct {
	name string
	do   func(data []byte) []byte
}

func flipped(every int) func([]byte) []byte {
	return func(data []byte) []byte {
		out := bytes.Clone(data)
		for i := min(every/3, len(out)/2); i < len(out); i += every {
			out[i] ^= 0x40
		}
		return out
	}
}

func damages() []damage {
	return []damage{
		{"emptied", func([]byte) []byte { return nil }},
		{"cut", func(data []byte) []byte { return data[:len(data)/2] }},
		{"first bytes", func(data []byte) []byte {
			return append([]byte("????????????????????????????????"), data[min(32, len(data)):]...)
		}},
		{"zeros", func(data []byte) []byte { return make([]byte, len(data)) }},
		{"a byte in each 4 kB", flipped(4096)},
		{"a byte in each 500", flipped(500)},
		{"another file", func([]byte) []byte { return bytes.Repeat([]byte("this is no such file\n"), 400) }},
	}
}

// clientFiles damages what a client keeps, between two runs.
func (w *faultWorld) clientFiles(t *testing.T) {
	p := w.newFaulty(t, "files-client")
	runs := func() {
		t.Helper()
		p.starts(t, nil, "client", "--genesis", w.genesis, "--socks", "127.0.0.1:0")
		p.says(t, "Bootstrapped 100% (done)")
		p.stops(t)
	}
	runs()
	p.starts(t, nil, "client", "--genesis", w.genesis, "--socks", "127.0.0.1:0")
	waitFor(t, "the client keeps a list", 60*time.Second, func() bool {
		_, err := os.Stat(filepath.Join(p.state, "client", "directory"))
		return err == nil
	})
	p.stops(t)
	for _, d := range damages() {
		for _, name := range []string{"state", "directory"} {
			path := filepath.Join(p.state, "client", name)
			kept, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			write(t, path, string(d.do(kept)))
			if name == "directory" { // it can be fetched again
				runs()
				write(t, path, string(kept))
				continue
			}
			_, said, code := p.command(t, "client", "--genesis", w.genesis, "--socks", "127.0.0.1:0", "--wait", "10s")
			if code != 2 || !strings.Contains(said, "Error: ") || !strings.Contains(said, path) || !strings.Contains(said, "Fix: Put a copy of it back, if there is one. ") {
				t.Errorf("%s, %s: exit code %d\n%s", name, d.name, code, said)
			}
			write(t, path, string(kept))
		}
	}
	runs()
}

// otherNetwork brings together who is in different networks.
func (w *faultWorld) otherNetwork(t *testing.T) {
	other := found(t, w.binary, t.TempDir(), 3)
	for _, p := range other.founders {
		p.startsRelay(t)
	}
	// A founder's folder, with the other document.
	founder := other.founders[0]
	founder.until(t, "it runs", 20*time.Second, func(r *control.Relay) bool { return r.Listed })
	founder.stops(t)
	_, said, code := founder.command(t, "relay", "run", "--genesis", w.genesis, "--listen", founder.addr)
	if code != 2 || !strings.Contains(said, "holds a relay of another network") || !strings.Contains(said, "Fix: ") {
		t.Errorf("a relay: exit code %d\n%s", code, said)
	}
	founder.startsRelay(t)
	founder.until(t, "nothing was changed", 20*time.Second, func(r *control.Relay) bool { return r.Listed })
	// A client's folder.
	p := w.newFaulty(t, "other-client")
	p.starts(t, nil, "client", "--genesis", w.genesis, "--socks", "127.0.0.1:0")
	p.says(t, "Bootstrapped 100% (done)")
	p.stops(t)
	if _, said, code = p.command(t, "client", "--genesis", other.genesis, "--socks", "127.0.0.1:0", "--wait", "10s"); code != 2 || !strings.Contains(said, "another network") || !strings.Contains(said, "Fix: ") {
		t.Errorf("a client: exit code %d\n%s", code, said)
	}
	p.starts(t, nil, "client", "--genesis", w.genesis, "--socks", "127.0.0.1:0")
	p.says(t, "Bootstrapped 100% (done)")
	p.stops(t)
	// The document says that founders of this network are where relays of the other one
	// listen: what befalls who is given a wrong address.
	peer := w.newFaulty(t, "other-peer")
	rid := w.founders[3].relay().RID
	peer.starts(t, nil, "client", "--genesis", w.genesis, "--socks", "127.0.0.1:0", "--peer", rid+"@"+founder.addr)
	peer.says(t, "Bootstrapped 100% (done)")
	peer.stops(t)
	// A document that is damaged.
	data, err := os.ReadFile(w.genesis)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range damages() {
		broken := filepath.Join(w.dir, "broken.chive")
		write(t, broken, string(d.do(data)))
		for _, args := range [][]string{{"client", "--socks", "127.0.0.1:0", "--wait", "5s"}, {"relay", "run", "--listen", p.addr}} {
			_, said, code := p.command(t, append(args, "--genesis", broken)...)
			if code != 2 || !strings.Contains(said, "Error: ") || !strings.Contains(said, broken) || !strings.Contains(said, "Fix: ") {
				t.Errorf("%v, document %s: exit code %d\n%s", args[0], d.name, code, said)
			}
		}
	}
	for _, o := range other.founders {
		o.stops(t)
	}
}

// relayFiles damages what a relay keeps, in copies of its folder.
func (w *faultWorld) relayFiles(t *testing.T, p *faulty) {
	state := p.state
	for _, d := range damages() {
		p.state = filepath.Join(w.dir, "damaged")
		if err := os.CopyFS(p.state, os.DirFS(state)); err != nil {
			t.Fatal(err)
		}
		output(t, "chmod", "-R", "go=", p.state)
		path := filepath.Join(p.state, "relay", "directory.db")
		kept, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		write(t, path, string(d.do(kept)))
		p.startsRelay(t)
		abstains := func(r *control.Relay) bool { return r.Seat && r.Abstains != "" }
		p.until(t, "it runs with a damaged directory.db, "+d.name+", and takes no part", 15*time.Second, abstains)
		p.says(t, "Check the disk.")
		moved, err := filepath.Glob(path + ".damaged-*")
		said := p.run.err.text()
		if err != nil || len(moved) != 1 || !strings.Contains(said, "was damaged and was moved to "+path) {
			t.Errorf("%s: moved %v, says\n%s", d.name, moved, said)
		}
		p.stops(t)
		p.startsRelay(t) // a restart forgets nothing of it
		p.until(t, "it takes no part after a restart either", 15*time.Second, abstains)
		p.stops(t)
		for _, key := range []string{"identity.key", "vrf.key"} {
			path := filepath.Join(p.state, "relay", "keys", key)
			kept, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			write(t, path, string(d.do(kept)))
			_, said, code := p.command(t, "relay", "run", "--genesis", w.genesis, "--listen", p.addr)
			if code != 2 || !strings.Contains(said, path) || !strings.Contains(said, "Fix: ") {
				t.Errorf("%s, %s: exit code %d\n%s", key, d.name, code, said)
			}
			write(t, path, string(kept))
		}
		if err := os.RemoveAll(p.state); err != nil {
			t.Fatal(err)
		}
	}
	p.state = state
}
