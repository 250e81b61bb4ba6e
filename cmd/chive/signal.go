// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"chive/internal/node"
)

// untilSignal returns a context that ends with the first interrupt or request to
// terminate; first is called then. A second one, or one while what the context was for
// ends already, ends the process at once; again is called before. stop gives the signals
// back. Spec: product CFG-4.
func untilSignal(parent context.Context, first, again func()) (ctx context.Context, stop func()) {
	return untilSignalThen(parent, first, again, os.Exit)
}

// untilSignalThen is untilSignal; exit ends the process, but in tests.
func untilSignalThen(parent context.Context, first, again func(), exit func(code int)) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancel(parent)
	c := make(chan os.Signal, 2)
	signal.Notify(c, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		for range 2 {
			select {
			case <-c:
			case <-done:
				return
			}
			if ctx.Err() != nil {
				again()
				exit(0)
				return
			}
			node.Notifier{}.Stopping()
			first()
			cancel()
		}
	}()
	return ctx, func() {
		signal.Stop(c)
		close(done)
		cancel()
	}
}

// atOnce says that a second interrupt is obeyed.
func (a *app) atOnce() { a.note("Stopping at once: what is in use is cut off.") }
