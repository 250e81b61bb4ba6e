// SPDX-License-Identifier: BSD-3-Clause

package testnet

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"unsafe"
)

// aloneKey is set in the environment of the process whose network is loopback and
// nothing else.
const aloneKey = "CHIVE_TEST_ALONE"

// exitNotAlone is the exit code of a process that could not set its network up.
const exitNotAlone = 125

// TestMain runs the tests of this package in a network namespace of their own,
// where there is loopback and no way out: what any program tries to send to
// another host is counted there. Where namespaces are forbidden the tests run as
// they are, and what leaves is not counted.
func TestMain(m *testing.M) {
	if url := os.Getenv(fetchKey); url != "" {
		os.Exit(fetchAsProgram(url))
	}
	if spec := os.Getenv(relayKey); spec != "" {
		os.Exit(runAsRelay(spec))
	}
	if cable := os.Getenv(recorderKey); cable != "" {
		os.Exit(runAsRecorder(cable))
	}
	if os.Getenv(aloneKey) == "" {
		if code := runAlone(); code != exitNotAlone {
			os.Exit(code)
		}
	} else if err := raiseLoopback(); err != nil {
		os.Exit(exitNotAlone)
	}
	os.Exit(m.Run())
}

// runAlone runs this program again in a namespace, and returns its exit code.
func runAlone() int {
	// Pdeathsig is about the thread that started the process.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), aloneKey+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if uid, gid := os.Getuid(), os.Getgid(); uid != 0 {
		// Capabilities of the new user namespace: to raise loopback, to listen
		// for DNS, and for a second namespace whose packets are recorded; nothing
		// outside of it.
		const bindService, netAdmin, netRaw, sysAdmin = 10, 12, 13, 21
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: gid, HostID: gid, Size: 1}}
		cmd.SysProcAttr.AmbientCaps = []uintptr{bindService, netAdmin, netRaw, sysAdmin}
	}
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit) && exit.ExitCode() >= 0:
		return exit.ExitCode()
	case errors.As(err, &exit):
		fmt.Fprintln(os.Stderr, "the test process was ended:", exit)
		return 1
	}
	return exitNotAlone
}

// raiseLoopback brings the namespace's loopback interface up.
func raiseLoopback() error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	request := struct {
		name  [16]byte
		flags uint16
		_     [22]byte
	}{flags: syscall.IFF_UP | syscall.IFF_RUNNING}
	copy(request.name[:], "lo")
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), syscall.SIOCSIFFLAGS, uintptr(unsafe.Pointer(&request))); errno != 0 {
		return errno
	}
	return nil
}

// lookout counts what tries to leave this host.
type lookout struct {
	questions atomic.Int64 // to name servers on loopback
}

// newLookout begins to count. It is nil where the test process is not alone.
func newLookout(t *testing.T) *lookout {
	t.Helper()
	if os.Getenv(aloneKey) == "" {
		return nil
	}
	l := &lookout{}
	for _, server := range localNameServers() {
		c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(server))
		if err != nil {
			t.Fatalf("listening where the system's name server would: %v", err)
		}
		t.Cleanup(func() { c.Close() })
		go func() {
			buf := make([]byte, 512)
			for {
				if _, _, err := c.ReadFromUDPAddrPort(buf); err != nil {
					return
				}
				l.questions.Add(1)
			}
		}()
	}
	return l
}

// localNameServers returns the system's name servers that are on loopback: a
// question to one of them has a route even in the namespace.
func localNameServers() (out []netip.AddrPort) {
	conf, _ := os.ReadFile("/etc/resolv.conf")
	for line := range strings.Lines(string(conf)) {
		f := strings.Fields(line)
		if len(f) < 2 || f[0] != "nameserver" {
			continue
		}
		if a, err := netip.ParseAddr(f[1]); err == nil && a.IsLoopback() {
			out = append(out, netip.AddrPortFrom(a, 53))
		}
	}
	return out
}

// seen returns how many attempts to leave there were so far: questions to a name
// server on loopback, and what the kernel had no route for. probes are those to
// IPv6 addresses.
func (l *lookout) seen(t *testing.T) (attempts, probes int64) {
	t.Helper()
	attempts, err := counter("/proc/self/net/snmp", "OutNoRoutes")
	if err != nil {
		t.Fatal(err)
	}
	if probes, err = counter("/proc/self/net/snmp6", "Ip6OutNoRoutes"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err) // without the file the kernel has no IPv6
	}
	return attempts + l.questions.Load(), probes
}

var errCounter = errors.New("testnet: the kernel does not report this counter")

// counter reads one number of /proc/net/snmp, which has a line of names above each
// line of values, or of snmp6, which has a name and a value on each line.
func counter(file, name string) (int64, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	var names []string
	for line := range strings.Lines(string(data)) {
		f := strings.Fields(line)
		if len(f) == 2 && f[0] == name {
			return strconv.ParseInt(f[1], 10, 64)
		}
		for i, n := range names {
			if n == name && len(f) == len(names) && f[0] == names[0] {
				return strconv.ParseInt(f[i], 10, 64)
			}
		}
		names = f
	}
	return 0, errCounter
}
