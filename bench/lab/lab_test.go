// SPDX-License-Identifier: BSD-3-Clause

package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	switch os.Getenv("LAB_TEST") {
	case "talk":
		fmt.Println("ready")
		select {} // until it is stopped
	case "fail":
		fmt.Println("no luck")
		os.Exit(3)
	}
	os.Exit(m.Run())
}

// self starts this test's binary in a role.
func self(t *testing.T, role string, line func(time.Time, string)) *Process {
	t.Helper()
	t.Setenv("LAB_TEST", role)
	p, err := Start("self", line, os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestProcessIsHeardAndStopped(t *testing.T) {
	lines := make(chan string, 10)
	p := self(t, "talk", func(_ time.Time, text string) { lines <- text })
	if got := <-lines; got != "ready" {
		t.Errorf("it said %q", got)
	}
	select {
	case <-p.Done():
		t.Fatal("it ended by itself")
	default:
	}
	if p.PID() <= 0 || p.Name() != "self" {
		t.Errorf("process %d %q", p.PID(), p.Name())
	}
	StopAll([]*Process{p})
	<-p.Done()
	p.Stop() // again is allowed
}

func TestFailureSaysWhatWasPrinted(t *testing.T) {
	p := self(t, "fail", nil)
	<-p.Done()
	if err := p.Failure(); !errors.Is(err, ErrEnded) || !strings.Contains(err.Error(), "no luck") {
		t.Errorf("got %v", err)
	}
	if _, err := Run(t.Context(), "", os.Args[0]); err == nil || !strings.Contains(err.Error(), "no luck") {
		t.Errorf("got %v", err)
	}
	if _, err := Start("none", nil, "no-such-program-anywhere"); !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

func TestLinesAreWhole(t *testing.T) {
	var got []string
	o := &output{line: func(_ time.Time, text string) { got = append(got, text) }}
	for _, part := range []string{"a", "b\nc\n", "", "d", "\n", "e"} {
		if n, err := o.Write([]byte(part)); n != len(part) || err != nil {
			t.Fatalf("wrote %d, %v", n, err)
		}
	}
	if fmt.Sprint(got) != "[ab c d]" {
		t.Errorf("lines are %q", got)
	}
	long := strings.Repeat("x", maxLineSize)
	for range 3 {
		_, _ = o.Write([]byte(long))
	}
	if len(o.part) > maxLineSize || len(o.tail) > maxTailSize {
		t.Errorf("%d and %d bytes are kept", len(o.part), len(o.tail))
	}
}

func TestPortsAreFreeAndDiffer(t *testing.T) {
	var p Ports
	seen := make(map[uint16]bool)
	for range 20 {
		port, err := p.Next()
		if err != nil || seen[port] || port < firstPort || port >= lastPort {
			t.Fatalf("port %d, %v", port, err)
		}
		seen[port] = true
	}
}

func TestPollEnds(t *testing.T) {
	n := 0
	if err := Poll(t.Context(), func() (bool, error) { n++; return n == 3, nil }); err != nil || n != 3 {
		t.Errorf("%v after %d", err, n)
	}
	broken := errors.New("broken")
	if err := Poll(t.Context(), func() (bool, error) { return false, broken }); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Poll(ctx, func() (bool, error) { return false, nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestEnvironmentOfChiveIsLeftOut(t *testing.T) {
	got := cleanEnvironment([]string{"A=1", "CHIVE_CLIENT_SOCKS=x", "B=2"})
	if fmt.Sprint(got) != "[A=1 B=2]" {
		t.Errorf("got %v", got)
	}
}
