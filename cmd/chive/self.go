// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// goRun is how somebody runs it who has built nothing.
const goRun = "go run ./cmd/chive"

// selfCommand returns what to type to run this program again: its name if the shell finds
// it, what was typed if that was a path, or go run.
func selfCommand() string {
	program, err := os.Executable()
	if err != nil {
		return "chive"
	}
	return commandFor(program, os.Args[0], exec.LookPath)
}

func commandFor(program, typed string, find func(name string) (string, error)) string {
	if dir := filepath.ToSlash(filepath.Dir(program)); strings.HasSuffix(dir, "/exe") && strings.Contains(dir, "/go-build") {
		return goRun // go run keeps what it compiles there, for as long as it runs
	}
	if found, err := find("chive"); err == nil && sameFile(found, program) {
		return "chive"
	}
	if strings.ContainsRune(filepath.ToSlash(typed), '/') && !strings.ContainsAny(typed, " \t'\"\\$") {
		return typed
	}
	return "chive"
}

func sameFile(a, b string) bool {
	x, errX := os.Stat(a)
	y, errY := os.Stat(b)
	return errX == nil && errY == nil && os.SameFile(x, y)
}
