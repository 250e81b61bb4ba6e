// SPDX-License-Identifier: BSD-3-Clause

package namespace

import (
	"errors"
	"net"
	"strconv"
	"strings"
	"syscall"
)

// stepReady goes with the sockets.
const stepReady = "ready"

// maxMessage bounds a message of the child, in bytes.
const maxMessage = 256

// messageOf is how the child says what failed: step, number of the error.
func messageOf(err error) string {
	var f *Failure
	if !errors.As(err, &f) {
		f = &Failure{Step: StepSockets}
	}
	return string(f.Step) + " " + strconv.Itoa(int(f.Errno))
}

func parseMessage(text string) *Failure {
	step, number, _ := strings.Cut(text, " ")
	n, _ := strconv.Atoi(number)
	return &Failure{Step: Step(step), Errno: syscall.Errno(n)}
}

// send tells the parent; if it is gone nobody is left to be told.
func send(parent *net.UnixConn, text string) { _, _ = parent.Write([]byte(text)) }

// errnoOf is the system's number of an error; 0: there is none.
func errnoOf(err error) syscall.Errno {
	var n syscall.Errno
	if errors.As(err, &n) {
		return n
	}
	return 0
}
