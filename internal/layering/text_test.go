// SPDX-License-Identifier: BSD-3-Clause

package layering

import (
	"strings"
	"testing"
)

func TestTextFaultsAreFound(t *testing.T) {
	home := "/ho" + "me/"
	todo := "TO" + "DO"
	made, err := newTree(map[string]string{
		"link/bare.go":         "package link\n",
		"link/long.go":         spdxLine + "\npackage link\n" + strings.Repeat("\n", maxGoLines-1),
		"link/whole.go":        spdxLine + "\npackage link\n" + strings.Repeat("\n", maxGoLines-2),
		"link/note.go":         spdxLine + "\npackage link\n// " + todo + ": later\n",
		"README.md":            "See " + home + "me and `/ro" + "ot/x`.\n",
		"docs/fine.md":         "XXpsk3, unix:/run/user, $HOME" + home + "x, a/work/tree, ${X}/work/y, todo\n",
		"link/testdata/v.txt":  todo + " in data\n",
		"link/testdata/w.txt":  "# made in /wo" + "rk/x\n",
		"link/testdata/in.go":  "no licence\n",
		".ci/run":              "# FIX" + "ME\n",
		"docs/decisions/1.txt": "XX" + "X\n",
	})
	if err != nil {
		t.Fatal(err)
	}
	expect(t, checkText(made, map[string]string{"README.md": "a sample", "gone.md": "was one"}),
		"link/bare.go:1: the first line", "link/long.go: 601 lines", "link/note.go:3: "+todo,
		"link/testdata/w.txt:1: path", ".ci/run:1:", "docs/decisions/1.txt:1:", "gone.md: row of table pathSamples")
	expect(t, checkText(made, nil),
		"link/bare.go:1: the first line", "link/long.go: 601 lines", "link/note.go:3: "+todo,
		"README.md:1: path of one machine: "+home, "link/testdata/w.txt:1: path", ".ci/run:1:", "docs/decisions/1.txt:1:")
}
