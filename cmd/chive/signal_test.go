// SPDX-License-Identifier: BSD-3-Clause

//go:build unix

package main

import (
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// TestASecondInterruptSaysThatItEndsAtOnce, before it does (CFG-4).
func TestASecondInterruptSaysThatItEndsAtOnce(t *testing.T) {
	var text strings.Builder
	a := &app{err: &text}
	said, ended := make(chan string, 4), make(chan int, 1)
	ctx, stop := untilSignalThen(t.Context(), func() { said <- "draining" }, func() {
		a.atOnce()
		said <- "at once"
	}, func(code int) { ended <- code })
	defer stop()
	interrupt := func() {
		t.Helper()
		if err := syscall.Kill(os.Getpid(), syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
	}
	interrupt()
	<-ctx.Done()
	if len(ended) > 0 {
		t.Error("the first one ends the process")
	}
	interrupt()
	if code := <-ended; code != 0 {
		t.Errorf("it ends with %d", code)
	}
	if all := []string{<-said, <-said}; !slices.Equal(all, []string{"draining", "at once"}) || !strings.HasPrefix(text.String(), "Stopping at once") {
		t.Errorf("%q, %q", all, text.String())
	}
}
