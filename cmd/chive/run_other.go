// SPDX-License-Identifier: BSD-3-Clause

//go:build !linux

package main

import (
	"github.com/spf13/cobra"

	"chive/internal/node"
)

func (a *app) runInside(*cobra.Command, throughFlags, []string) error {
	return &node.Fault{
		Kind: node.Usage, Code: "run_system", Text: "chive run needs Linux's namespaces, and this system has none",
		Fix: "Set the variables that make programs use the proxy instead: chive env",
	}
}

func enterNamespace([]string) int { return int(runFailed) }
