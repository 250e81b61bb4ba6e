// SPDX-License-Identifier: BSD-3-Clause

package layering

import "testing"

func TestNamedTestsMustExist(t *testing.T) {
	expect(t, checkNamedTests(sources(t, map[string]string{
		"docs/a.md":      "| x | `TestReal`, `FuzzReal` |\n| y | `TestGone`, `FuzzGone` and `Testing` |\n",
		"STYLE.md":       "`TestLikeThis`\n",
		"link/a_test.go": "package link\nfunc TestReal() {}\nfunc FuzzReal() {}\nfunc (t) TestGone() {}\n",
		"link/a.go":      "package link\nfunc TestGone() {}\n",
	}), map[string]string{"STYLE.md": "an example"}),
		"docs/a.md:2: there is no test named TestGone", "docs/a.md:2: there is no test named FuzzGone")
}
