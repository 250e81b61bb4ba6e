// SPDX-License-Identifier: BSD-3-Clause

//go:build !gendocs

package main

import "github.com/spf13/cobra"

// generators are commands that only a build for packagers has.
func (a *app) generators() []*cobra.Command { return nil }
