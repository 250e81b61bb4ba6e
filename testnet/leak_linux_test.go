// SPDX-License-Identifier: BSD-3-Clause

package testnet

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"chive/internal/node"
	"chive/link"
)

// The two ends of the cable between the user's machine and the world, the world's
// addresses, and a name server that a leak would ask.
const (
	worldEnd, userEnd = "chive-w", "chive-u"
	worldAddress      = "10.77.0.1"
	strangerAddress   = "10.99.0.53"
)

// leakPatience bounds one program of the leak test.
const leakPatience = 30 * time.Second

// TestNothingLeaves runs a client and programs on a machine of their own, from which one
// cable leads to the world, and records every packet that goes into it. Relays, exits and
// targets are at the other end; the default route leads there too, so that a packet of
// any kind to any address would be seen.
//
// Spec: product CLI-9, CLI-11; security T34.
func TestNothingLeaves(t *testing.T) {
	if testing.Short() {
		t.Skip("drives many programs")
	}
	u := newMachine(t)
	n := u.startWorld(t)
	chive := chiveBinary(t)

	// The recorder sees what leaks are made of.
	curl := need(t, "curl", "curl")
	python := need(t, "python3", "python3")
	dig := need(t, "dig", "bind9-dnsutils")
	getent := need(t, "getent", "libc-bin")
	const sendAnywhere = `import socket, sys
for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
    for family, host in ((socket.AF_INET, "` + strangerAddress + `"), (socket.AF_INET6, "2001:db8::53")):
        try:
            s = socket.socket(family, kind); s.settimeout(0.2); s.connect((host, 53)); s.send(b"leak")
        except OSError: pass`
	for _, leak := range [][]string{
		{dig, "+tries=1", "+time=1", "@" + strangerAddress, "leak.test"},
		{curl, "-sS", "--max-time", "1", "http://" + strangerAddress + "/"},
		{getent, "ahosts", "leak.test"},
		{python, "-c", sendAnywhere},
	} {
		u.run(t, leak...)
		if got := u.leaks(t); len(got) == 0 {
			t.Fatalf("what %s sends past the proxy is not recorded", filepath.Base(leak[0]))
		}
	}

	dir := t.TempDir()
	genesis, err := node.WriteGenesis(dir, n.Genesis)
	if err != nil {
		t.Fatal(err)
	}
	control := "unix:" + filepath.Join(dir, "c")
	client := u.start(t, chive, "client", "--genesis", genesis, "--state", filepath.Join(dir, "state"),
		"--control", control, "--socks", "127.0.0.1:9250")
	client.await(t, "ready client ")
	u.none(t, "a client that starts")
	if u.toRelays == 0 {
		t.Fatal("the client reached its relays without a packet")
	}

	page := "http://" + TargetName + "/"
	const fetch = "import sys, urllib.request as u; sys.stdout.write(u.urlopen(sys.argv[1], timeout=20).read().decode())"
	inside := []string{chive, "run", "--control", control, "--"}
	for _, row := range []struct {
		name string
		args []string
		want string // in its output; empty: it must fail
	}{
		{"curl by SOCKS", []string{curl, "-sS", "--max-time", "20", "-x", "socks5h://127.0.0.1:9250", page}, Page},
		{"curl by HTTP", []string{curl, "-sS", "--max-time", "20", "-x", "http://127.0.0.1:9250", page}, Page},
		{"curl of a name that does not exist", []string{curl, "-sS", "--max-time", "20", "-x", "socks5h://127.0.0.1:9250", "http://missing.invalid/"}, ""},
		{"chive resolve", []string{chive, "resolve", "--control", control, TargetName}, targetAddr.String()},
		{"run curl", append(inside, curl, "-sS", "--max-time", "20", page), Page},
		{"run python", append(inside, python, "-c", fetch, page), Page},
		{"run dig", append(inside, dig, "+short", "+tries=1", "+time=20", TargetName), targetAddr.String()},
		{"run getent", append(inside, getent, "ahosts", TargetName), targetAddr.String()},
		{"run curl around the proxy", append(inside, curl, "-sS", "--max-time", "3", "--noproxy", "*", page), ""},
		{"run curl to an address", append(inside, curl, "-sS", "--max-time", "3", "--noproxy", "*", "http://"+worldAddress+"/"), ""},
		{"run dig of another server", append(inside, dig, "+tries=1", "+time=1", "@"+strangerAddress, "leak.test"), ""},
		{"run sends anywhere", append(inside, python, "-c", sendAnywhere+"\nsys.exit(1)"), ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			out, code := u.run(t, row.args...)
			if row.want != "" && (code != 0 || !strings.Contains(out, row.want)) || row.want == "" && code == 0 {
				t.Errorf("exit %d: %s", code, clip(out))
			}
			u.none(t, row.name)
		})
	}

	// Killed at once, neither the front door nor the client lets anything past.
	t.Run("chive run is killed", func(t *testing.T) {
		stubborn := `import os, sys, signal, socket, urllib.request as u
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("begins", flush=True)
sys.stdin.read()
` + "for i in range(3):\n    for url in ('" + page + "', 'http://" + strangerAddress + "/'):\n        for way in (u.build_opener(), u.build_opener(u.ProxyHandler({}))):\n" +
			"            try: way.open(url, timeout=1); print('fetched', flush=True)\n            except OSError: pass\n" +
			"print('over', flush=True)"
		in, hold, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		run := u.startWith(t, in, append(inside, python, "-c", stubborn)...)
		run.await(t, "begins")
		run.kill(t)
		_ = hold.Close()
		run.await(t, "over")
		if strings.Contains(run.text(), "fetched") {
			t.Error("something was fetched without chive")
		}
		u.none(t, "a program whose chive run was killed")
	})
	t.Run("the client is killed", func(t *testing.T) {
		client.kill(t)
		for _, args := range [][]string{
			{curl, "-sS", "--max-time", "3", "-x", "socks5h://127.0.0.1:9250", page},
			append(inside, curl, "-sS", "--max-time", "3", page),
		} {
			if out, code := u.run(t, args...); code == 0 {
				t.Errorf("it went on without a client: %s", clip(out))
			}
		}
		u.none(t, "programs without a client")
	})
}

