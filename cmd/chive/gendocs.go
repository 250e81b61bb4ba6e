// SPDX-License-Identifier: BSD-3-Clause

//go:build gendocs

package main

import (
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"chive/internal/gendocs"
	"chive/internal/node"
)

// generators are commands that only a build for packagers has: deploy/deb.sh uses them.
func (a *app) generators() []*cobra.Command {
	return []*cobra.Command{{
		Use: "gen-docs DIR DATE", Hidden: true, Args: exactly("DIR", "DATE"),
		Short: "write manual pages and completions into DIR; DATE in seconds since 1970",
		RunE: func(c *cobra.Command, args []string) error {
			date, err := strconv.ParseInt(args[1], 10, 64)
			if err != nil {
				return usage(c, "DATE is no number of seconds")
			}
			c.Root().InitDefaultCompletionCmd()
			if err := gendocs.Write(c.Root(), args[0], version, time.Unix(date, 0).UTC()); err != nil {
				if os.IsNotExist(err) || os.IsPermission(err) {
					return &node.Fault{Kind: node.Failed, Code: "gen_docs", Text: "The pages cannot be written", Fix: "Name a folder that you may write to."}
				}
				return err
			}
			return nil
		},
	}}
}
