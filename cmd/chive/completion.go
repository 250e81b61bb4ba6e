// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"io"
	"strings"

	"github.com/spf13/cobra"
)

type completionObject struct {
	Schema string `json:"schema"`
	Shell  string `json:"shell"`
	Script string `json:"script"`
}

// completeShells puts the flag library's completion command under our rules: a shell
// that is none is a mistake, and --json prints an object. Spec: product CLI-5.
func (a *app) completeShells(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	c, _, err := root.Find([]string{"completion"})
	if err != nil {
		return
	}
	c.Args, c.RunE = noCommand, showHelp
	for _, shell := range c.Commands() {
		printScript := shell.RunE
		shell.RunE = func(c *cobra.Command, args []string) error {
			if !a.global.json {
				return printScript(c, args)
			}
			terse, _ := c.Flags().GetBool("no-descriptions")
			var script strings.Builder
			if err := writeCompletion(c.Root(), c.Name(), !terse, &script); err != nil {
				return err
			}
			printObject(a.out, completionObject{Schema: "chive.completion/1", Shell: c.Name(), Script: script.String()})
			return nil
		}
	}
}

// writeCompletion writes the script of a shell, with or without descriptions.
func writeCompletion(root *cobra.Command, shell string, described bool, w io.Writer) error {
	switch {
	case shell == "bash":
		return root.GenBashCompletionV2(w, described)
	case shell == "fish":
		return root.GenFishCompletion(w, described)
	case shell == "zsh" && described:
		return root.GenZshCompletion(w)
	case shell == "zsh":
		return root.GenZshCompletionNoDesc(w)
	case described:
		return root.GenPowerShellCompletionWithDesc(w)
	}
	return root.GenPowerShellCompletion(w)
}
