// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"chive/internal/control"
	"chive/testnet"
)

// clockKey names the file from which a binary of wrongClock takes by how many seconds its
// clock is ahead: 8 bytes, little-endian, read again at every look at the clock.
const clockKey = "CHIVE_TEST_CLOCK"

// wrongClockSource is what package time gets beside its own files.
const wrongClockSource = `package time

import (
	"sync/atomic"
	"syscall"
	"unsafe"
)

var wrongBy = mapWrongBy()

func mapWrongBy() *int64 {
	path, ok := syscall.Getenv("` + clockKey + `")
	if !ok {
		return new(int64)
	}
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		panic("no clock: " + err.Error())
	}
	defer syscall.Close(fd)
	b, err := syscall.Mmap(fd, 0, 8, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		panic("no clock: " + err.Error())
	}
	return (*int64)(unsafe.Pointer(&b[0]))
}

func wrongSeconds() int64 { return atomic.LoadInt64(wrongBy) }
`

// The place in time.Now at which the clock is set wrong.
const (
	nowReads = "\tsec, nsec, mono := runtimeNow()\n\tif mono == 0 {\n"
	nowWrong = "\tsec, nsec, mono := runtimeNow()\n\tsec += wrongSeconds()\n\tif mono == 0 {\n"
)

// buildWrongClock builds chive with a clock that is as wrong as a file says, also while it
// runs: no faketime reaches a Go program. ok is false where this Go's package time is not
// the one that is known here.
func buildWrongClock(t *testing.T, folder string) (binary string, ok bool) {
	root := strings.TrimSpace(string(output(t, "go", "env", "GOROOT")))
	source := filepath.Join(root, "src", "time", "time.go")
	text, err := os.ReadFile(source)
	if err != nil || strings.Count(string(text), nowReads) != 1 {
		return "", false
	}
	replace := map[string]string{}
	for name, content := range map[string]string{"time.go": strings.Replace(string(text), nowReads, nowWrong, 1), "wrong.go": wrongClockSource} {
		own := filepath.Join(folder, name)
		write(t, own, content)
		replace[filepath.Join(root, "src", "time", name)] = own
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(folder, "overlay.json")
	write(t, file, string(overlay))
	binary = filepath.Join(folder, "chive")
	output(t, "go", "build", "-trimpath", "-overlay", file, "-o", binary, ".")
	return binary, true
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func output(t *testing.T, name string, args ...string) []byte {
	t.Helper()
	var said strings.Builder
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, said.String())
	}
	return out
}

// faultWorld is a network of founders in processes of their own.
type faultWorld struct {
	t                    *testing.T // that of all: processes outlive those of one trouble
	binary, dir, genesis string
	founders             []*faulty
}

// faulty is a relay or a client, its folder and its clock, whether it runs or not.
type faulty struct {
	w                         *faultWorld
	name, state, addr, socket string
	shift                     *os.File
	run                       *daemon // the last one; nil: none yet
}

// faultPorts are the addresses that were given.
var faultPorts sync.Map

// newFaulty makes the folder of one more.
func (w *faultWorld) newFaulty(t *testing.T, name string) *faulty {
	t.Helper()
	addr, err := testnet.FreePort() // none that the system gives to a connection meanwhile
	if err != nil {
		t.Fatal(err)
	}
	if _, taken := faultPorts.LoadOrStore(addr, true); taken {
		return w.newFaulty(t, name)
	}
	p := &faulty{w: w, name: name, state: filepath.Join(w.dir, name), addr: addr, socket: filepath.Join(w.dir, name+".sock")}
	if p.shift, err = os.Create(filepath.Join(w.dir, name+".clock")); err != nil {
		t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = p.shift.Close() })
	p.sets(t, 0)
	return p
}

// sets puts the clock ahead by so much, whether a process runs or not.
func (p *faulty) sets(t *testing.T, ahead time.Duration) {
	t.Helper()
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], uint64(int64(ahead/time.Second)))
	if _, err := p.shift.WriteAt(b[:], 0); err != nil {
		t.Fatal(err)
	}
}

func (p *faulty) env() []string {
	return append(os.Environ(), clockKey+"="+p.shift.Name(), "HOME="+p.w.dir, "XDG_CONFIG_HOME="+filepath.Join(p.w.dir, "config"), "CHIVE_WEB_LISTEN=off")
}

// command runs a command of chive to its end, or kills it: then the code is -1.
func (p *faulty) command(t *testing.T, args ...string) (out, errors string, code int) {
	t.Helper()
	var stdout, stderr strings.Builder
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.w.binary, append(args, "--state", p.state)...)
	cmd.Env, cmd.Stdout, cmd.Stderr = p.env(), &stdout, &stderr
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()
}

