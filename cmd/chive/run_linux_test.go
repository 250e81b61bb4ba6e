// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"chive/internal/namespace"
	"chive/internal/node"
)

// namespacesHere reports that chive run can work here; where every tool has to be
// there, it must.
func namespacesHere() (bool, error) {
	cmd := exec.Command("/bin/true")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET | syscall.CLONE_NEWNS}
	err := cmd.Run()
	if err != nil && os.Getenv("CHIVE_REQUIRE_TOOLS") == "1" {
		return false, errors.New("no namespaces can be made here: chive run is not tested")
	}
	return err == nil, nil
}

func TestOwnProxiesAreReplaced(t *testing.T) {
	got := withProxy([]string{"A=1", "http_proxy=http://elsewhere", "FTP_PROXY=x", "no_proxy=*", "CHIVE_RUN_SOCKS=elsewhere", "CHIVE_RUN_CONTROL=unix:/elsewhere"}, "unix:/c")
	if !slices.Contains(got, "A=1") || !slices.Contains(got, "http_proxy=http://127.0.0.1:9250") || strings.Contains(strings.Join(got, " "), "elsewhere") ||
		slices.Contains(got, "no_proxy=*") || len(got) != 11 ||
		!slices.Contains(got, "CHIVE_RUN_SOCKS=127.0.0.1:9250") || !slices.Contains(got, "CHIVE_RUN_CONTROL=unix:/c") {
		t.Errorf("got %q", got)
	}
}

func TestFaultsOfNamespaces(t *testing.T) {
	for _, err := range []error{errors.New("other"), &namespace.Failure{Step: namespace.StepMount, Errno: syscall.EPERM}, &namespace.Failure{Step: namespace.StepClone}} {
		if f := namespaceFault(err); f.Kind != runFailed || f.Text == "" || !strings.Contains(f.Fix, "chive env") {
			t.Errorf("%v: %+v", err, f)
		}
	}
	if f := namespaceFault(&namespace.Failure{Step: namespace.StepExec, Errno: syscall.ENOEXEC}); f.Kind != cannotStart {
		t.Errorf("%+v", f)
	}
	var f *node.Fault
	if _, err := findCommand("/nonexistent-chive"); !errors.As(err, &f) || f.Kind != notFound {
		t.Errorf("%+v", f)
	}
}
