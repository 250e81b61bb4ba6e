// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"bytes"
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

// flagWords are the values of flags that take few words. Spec: product CLI-5.
var flagWords = map[string][]string{
	"driver": {"local", "proc"}, "nat": {"auto", "off"}, "shell": envShells,
	"log-level": {"error", "warn", "info", "debug"}, "log-format": {"auto", "console", "json"},
}

// completeWords has the shells complete them.
func completeWords(c *cobra.Command) {
	for name, words := range flagWords {
		if c.LocalNonPersistentFlags().Lookup(name) != nil || c.PersistentFlags().Lookup(name) != nil {
			_ = c.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)) // the flag is there
		}
	}
	for _, sub := range c.Commands() {
		completeWords(sub)
	}
}

// unmarked takes the marks around the names of values out of what is offered: the flags'
// texts have them for the help.
type unmarked struct{ io.Writer }

func (u unmarked) Write(p []byte) (int, error) {
	_, err := u.Writer.Write(bytes.ReplaceAll(p, []byte("`"), nil))
	return len(p), err
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
