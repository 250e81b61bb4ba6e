// SPDX-License-Identifier: BSD-3-Clause

//go:build !linux

package main

import (
	"context"

	"chive/internal/node"
)

func (a *app) runInside(context.Context, throughFlags, []string) error {
	return &node.Fault{
		Kind: node.Usage, Code: "run_system", Text: "chive run needs Linux's namespaces, and this system has none",
		Fix: "Set the variables that make programs use the proxy instead: chive env",
	}
}

func enterNamespace([]string) int { return int(runFailed) }
