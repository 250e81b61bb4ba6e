// SPDX-License-Identifier: BSD-3-Clause

package gendocs

import (
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

func tree() *cobra.Command {
	root := &cobra.Command{Use: "chive", Short: "a network"}
	child := &cobra.Command{Use: "relay", Short: "carry traffic", Run: func(*cobra.Command, []string) {}}
	child.Flags().String("listen", "", "accept links at `ADDR`")
	root.AddCommand(child, &cobra.Command{Use: "secret", Hidden: true, Run: func(*cobra.Command, []string) {}})
	return root
}

// TestEveryCommandHasItsPage, and every shell its completions; the same bytes each time.
func TestEveryCommandHasItsPage(t *testing.T) {
	var before map[string]string
	for range 2 {
		folder := t.TempDir()
		if err := Write(tree(), folder, "0.1.0", time.Unix(1e9, 0).UTC()); err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		err := fs.WalkDir(os.DirFS(folder), ".", func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				var data []byte
				data, err = fs.ReadFile(os.DirFS(folder), path)
				got[path] = string(data)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"man/chive.1", "man/chive-relay.1", "completions/chive.bash", "completions/chive.zsh", "completions/chive.fish", "completions/chive.ps1"} {
			if got[want] == "" {
				t.Errorf("no %s", want)
			}
		}
		if !strings.Contains(got["man/chive-relay.1"], "listen") || got["man/chive-secret.1"] != "" {
			t.Error("the pages lack a flag, or show a hidden command")
		}
		if before != nil {
			for path := range got {
				if before[path] != got[path] {
					t.Errorf("%s differs the second time", path)
				}
			}
		}
		before = got
	}
	if err := Write(tree(), "/dev/null/x", "", time.Time{}); err == nil {
		t.Error("a folder that cannot be made is no error")
	}
}
