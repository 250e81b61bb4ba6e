// SPDX-License-Identifier: BSD-3-Clause

package namespace

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Where the command finds what the caller serves.
const (
	ProxyAddress = "127.0.0.1:9250"
	DNSAddress   = "127.0.0.1:53"
)

// PacketCount is how many further UDP sockets of 127.0.0.1 there are inside: one for
// each UDP association at a time.
const PacketCount = 64

// Config says what to start.
type Config struct {
	// Args lead this program, started again, to Enter; what follows them are Enter's.
	Args []string
	// Path is the command's file; Command its name and arguments; Env its environment.
	Path    string
	Command []string
	Env     []string
	// Stdin, Stdout and Stderr are the command's.
	Stdin, Stdout, Stderr *os.File
}

// Inside is a started child and its sockets, which are the caller's to close.
type Inside struct {
	Proxy      net.Listener
	DNS        net.Listener
	DNSPackets net.PacketConn
	Packets    []net.PacketConn

	cmd    *exec.Cmd
	talk   *net.UnixConn
	thread chan func() // runs on the thread that the child hangs on
}

// Start makes the namespaces and returns when the sockets inside are open. The command
// does not run yet. Root without the right to user namespaces gets the others alone.
// Error: *Failure, for step clone and those before exec.
func Start(cfg Config) (*Inside, error) {
	i, err := start(cfg, true)
	if err != nil && os.Geteuid() == 0 {
		var f *Failure
		if errors.As(err, &f) && (f.Step == StepClone || f.Errno == unix.EPERM || f.Errno == unix.EACCES) {
			return start(cfg, false)
		}
	}
	return i, err
}

func start(cfg Config, user bool) (*Inside, error) {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, &Failure{Step: StepClone, Errno: errnoOf(err)}
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "child"), os.NewFile(uintptr(pair[1]), "parent")
	defer theirs.Close()
	conn, err := net.FileConn(ours)
	_ = ours.Close()
	if err != nil {
		return nil, &Failure{Step: StepClone, Errno: errnoOf(err)}
	}
	i := &Inside{talk: conn.(*net.UnixConn), thread: make(chan func())}
	kind := userKind
	if !user {
		kind = plainKind
	}
	args := slices.Concat([]string{os.Args[0]}, cfg.Args, []string{kind, cfg.Path}, cfg.Command)
	i.cmd = &exec.Cmd{
		Path: "/proc/self/exe", Args: args, Env: cfg.Env,
		Stdin: cfg.Stdin, Stdout: cfg.Stdout, Stderr: cfg.Stderr, ExtraFiles: []*os.File{theirs},
		SysProcAttr: attributes(user),
	}
	// The child is told to end when the thread that made it does: that has to be one
	// which lasts as long as the process.
	go func() {
		runtime.LockOSThread()
		for f := range i.thread {
			f()
		}
	}()
	started := make(chan error)
	i.thread <- func() { started <- i.cmd.Start() }
	if err := <-started; err != nil {
		close(i.thread)
		_ = i.talk.Close()
		return nil, &Failure{Step: StepClone, Errno: errnoOf(err)}
	}
	_ = theirs.Close()
	if err := i.takeSockets(); err != nil {
		i.abandon()
		return nil, err
	}
	return i, nil
}

// attributes are those of the child. In a user namespace everybody is who he was.
func attributes(user bool) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGTERM}
	if !user {
		return a
	}
	a.Cloneflags |= syscall.CLONE_NEWUSER
	uid, gid := os.Geteuid(), os.Getegid()
	if uid == 0 { // every user of this machine is there inside too
		a.UidMappings, a.GidMappings = sameIDs("/proc/self/uid_map"), sameIDs("/proc/self/gid_map")
		a.GidMappingsEnableSetgroups = true
		return a
	}
	a.UidMappings = []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}}
	a.GidMappings = []syscall.SysProcIDMap{{ContainerID: gid, HostID: gid, Size: 1}}
	// To raise loopback, to be the name server, and to mount: gone before the command.
	a.AmbientCaps = []uintptr{unix.CAP_NET_ADMIN, unix.CAP_NET_BIND_SERVICE, unix.CAP_SYS_ADMIN}
	return a
}

