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
// terminate; first is called then. A second one ends the process at once. stop
// gives the signals back. Spec: product CFG-4.
func untilSignal(parent context.Context, first func()) (ctx context.Context, stop func()) {
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
				os.Exit(0)
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
