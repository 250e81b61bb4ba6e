// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"fmt"
	"strings"
)

// Kind says how a command ends because of a fault.
type Kind byte

// The kinds, in the order of their exit codes 1 to 4. Spec: product CLI-6.
const (
	Failed      Kind = iota + 1 // it broke while running
	Usage                       // the command line or the configuration is wrong
	Unreachable                 // no network, not ready in time
	Denied                      // the check ran and says no
)

// Fault is a mistake or a failure as its user is told about it. Unlike other
// errors it may name the user's own paths and addresses, so it goes to the
// user's terminal and never into a log. Spec: product CLI-5.
type Fault struct {
	Kind Kind
	Code string // one word for programs; never changes
	Text string // what happened, without a full stop
	Fix  string // what to do about it, a sentence or a command

	later bool // it may pass without anybody's help
}

// MayPass reports whether it may pass without anybody's help, and is looked at again.
func (f *Fault) MayPass() bool { return f.later }

// Error returns the text.
func (f *Fault) Error() string { return f.Text }

// fault makes a Fault; its text is formatted, its fix is not.
func fault(kind Kind, code, fix, format string, args ...any) *Fault {
	return &Fault{Kind: kind, Code: code, Text: fmt.Sprintf(format, args...), Fix: fix}
}

// oneLine is the text of an error of ours within a sentence: without the name of
// its package, and on one line where several are joined.
func oneLine(err error) string {
	lines := strings.Split(err.Error(), "\n")
	for i, line := range lines {
		if _, text, ok := strings.Cut(line, ": "); ok {
			lines[i] = text
		}
	}
	return strings.Join(lines, "; ")
}
