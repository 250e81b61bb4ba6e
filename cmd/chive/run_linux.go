// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"chive/internal/config"
	"chive/internal/front"
	"chive/internal/namespace"
	"chive/internal/node"
)

// Exit codes of a command that does not run, as shells have them.
const (
	cannotStart node.Kind = 126
	notFound    node.Kind = 127
)

// runInside runs a command in a namespace and ends as it does.
// Spec: product CLI-9.
func (a *app) runInside(c *cobra.Command, o throughFlags, command []string) error {
	code, err := a.runCommandInside(c, o, command)
	var f *node.Fault
	if errors.As(err, &f) && f.Kind < runFailed {
		f.Kind = runFailed // the usual kinds' codes are the command's here
	}
	switch {
	case err != nil:
		return err
	case code != 0:
		return &exited{code}
	}
	return nil
}

func (a *app) runCommandInside(c *cobra.Command, o throughFlags, command []string) (int, error) {
	ctx := c.Context()
	cred, err := o.credentials()
	if err != nil {
		return 0, err
	}
	if cred.User == "" {
		cred.User = "run " + rand.Text()
	}
	p, err := a.findProxy(c, o.socks)
	if err != nil {
		return 0, err
	}
	path, err := findCommand(command[0])
	if err != nil {
		return 0, err
	}
	conn, err := p.dial(ctx)
	if err != nil {
		return 0, p.noProxy()
	}
	_ = conn.Close()

	inside, err := namespace.Start(namespace.Config{
		Args: []string{insideWord}, Path: path, Command: command, Env: withProxy(os.Environ(), a.ownerName(ctx, p)),
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
	})
	if err != nil {
		return 0, namespaceFault(err)
	}
	defer inside.CloseSockets()
	ctx, stop := context.WithCancel(ctx)
	served := make(chan struct{})
	door := front.New(front.Config{
		Network: p.network, Address: p.address, Key: cred.User,
		Proxy: inside.Proxy, DNS: inside.DNS, DNSPackets: inside.DNSPackets, Packets: inside.Packets,
	})
	go func() {
		defer close(served)
		_ = door.Serve(ctx) // when it breaks, the command has no network
	}()
	defer func() {
		stop()
		<-served
	}()
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, passedSignals()...)
	defer signal.Stop(signals)
	if err := inside.Release(); err != nil {
		return 0, namespaceFault(err)
	}
	go func() { // ends with the process
		for s := range signals {
			_ = inside.Signal(s)
		}
	}()
	code, err := inside.Wait()
	if err != nil {
		return 0, &node.Fault{Kind: runFailed, Code: "run_wait", Text: "The command's end could not be learnt", Fix: "Report this as a fault of chive."}
	}
	return code, nil
}

// enterNamespace is chive run's part within the namespace.
func enterNamespace(args []string) int { return namespace.Enter(args) }

// findCommand finds the file of a command as a shell does.
func findCommand(name string) (string, error) {
	path, err := exec.LookPath(name)
	switch {
	case err == nil, errors.Is(err, exec.ErrDot):
		return path, nil
	case errors.Is(err, fs.ErrPermission):
		return "", &node.Fault{Kind: cannotStart, Code: "command_forbidden", Text: name + " cannot be started by this user", Fix: "Make it executable, or run it with what reads it: chive run -- sh " + name}
	}
	return "", &node.Fault{Kind: notFound, Code: "command_not_found", Text: "There is no command " + name, Fix: "Check its name, or give its path."}
}

// ownerName is the control socket of the client that has a proxy, as CHIVE_RUN_CONTROL has
// it; empty: it is not known.
func (a *app) ownerName(ctx context.Context, p proxyPlace) string {
	if socket, known := a.ownerOf(ctx, p); known {
		return socket.Shown()
	}
	return ""
}

// withProxy is an environment with the variables of chive env, in place of its own, and
// those that name this run to chive itself. control is the client's socket, unix:PATH.
func withProxy(env []string, control string) []string {
	vars := proxyVariables(namespace.ProxyAddress)
	var out []string
	for _, e := range env {
		name, _, _ := strings.Cut(e, "=")
		if !strings.HasSuffix(strings.ToUpper(name), "_PROXY") && name != config.RunSocksVariable && name != config.RunControlVariable {
			out = append(out, e)
		}
	}
	for _, v := range vars {
		out = append(out, v.name+"="+v.value)
	}
	out = append(out, config.RunSocksVariable+"="+namespace.ProxyAddress)
	if control != "" {
		out = append(out, config.RunControlVariable+"="+control)
	}
	return out
}

// passedSignals are those that are sent on to the command. What keys send reaches every
// process of the terminal anyway: it is passed on only where no terminal does that.
func passedSignals() []os.Signal {
	out := []os.Signal{syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2}
	keys := []os.Signal{syscall.SIGINT, syscall.SIGQUIT}
	if atTerminal() {
		signal.Ignore(keys...)
		return out
	}
	return append(out, keys...)
}

// atTerminal reports that this process is in the foreground of a terminal.
func atTerminal() bool {
	tty, err := os.Open("/dev/tty")
	if err != nil {
		return false
	}
	defer tty.Close()
	group, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

// namespaceFault says why the command does not run. Spec: product CLI-9.
func namespaceFault(err error) *node.Fault {
	var f *namespace.Failure
	if !errors.As(err, &f) {
		f = &namespace.Failure{}
	}
	why := ""
	if f.Errno != 0 {
		why = " (" + f.Errno.Error() + ")"
	}
	if f.Step == namespace.StepExec {
		return &node.Fault{Kind: cannotStart, Code: "command_failed", Text: "The command cannot be started" + why, Fix: "Check that it is a program for this machine."}
	}
	fault := &node.Fault{
		Kind: runFailed, Code: "namespace", Text: "This command could not be given a network of its own: step " + string(f.Step) + " failed" + why,
		Fix: "Use chive env instead, or run this as root. In a container, allow user namespaces and mounts.",
	}
	switch namespace.FindObstacle() {
	case namespace.NoneLeft:
		fault.Text, fault.Fix = "This system allows no user namespaces: user.max_user_namespaces is 0", "As root: sysctl user.max_user_namespaces=10000. Or use chive env."
	case namespace.RootOnly:
		fault.Text, fault.Fix = "This system allows user namespaces to root only: kernel.unprivileged_userns_clone is 0", "As root: sysctl kernel.unprivileged_userns_clone=1. Or use chive env."
	case namespace.AppArmor:
		fault.Text = "AppArmor keeps unprivileged programs of this system from user namespaces"
		fault.Fix = "Install the AppArmor profile that comes with chive, or as root: sysctl kernel.apparmor_restrict_unprivileged_userns=0. Or use chive env."
	case namespace.NotInTheOS:
		fault.Text, fault.Fix = "This kernel has no user namespaces", "Use chive env instead."
	}
	return fault
}