// machine is the user's machine: a network namespace with one cable, and what was recorded
// of it.
type machine struct {
	holder  *exec.Cmd // keeps the namespace
	nsenter string
	dir     string
	relays  []netip.AddrPort

	toRelays int // packets so far

	mu      sync.Mutex
	records []packet
	change  chan struct{}
}

// packet is one that was recorded.
type packet struct {
	protocol string // arp, icmp6, tcp, udp, or a number
	to       netip.AddrPort
	loopback bool
}

// newMachine makes the machine and the cable, and begins to record.
func newMachine(t *testing.T) *machine {
	t.Helper()
	if os.Getenv(aloneKey) == "" {
		skipLoudly(t, "no network namespace can be made here: packets are not recorded")
	}
	ip, nsenter := need(t, "ip", "iproute2"), need(t, "nsenter", "util-linux")
	u := &machine{nsenter: nsenter, dir: t.TempDir(), change: make(chan struct{}, 1)}
	u.holder = exec.Command("sleep", "600")
	u.holder.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if err := u.holder.Start(); err != nil {
		skipLoudly(t, "no second network namespace can be made here")
	}
	t.Cleanup(func() {
		_ = u.holder.Process.Kill()
		_ = u.holder.Wait()
	})
	pid := itoa(u.holder.Process.Pid)
	for _, args := range [][]string{
		{"link", "add", worldEnd, "type", "veth", "peer", "name", userEnd, "netns", pid},
		{"address", "add", worldAddress + "/24", "dev", worldEnd},
		{"-6", "address", "add", "fd77::1/64", "dev", worldEnd, "nodad"},
		{"link", "set", worldEnd, "up"},
	} {
		if out, err := exec.Command(ip, args...).CombinedOutput(); err != nil {
			skipLoudly(t, fmt.Sprintf("no cable between two namespaces can be made here: %s", out))
		}
	}
	t.Cleanup(func() { _ = exec.Command(ip, "link", "delete", worldEnd).Run() })
	for _, args := range [][]string{
		{"link", "set", "lo", "up"},
		{"address", "add", "10.77.0.2/24", "dev", userEnd},
		{"-6", "address", "add", "fd77::2/64", "dev", userEnd, "nodad"},
		{"link", "set", userEnd, "up"},
		{"route", "add", "default", "via", worldAddress},
		{"-6", "route", "add", "default", "via", "fd77::1"},
	} {
		if out, code := u.run(t, append([]string{ip}, args...)...); code != 0 {
			t.Fatalf("ip %v: %s", args, out)
		}
	}
	u.record(t)
	return u
}

