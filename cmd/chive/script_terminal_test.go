// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"io"
	"os/exec"
	"regexp"

	"github.com/rogpeppe/go-internal/testscript"
)

// scriptTerminal starts a daemon whose standard error is a terminal.
func scriptTerminal(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) >= 2, "terminal NAME COMMAND ARG...")
	ours, program, err := openTerminal()
	ts.Check(err)
	read := make(chan struct{})
	startDaemon(ts, args, func(p *daemon) {
		p.cmd.Stderr = program
		go func() { // until nobody has the program's side any more
			defer close(read)
			_, _ = io.Copy(&p.err, ours)
		}()
	})
	ts.Check(program.Close()) // the daemon has its own
	ts.Defer(func() {
		_ = ours.Close()
		<-read
	})
}

// scriptTyped types what the first group of REGEXP finds in what a daemon wrote to standard error.
func scriptTyped(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) == 2, "typed NAME REGEXP")
	what, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	found := what.FindStringSubmatch(named(ts, args[0]).err.text())
	if len(found) != 2 {
		ts.Fatalf("%s did not say %q\nstderr:\n%s", args[0], args[1], named(ts, args[0]).err.text())
	}
	shell, err := exec.LookPath("sh")
	ts.Check(err)
	ts.Check(ts.Exec(shell, "-c", found[1]))
}
