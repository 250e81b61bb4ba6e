// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

// version is that of the next release.
const version = "0.1.0-dev"

// built is the commit that a package or a release was built from, with "+changes" behind it
// where the source differs, as deploy/commit.sh says; the linker sets it. Where it is empty
// Go's own note counts, which no packaged binary has: what it says depends on more than the
// source.
var built string

type versionObject struct {
	Schema  string `json:"schema"`
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
	Changed bool   `json:"changed,omitempty"` // the source differs from the commit
	Go      string `json:"go"`
	System  string `json:"system"`
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "print what this binary is", Args: exactly(),
		Long:    "Prints the version, the commit it was built from, the Go version and the system.",
		Example: "  chive version\n  chive version --json",
		RunE:    func(*cobra.Command, []string) error { return a.printVersion() },
	}
}

func (a *app) printVersion() error {
	v := versionObject{Schema: "chive.version/1", Version: version, Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH}
	if built != "" {
		v.Commit, v.Changed = strings.CutSuffix(built, "+changes")
	} else if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				v.Commit = s.Value
			case "vcs.modified":
				v.Changed = s.Value == "true"
			}
		}
	}
	a.answer(v, func(w io.Writer) {
		commit := ""
		if v.Commit != "" {
			commit = " " + v.Commit[:min(12, len(v.Commit))]
			if v.Changed {
				commit += "+changes"
			}
		}
		fmt.Fprintf(w, "chive %s%s %s %s\n", v.Version, commit, v.Go, v.System)
	})
	return nil
}
