// SPDX-License-Identifier: BSD-3-Clause

// Package gendocs writes what a package of the program holds besides it: manual pages
// and completions for shells, from the tree of commands that the program itself reads.
//
// It is a tool of the release, not of the program: only a build with the tag gendocs
// has it. One goroutine.
//
// Spec: product §8.
package gendocs

import (
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// Write writes man/*.1 and completions/chive.{bash,zsh,fish,ps1} into folder, which is
// made if need be. The same commands, version and date give the same bytes.
func Write(root *cobra.Command, folder, version string, date time.Time) error {
	man, completions := filepath.Join(folder, "man"), filepath.Join(folder, "completions")
	for _, f := range []string{man, completions} {
		if err := os.MkdirAll(f, 0o755); err != nil {
			return err
		}
	}
	root.DisableAutoGenTag = true
	header := &doc.GenManHeader{Section: "1", Source: "chive " + version, Manual: "chive", Date: &date}
	if err := doc.GenManTree(root, header, man); err != nil {
		return err
	}
	for name, write := range map[string]func(path string) error{
		"bash": func(p string) error { return root.GenBashCompletionFileV2(p, true) },
		"zsh":  root.GenZshCompletionFile,
		"fish": func(p string) error { return root.GenFishCompletionFile(p, true) },
		"ps1":  root.GenPowerShellCompletionFileWithDesc,
	} {
		if err := write(filepath.Join(completions, "chive."+name)); err != nil {
			return err
		}
	}
	return nil
}
