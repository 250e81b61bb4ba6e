// SPDX-License-Identifier: BSD-3-Clause

//go:build !linux

package main

import (
	"context"
	"io/fs"

	"chive/internal/node"
)

// What only Linux tells is not looked at elsewhere.

func unsynchronised() bool { return false }

func openToAll(fs.FileMode) bool { return false }

func (d *doctor) checkLimits() {}

func runObstacle() *node.Fault { return nil }

func daemonProcess(context.Context, string) int { return 0 }

func daemonSockets(context.Context, string) ([]kernelSocket, error) { return nil, errNoSight }