// must is command, for what has to go well.
func (p *faulty) must(t *testing.T, args ...string) string {
	t.Helper()
	out, said, code := p.command(t, args...)
	if code != 0 {
		t.Fatalf("%s: chive %v: exit code %d\n%s", p.name, args, code, said)
	}
	return out
}

// starts runs a daemon of chive with its state and its socket, by another program if one
// is named.
func (p *faulty) starts(t *testing.T, cmd *exec.Cmd, args ...string) {
	t.Helper()
	if cmd == nil {
		cmd = exec.Command(p.w.binary)
	}
	cmd.Args = append(cmd.Args, append(args, "--state", p.state, "--control", "unix:"+p.socket)...)
	cmd.Env = append(p.env(), cmd.Env...)
	d := &daemon{cmd: cmd, ended: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &d.out, &d.err
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		d.fault = cmd.Wait()
		close(d.ended)
	}()
	p.run = d
	p.w.t.Cleanup(func() {
		_ = d.cmd.Process.Kill()
		<-d.ended
	})
}

func (p *faulty) startsRelay(t *testing.T) {
	t.Helper()
	p.starts(t, nil, "relay", "run", "--genesis", p.w.genesis, "--listen", p.addr)
}

// stops ends the process as its operator does.
func (p *faulty) stops(t *testing.T) {
	t.Helper()
	_ = p.run.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.run.ended:
	case <-time.After(stopTime):
		t.Fatalf("%s does not stop:\n%s", p.name, p.run.err.text())
	}
}

// relay asks the daemon how its relay stands; nil: it does not answer now.
func (p *faulty) relay() *control.Relay {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	s, _, err := control.Fetch(ctx, p.socket)
	if err != nil || len(s.Relays) != 1 {
		return nil
	}
	return &s.Relays[0]
}

// waitFor waits for something that comes by itself.
func waitFor(t *testing.T, what string, patience time.Duration, is func() bool) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !is(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// until waits for something that a status shows.
func (p *faulty) until(t *testing.T, what string, patience time.Duration, is func(r *control.Relay) bool) *control.Relay {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	end := time.Now().Add(patience)
	for {
		r := p.relay()
		if r != nil && is(r) {
			return r
		}
		select {
		case <-p.run.ended:
			t.Fatalf("%s ended (%v) before: %s\n%s", p.name, p.run.fault, what, p.run.err.text())
		case <-tick.C:
		}
		if time.Now().After(end) {
			seen, err := json.MarshalIndent(r, "", " ")
			t.Fatalf("%s: not within %v: %s\n%s\n%s %v", p.name, patience, what, p.run.err.text(), seen, err)
		}
	}
}

// takesPart reports that nothing keeps the relay from its part and that it follows.
func takesPart(r *control.Relay) bool {
	d := r.Directory
	return r.Listed && r.Running && r.Seat && r.Abstains == "" && r.Clock == "" && r.Store == "" && d.Epoch > 0 && d.Epoch+1 >= d.CurrentEpoch
}

// says waits for a line on standard error.
func (p *faulty) says(t *testing.T, text string) {
	t.Helper()
	end := time.NewTimer(awaitTime)
	defer end.Stop()
	for {
		said, more := p.run.err.read()
		if strings.Contains(said, text) {
			return
		}
		select {
		case <-more:
		case <-p.run.ended:
			if !strings.Contains(p.run.err.text(), text) {
				t.Fatalf("%s ended (%v) without %q:\n%s", p.name, p.run.fault, text, p.run.err.text())
			}
		case <-end.C:
			t.Fatalf("%s does not say %q:\n%s", p.name, text, said)
		}
	}
}

// found makes a network of so many founders, who do not run yet.
func found(t *testing.T, binary string, dir string, founders int) *faultWorld {
	t.Helper()
	w := &faultWorld{t: t, binary: binary, dir: dir, genesis: filepath.Join(dir, "genesis.chive")}
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	args := []string{"network", "new", "faults", "--testnet", "--out", w.genesis, "--founder"}
	for i := range founders {
		p := w.newFaulty(t, fmt.Sprint("f", i))
		file := filepath.Join(dir, p.name+".founder")
		p.must(t, "keys", "founder", "--address", p.addr, "--rate", "10MiB/s", "--nickname", p.name, "--exit", "web", "--contact", "ops@example.net", "--out", file)
		w.founders, args = append(w.founders, p), append(args, file)
	}
	w.founders[0].must(t, args...)
	for _, p := range w.founders {
		p.must(t, "network", "sign", w.genesis)
	}
	return w
}
