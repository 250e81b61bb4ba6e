// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"github.com/spf13/cobra"

	"chive/internal/node"
)

// runFailed is how chive run ends by its own fault, so that it can be told from the
// command's. Spec: product CLI-6.
const runFailed node.Kind = 125

const runHelp = `Starts a command whose only way out is the proxy of the client that runs here (Linux). The
command gets a network of its own with nothing in it but that proxy and a name server that
asks through it, and the variables of chive env. A program that ignores proxies has no
network at all: it fails, and nothing leaks. Every run has circuits of its own, unless
--isolation names a text that runs have in common. Where no client answers nothing is started,
and this fails with 125, unless --socks names a proxy. chive nc, resolve, env and run in it use
the same client, and status, newnym, health and what else asks a daemon ask it, unless their
own flags name another.

This is no sandbox: the command sees and changes files as it always does, and reaches
other programs of this machine through sockets among the files, such as Docker's or the
desktop's.

The exit code is the command's own. It is 125 when chive itself fails, 126 when the
command cannot be started, 127 when it is not found.`

func (a *app) runCommand() *cobra.Command {
	var o throughFlags
	c := &cobra.Command{
		Use: "run -- COMMAND ARG...", Short: "start a command whose only network is the proxy", Long: runHelp,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage(c, "COMMAND is missing")
			}
			return nil
		},
		Example: "  chive run -- curl https://example.com/\n  chive run -- bash\n  chive run --isolation work -- git fetch",
		RunE:    func(c *cobra.Command, args []string) error { return a.runInside(c, o, args) },
	}
	o.add(c)
	c.Flags().SetInterspersed(false) // what follows the command is the command's
	return c
}

// runInsideCommand is what chive run starts itself as within the namespace.
func (a *app) runInsideCommand() *cobra.Command {
	return &cobra.Command{
		Use: insideWord, Hidden: true, DisableFlagParsing: true,
		Short: "the part of chive run within its namespace",
		RunE: func(_ *cobra.Command, args []string) error {
			return &exited{enterNamespace(args)}
		},
	}
}

// insideWord is its name.
const insideWord = "run-inside"

// exited ends this process with the code of another, without a word.
type exited struct{ code int }

func (e *exited) Error() string { return "the command ended" }
