// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// TestWhatIsPrintedToPasteCanBePasted, however the program was started.
func TestWhatIsPrintedToPasteCanBePasted(t *testing.T) {
	dir := t.TempDir()
	program, other := filepath.Join(dir, "chive"), filepath.Join(dir, "other")
	for _, path := range []string{program, other} {
		if err := os.WriteFile(path, nil, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	finds := func(path string) func(string) (string, error) {
		return func(string) (string, error) {
			if path == "" {
				return "", errors.New("none")
			}
			return path, nil
		}
	}
	for _, c := range []struct {
		name, program, typed, found, want string
	}{
		{"go run", "/tmp/go-build123/b001/exe/chive", "/tmp/go-build123/b001/exe/chive", "", goRun},
		{"go run beside one that is installed", "/tmp/go-build123/b001/exe/chive", "/tmp/go-build123/b001/exe/chive", program, goRun},
		{"installed", program, "chive", program, "chive"},
		{"built here", program, "./chive", "", "./chive"},
		{"built here, another one installed", program, "./chive", other, "./chive"},
		{"a path that a shell takes apart", program, "/a b/chive", "", "chive"},
	} {
		if got := commandFor(c.program, c.typed, finds(c.found)); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
