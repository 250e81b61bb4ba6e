// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"chive/internal/node"
)

// errorObject is a failure for programs. Spec: product CLI-5.
type errorObject struct {
	Schema string `json:"schema"`
	Code   string `json:"code"`
	Text   string `json:"text"`
	Fix    string `json:"fix"`
}

// fail prints an error and returns the exit code. Spec: product CLI-5, CLI-6.
func (a *app) fail(err error) int {
	var f *node.Fault
	if e, ok := errors.AsType[*exited](err); ok {
		return e.code
	}
	if !errors.As(err, &f) {
		f = &node.Fault{Kind: node.Failed, Code: "failed", Text: err.Error(), Fix: "Report this as a fault of chive."}
		if !a.running { // what the flag library says of a command line
			f.Kind, f.Code, f.Fix = node.Usage, "usage", "See: chive --help"
		}
	}
	text, fix := a.addressed(f.Text), a.addressed(f.Fix)
	if a.global.json {
		printObject(a.err, errorObject{"chive.error/1", f.Code, text, fix})
	} else if strings.Contains(text, "\n") {
		fmt.Fprintf(a.err, "Error: %s\nFix: %s\n", text, fix)
	} else {
		fmt.Fprintf(a.err, "Error: %s. Fix: %s\n", strings.TrimSuffix(text, "."), fix)
	}
	return int(f.Kind)
}

// answer prints a command's result: an object for programs, or what text writes.
func (a *app) answer(object any, text func(w io.Writer)) {
	if a.global.json {
		printObject(a.out, object)
		return
	}
	text(a.out)
}

// note tells a person something beside the data.
func (a *app) note(format string, args ...any) {
	if !a.global.quiet && !a.global.json {
		fmt.Fprintln(a.err, a.addressed(fmt.Sprintf(format, args...)))
	}
}

// noteObject is a note for programs; it goes to standard error.
type noteObject struct {
	Schema string `json:"schema"`
	Text   string `json:"text"`
}

// tell passes on what a daemon says while it runs. It is not in its log, since it may
// name files.
func (a *app) tell(text string) {
	switch {
	case a.global.quiet:
	case a.global.json:
		printObject(a.err, noteObject{"chive.note/1", a.addressed(text)})
	default:
		a.note("Note: %s", text)
	}
}

// printObject prints an object on one line. Addresses are shown as they are.
func printObject(w io.Writer, object any) {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	_ = e.Encode(object) // a closed standard output is nothing to report there
}

// took is a duration as ready lines show it.
func took(d time.Duration) string { return fmt.Sprintf("%.1fs", d.Seconds()) }

// seconds is a duration as objects show it, in milliseconds' resolution.
func seconds(d time.Duration) float64 { return float64(d.Milliseconds()) / 1000 }
