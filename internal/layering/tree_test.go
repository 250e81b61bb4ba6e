// SPDX-License-Identifier: BSD-3-Clause

package layering

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// sources makes a tree of small files. Go files get the licence line.
func sources(t *testing.T, files map[string]string) *tree {
	t.Helper()
	texts := make(map[string]string, len(files))
	for name, text := range files {
		if strings.HasSuffix(name, ".go") && !strings.HasPrefix(text, "//") {
			text = spdxLine + "\n\n" + text
		}
		texts[name] = text
	}
	made, err := newTree(texts)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// expect fails unless there is exactly one finding per want, containing it.
func expect(t *testing.T, found []string, wants ...string) {
	t.Helper()
	rest := slices.Clone(found)
	for _, want := range wants {
		i := slices.IndexFunc(rest, func(finding string) bool { return strings.Contains(finding, want) })
		if i < 0 {
			t.Errorf("no finding with %q among %q", want, found)
			continue
		}
		rest = slices.Delete(rest, i, i+1)
	}
	for _, finding := range rest {
		t.Errorf("unexpected finding: %s", finding)
	}
}

func TestReadTreeLeavesOutWhatIsNotTheModules(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		".gitignore":             "# built\n/bin/\n*.out\n",
		".git/HEAD":              "ref",
		"bin/made.go":            "package broken(",
		"bin2/kept.txt":          "kept",
		"a/cover.out":            "ignored",
		"a/a.go":                 "package a\n",
		"a/testdata/bad.go":      "not go",
		"a/testdata/blob":        "\x00\x01",
		"tools/go.mod":           "module chive/tools\n",
		"tools/inner/outside.go": "package broken(",
	} {
		file := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := readTree(root)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{".gitignore", "a/a.go", "a/testdata/bad.go", "bin2/kept.txt", "tools/go.mod"}
	if paths := got.paths(); !slices.Equal(paths, want) {
		t.Errorf("read %q, want %q", paths, want)
	}
	if len(got.files) != 1 || got.files[0].pkg != "a" {
		t.Errorf("parsed %d files, want a/a.go alone", len(got.files))
	}
}

func TestUnparsableSourceIsAnError(t *testing.T) {
	if _, err := newTree(map[string]string{"a/a.go": "package a("}); err == nil {
		t.Error("no error")
	}
}

func TestUsesFollowRenamedImports(t *testing.T) {
	made := sources(t, map[string]string{"a/a.go": `package a
import (
	clock "time"
	"math/rand/v2"
	_ "net"
)
var x = clock.Now
var y = rand.N[int]
`})
	var got []string
	for _, u := range made.files[0].uses() {
		got = append(got, u.path+"."+u.name)
	}
	if want := []string{"time.Now", "math/rand/v2.N"}; !slices.Equal(got, want) {
		t.Errorf("uses %q, want %q", got, want)
	}
}
