// SPDX-License-Identifier: BSD-3-Clause

package layering

import (
	"fmt"
	"go/ast"
	"path"
	"regexp"
	"strings"
)

// namedTest is a test that a document names: `TestX`, `FuzzX`, `BenchmarkX`.
var namedTest = regexp.MustCompile("`((?:Test|Fuzz|Benchmark)[A-Z][A-Za-z0-9_]*)`")

// exampleTests are names that documents give as an example of style.
var exampleTests = map[string]string{
	"CONTRIBUTING.md": "shows how names look",
}

// checkNamedTests finds tests that a document names and nobody wrote (rule 6): a
// promise in docs/threat-model.md is only as good as the test beside it.
func checkNamedTests(t *tree, examples map[string]string) []string {
	exists := make(map[string]bool)
	for _, f := range t.files {
		if !f.test {
			continue
		}
		for _, decl := range f.ast.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil {
				exists[fn.Name.Name] = true
			}
		}
	}
	var found []string
	for _, name := range t.paths() {
		if path.Ext(name) != ".md" || examples[name] != "" {
			continue
		}
		line := 0
		for content := range strings.Lines(t.texts[name]) {
			line++
			for _, m := range namedTest.FindAllStringSubmatch(content, -1) {
				if !exists[m[1]] {
					found = append(found, fmt.Sprintf("%s:%d: there is no test named %s", name, line, m[1]))
				}
			}
		}
	}
	return found
}