// sameIDs maps every number that a map of this process has onto itself.
func sameIDs(path string) (out []syscall.SysProcIDMap) {
	text, _ := os.ReadFile(path)
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) != 3 {
			continue
		}
		first, err1 := strconv.Atoi(f[0])
		size, err2 := strconv.Atoi(f[2])
		if err1 == nil && err2 == nil {
			out = append(out, syscall.SysProcIDMap{ContainerID: first, HostID: first, Size: size})
		}
	}
	return out
}

// takeSockets waits until the child hands its sockets out.
func (i *Inside) takeSockets() error {
	const count = 3 + PacketCount
	text, rights := make([]byte, maxMessage), make([]byte, unix.CmsgSpace(4*count))
	n, rn, _, _, err := i.talk.ReadMsgUnix(text, rights)
	if err != nil || n == 0 {
		return &Failure{Step: StepClone, Errno: errnoOf(err)}
	}
	if string(text[:n]) != stepReady {
		return parseMessage(string(text[:n]))
	}
	fail := &Failure{Step: StepSockets}
	messages, err := unix.ParseSocketControlMessage(rights[:rn])
	if err != nil || len(messages) != 1 {
		return fail
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return fail
	}
	var files []*os.File
	for _, fd := range fds {
		unix.CloseOnExec(fd)
		files = append(files, os.NewFile(uintptr(fd), "socket"))
	}
	defer func() {
		for _, f := range files {
			_ = f.Close()
		}
	}()
	if len(files) != count {
		return fail
	}
	if i.Proxy, err = net.FileListener(files[0]); err != nil {
		return fail
	}
	if i.DNS, err = net.FileListener(files[1]); err != nil {
		return fail
	}
	if i.DNSPackets, err = net.FilePacketConn(files[2]); err != nil {
		return fail
	}
	for _, f := range files[3:] {
		p, err := net.FilePacketConn(f)
		if err != nil {
			return fail
		}
		i.Packets = append(i.Packets, p)
	}
	return nil
}

// Release lets the command begin. Error: *Failure; then nothing is left of the child.
func (i *Inside) Release() error {
	text := make([]byte, maxMessage)
	n := 0
	_, err := i.talk.Write([]byte{1})
	if err == nil {
		n, _ = i.talk.Read(text) // nothing: it has become the command, or is gone
	}
	if err != nil || n > 0 {
		i.abandon()
		if n > 0 {
			return parseMessage(string(text[:n]))
		}
		return &Failure{Step: StepExec, Errno: errnoOf(err)}
	}
	_ = i.talk.Close()
	return nil
}

// abandon ends the child before it became the command.
func (i *Inside) abandon() {
	_ = i.cmd.Process.Kill()
	_, _ = i.Wait()
	i.CloseSockets()
}

// CloseSockets closes what is open of the sockets.
func (i *Inside) CloseSockets() {
	_ = i.talk.Close()
	if i.Proxy != nil {
		_ = i.Proxy.Close()
	}
	if i.DNS != nil {
		_ = i.DNS.Close()
	}
	if i.DNSPackets != nil {
		_ = i.DNSPackets.Close()
	}
	for _, p := range i.Packets {
		_ = p.Close()
	}
}

// Signal sends the command a signal. Its error, that the command has ended, may be
// ignored.
func (i *Inside) Signal(s os.Signal) error { return i.cmd.Process.Signal(s) }

// Wait waits until the command ends and returns its exit code as a shell does: 128 and
// the number of the signal that ended it.
func (i *Inside) Wait() (int, error) {
	defer close(i.thread)
	err := i.cmd.Wait()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0, nil
	case !errors.As(err, &exit):
		return 0, err
	}
	if s, ok := exit.Sys().(syscall.WaitStatus); ok && s.Signaled() {
		return 128 + int(s.Signal()), nil
	}
	return exit.ExitCode(), nil
}
