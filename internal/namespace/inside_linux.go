// SPDX-License-Identifier: BSD-3-Clause

package namespace

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// talkFile is the child's end of the conversation with its parent.
const talkFile = 3

// dropped are capabilities that would lead root out of a network namespace that is not
// his user namespace's: to enter another, and to trace processes outside.
var dropped = []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_SYS_PTRACE, unix.CAP_SYS_MODULE}

// Enter is the child's part. args are those that Start appended to Config.Args. It
// returns an exit code if the command could not be started; the parent has been told
// why.
func Enter(args []string) int {
	runtime.LockOSThread() // what a thread may do passes on to what it becomes
	file := os.NewFile(talkFile, "parent")
	talk, err := net.FileConn(file)
	_ = file.Close()
	parent, ok := talk.(*net.UnixConn)
	if err != nil || !ok || len(args) < 3 {
		fmt.Fprintln(os.Stderr, "Error: chive run starts this command itself. Fix: chive run -- COMMAND")
		return 2
	}
	if err := enter(parent); err != nil {
		send(parent, messageOf(err))
		return failedCode
	}
	if _, err := parent.Read(make([]byte, 1)); err != nil {
		return failedCode
	}
	if err := forgetPowers(args[0]); err != nil {
		send(parent, messageOf(err))
		return failedCode
	}
	// The conversation is closed by becoming the command.
	err = syscall.Exec(args[1], args[2:], os.Environ())
	send(parent, messageOf(&Failure{Step: StepExec, Errno: errnoOf(err)}))
	return failedCode
}

// failedCode is how the child ends when it does not become the command.
const failedCode = 125

// enter sets the namespace up and hands its sockets out.
func enter(parent *net.UnixConn) error {
	if err := raiseLoopback(); err != nil {
		return &Failure{Step: StepLoopback, Errno: errnoOf(err)}
	}
	if err := mountFiles(); err != nil {
		return err
	}
	files, err := openSockets()
	if err != nil {
		return &Failure{Step: StepSockets, Errno: errnoOf(err)}
	}
	fds := make([]int, len(files))
	for i, f := range files {
		fds[i] = int(f.Fd())
	}
	_, _, err = parent.WriteMsgUnix([]byte(stepReady), unix.UnixRights(fds...), nil)
	runtime.KeepAlive(files)
	for _, f := range files {
		_ = f.Close()
	}
	if err != nil {
		return &Failure{Step: StepSockets, Errno: errnoOf(err)}
	}
	return nil
}

// raiseLoopback brings the namespace's loopback interface up.
func raiseLoopback() error {
	any, err := net.ListenPacket("udp4", "0.0.0.0:0") // a socket to ask through; nothing is sent
	if err != nil {
		return err
	}
	defer any.Close()
	raw, err := any.(*net.UDPConn).SyscallConn()
	if err != nil {
		return err
	}
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = unix.IoctlIfreq(int(fd), unix.SIOCSIFFLAGS, request) }); err != nil {
		return err
	}
	return failed
}

// openSockets opens what the parent serves, in the order in which it takes them.
func openSockets() (files []*os.File, err error) {
	type filer interface {
		File() (*os.File, error)
		Close() error
	}
	add := func(s any, err error) error {
		if err != nil {
			return err
		}
		socket := s.(filer)
		f, err := socket.File()
		_ = socket.Close()
		if err == nil {
			files = append(files, f)
		}
		return err
	}
	proxy, err := net.Listen("tcp4", ProxyAddress)
	if err := add(proxy, err); err != nil {
		return nil, err
	}
	names, err := net.Listen("tcp4", DNSAddress)
	if err := add(names, err); err != nil {
		return nil, err
	}
	for _, address := range append([]string{DNSAddress}, packetAddresses()...) {
		p, err := net.ListenPacket("udp4", address)
		if err := add(p, err); err != nil {
			return nil, err
		}
	}
	return files, nil
}

func packetAddresses() []string {
	out := make([]string, PacketCount)
	for i := range out {
		out[i] = "127.0.0.1:0"
	}
	return out
}

// forgetPowers takes from this thread what the command is not to have: the
// capabilities of a user who is not root, and for root without a user namespace the way
// out of the network namespace.
func forgetPowers(kind string) error {
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil && !errors.Is(err, unix.EINVAL) {
		return &Failure{Step: StepPowers, Errno: errnoOf(err)}
	}
	if err := inheritNothing(); err != nil {
		return &Failure{Step: StepPowers, Errno: errnoOf(err)}
	}
	if kind != plainKind {
		return nil
	}
	for _, c := range dropped {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil {
			return &Failure{Step: StepPowers, Errno: errnoOf(err)}
		}
	}
	return nil
}

// What the child is told about its namespaces.
const (
	userKind  = "user"
	plainKind = "plain" // there is no user namespace
)

// inheritNothing empties the set of capabilities that files may pass on.
func inheritNothing() error {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	if err := unix.Capget(&head, &sets[0]); err != nil {
		return err
	}
	sets[0].Inheritable, sets[1].Inheritable = 0, 0
	return unix.Capset(&head, &sets[0])
}