// startWorld starts relays that only the world's end of the cable has.
func (u *machine) startWorld(t *testing.T) *Network {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	n, err := Start(ctx, Config{Relays: 5, Exits: 2, Fabric: worldFabric{&Loopback{}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	for _, r := range n.Relays {
		u.relays = append(u.relays, r.Founder.Addresses...)
	}
	return n
}

// worldFabric is a Loopback whose relays have the world's address.
type worldFabric struct{ *Loopback }

// Relay implements Fabric.
func (f worldFabric) Relay(int) (link.Transport, netip.AddrPort, error) {
	ln, err := link.TCP{}.Listen(netip.AddrPortFrom(netip.MustParseAddr(worldAddress), 0))
	if err != nil {
		return nil, netip.AddrPort{}, errListen
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	r := &reserved{ln: ln}
	f.relays = append(f.relays, r)
	return r, ln.Addr().(*net.TCPAddr).AddrPort(), nil
}

// command is a program on the user's machine, with nothing of this process's
// environment that would lead it elsewhere.
func (u *machine) command(ctx context.Context, args ...string) *exec.Cmd {
	all := append([]string{"-t", itoa(u.holder.Process.Pid), "-n", "--"}, args...)
	cmd := exec.CommandContext(ctx, u.nsenter, all...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + u.dir, "TMPDIR=" + u.dir, "LC_ALL=C",
		"RES_OPTIONS=timeout:1 attempts:1"} // a name server that a leak would ask does not answer
	cmd.Dir = u.dir
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// run runs a program to its end.
func (u *machine) run(t *testing.T, args ...string) (out string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), leakPatience)
	defer cancel()
	b, err := u.command(ctx, args...).CombinedOutput()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		t.Fatalf("%v hung: %s", args, clip(string(b)))
	case err == nil:
		return string(b), 0
	case asExit(err, &exit):
		return string(b), exit.ExitCode()
	}
	t.Fatalf("%v: %v", args, err)
	return "", 0
}

func asExit(err error, exit **exec.ExitError) bool {
	e, ok := err.(*exec.ExitError)
	*exit = e
	return ok
}

// spawned is a program that was started.
type spawned struct {
	cmd    *exec.Cmd
	mu     sync.Mutex
	out    bytes.Buffer
	change chan struct{}
}

// Write collects what it says.
func (r *spawned) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case r.change <- struct{}{}:
	default:
	}
	return r.out.Write(b)
}

func (r *spawned) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.out.String()
}

func (u *machine) start(t *testing.T, args ...string) *spawned {
	t.Helper()
	return u.startWith(t, nil, args...)
}

// startWith starts a program whose output goes on after it: a child of it may be what
// speaks.
func (u *machine) startWith(t *testing.T, in *os.File, args ...string) *spawned {
	t.Helper()
	r := &spawned{cmd: u.command(context.Background(), args...), change: make(chan struct{}, 1)}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.cmd.Stdout, r.cmd.Stderr = write, write
	if in != nil {
		r.cmd.Stdin = in
	}
	err = r.cmd.Start()
	_ = write.Close()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 4096)
		for {
			n, err := read.Read(b)
			_, _ = r.Write(b[:n])
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		_ = r.cmd.Process.Kill()
		_ = r.cmd.Wait()
		_ = read.Close()
		<-done
	})
	return r
}

// await waits until the program has said something.
func (r *spawned) await(t *testing.T, what string) {
	t.Helper()
	patience := time.After(leakPatience)
	for !strings.Contains(r.text(), what) {
		select {
		case <-r.change:
		case <-patience:
			t.Fatalf("it did not say %q: %s", what, clip(r.text()))
		}
	}
}

// kill ends the program at once; nsenter has become it.
func (r *spawned) kill(t *testing.T) {
	t.Helper()
	if err := r.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = r.cmd.Wait()
}

// recorderKey is set in the environment of the process that records.
const recorderKey = "CHIVE_TEST_RECORDER"

// markPort is that of a datagram by which the recorder's answer is known to be complete.
const markPort = 4242

// record starts the recorder and takes what it says.
func (u *machine) record(t *testing.T) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := u.command(context.Background(), self)
	cmd.Env = append(cmd.Env, recorderKey+"="+userEnd)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "recording" {
		_ = cmd.Wait()
		skipLoudly(t, "packets cannot be recorded here: "+errs.String())
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for lines.Scan() {
			var r packet
			var to string
			if _, err := fmt.Sscan(lines.Text(), &r.protocol, &to, &r.loopback); err != nil {
				continue
			}
			r.to, _ = netip.ParseAddrPort(to)
			u.mu.Lock()
			u.records = append(u.records, r)
			u.mu.Unlock()
			select {
			case u.change <- struct{}{}:
			default:
			}
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-done
		_ = cmd.Wait()
	})
}

// take returns what was recorded since the last time, until now: a datagram to a port of
// its own marks the present.
func (u *machine) take(t *testing.T) []packet {
	t.Helper()
	const mark = "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'', ('127.0.0.1', 4242))"
	u.run(t, need(t, "python3", "python3"), "-c", mark)
	patience := time.After(leakPatience)
	for {
		u.mu.Lock()
		i := slices.IndexFunc(u.records, func(r packet) bool { return r.to.Port() == markPort && r.loopback })
		if i >= 0 {
			taken := slices.Clone(u.records[:i])
			u.records = slices.Delete(u.records, 0, i+1)
			u.mu.Unlock()
			return taken
		}
		u.mu.Unlock()
		select {
		case <-u.change:
		case <-patience:
			t.Fatal("the recorder is silent")
		}
	}
}

// leaks are the packets since the last time that are not for a relay.
func (u *machine) leaks(t *testing.T) (out []packet) {
	t.Helper()
	for _, r := range u.take(t) {
		switch {
		case r.loopback && r.to.Port() != 53: // stays here
		case r.protocol == "arp" && r.to.Addr().String() == worldAddress, r.protocol == "icmp6": // finds the cable's other end
		case r.protocol == "tcp" && slices.Contains(u.relays, r.to):
			u.toRelays++
		default:
			out = append(out, r)
		}
	}
	return out
}

// none requires that nothing leaked since the last time.
func (u *machine) none(t *testing.T, who string) {
	t.Helper()
	for _, r := range u.leaks(t) {
		t.Errorf("%s sent %s to %v (on loopback: %v)", who, r.protocol, r.to, r.loopback)
	}
}

// runAsRecorder prints a line for each packet that this machine sends, until it is
// ended: protocol, destination, whether it stays on loopback.
func runAsRecorder(cable string) int {
	const allProtocols = 0x0003 // ETH_P_ALL
	fd, err := syscall.Socket(syscall.AF_PACKET, syscall.SOCK_DGRAM, int(swapped(allProtocols)))
	if err != nil {
		fmt.Fprintln(os.Stderr, "a packet socket:", err)
		return 1
	}
	outside, err := net.InterfaceByName(cable)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	_ = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_RCVBUF, 8<<20)
	fmt.Println("recording")
	b := make([]byte, 2048)
	for {
		n, from, err := syscall.Recvfrom(fd, b, 0)
		if err != nil {
			if err == syscall.EINTR {
				continue
			}
			return 1
		}
		at, ok := from.(*syscall.SockaddrLinklayer)
		if !ok || at.Pkttype != syscall.PACKET_OUTGOING {
			continue
		}
		protocol, to := parsePacket(swapped(at.Protocol), b[:n])
		fmt.Println(protocol, to, at.Ifindex != outside.Index)
	}
}

func swapped(n uint16) uint16 { return n<<8 | n>>8 }

// parsePacket reads where a packet goes.
func parsePacket(kind uint16, b []byte) (string, netip.AddrPort) {
	var to netip.Addr
	var next byte
	var rest []byte
	switch {
	case kind == syscall.ETH_P_ARP && len(b) >= 28:
		to, _ = netip.AddrFromSlice(b[24:28])
		return "arp", netip.AddrPortFrom(to, 0)
	case kind == syscall.ETH_P_IP && len(b) >= 20 && len(b) >= int(b[0]&15)*4:
		to, _ = netip.AddrFromSlice(b[16:20])
		next, rest = b[9], b[int(b[0]&15)*4:]
	case kind == syscall.ETH_P_IPV6 && len(b) >= 40:
		to, _ = netip.AddrFromSlice(b[24:40])
		next, rest = b[6], b[40:]
		if next == 0 && len(rest) >= 8 { // hop-by-hop options, as multicast reports have
			next, rest = rest[0], rest[min(len(rest), int(rest[1])*8+8):]
		}
	default:
		return fmt.Sprintf("kind-%#x", kind), netip.AddrPort{}
	}
	name := map[byte]string{1: "icmp", 6: "tcp", 17: "udp", 58: "icmp6"}[next]
	if name == "icmp6" && (len(rest) == 0 || rest[0] < 130 || rest[0] > 143) { // no neighbour's business
		name = "icmp6-other"
	}
	if name == "" {
		name = itoa(int(next))
	}
	port := uint16(0)
	if (name == "tcp" || name == "udp") && len(rest) >= 4 {
		port = binary.BigEndian.Uint16(rest[2:])
	}
	return name, netip.AddrPortFrom(to, port)
}
