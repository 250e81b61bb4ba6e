// SPDX-License-Identifier: BSD-3-Clause

package layering

import (
	"go/ast"
	"strings"
)

// Names of package time that read or wait for the clock.
var clockNames = map[string]bool{
	"Now": true, "Since": true, "Until": true, "Sleep": true, "After": true,
	"AfterFunc": true, "NewTimer": true, "NewTicker": true, "Tick": true,
}

// Names of math/rand/v2 that take their randomness from an argument.
var seededNames = map[string]bool{
	"New": true, "NewPCG": true, "NewChaCha8": true, "NewZipf": true,
	"Rand": true, "PCG": true, "ChaCha8": true, "Zipf": true, "Source": true,
}

// impureImport says why a pure package may not import that path of the
// standard library, or nothing.
func impureImport(p string) string {
	within := func(root string) bool { return p == root || strings.HasPrefix(p, root+"/") }
	switch {
	case p == "net/netip":
		return ""
	case within("net") || p == "crypto/tls":
		return "sockets are the roles'"
	case within("os") || p == "io/ioutil" || p == "syscall":
		return "files and processes are the roles'"
	case within("log"):
		return "nothing below a role logs"
	case p == "crypto/rand":
		return "randomness is an argument (rand io.Reader)"
	case p == "math/rand":
		return "its global source is shared state; math/rand/v2 with a given source is allowed"
	}
	return ""
}

// checkPurity holds the pure packages of the table to their word (rule 2): no
// goroutine, no clock, no socket, file or log, no randomness of their own.
// Test files are free.
func checkPurity(t *tree, table []layer) []string {
	isPure := make(map[string]bool)
	for _, row := range table {
		isPure[row.path] = row.kind == pure
	}
	var found []string
	for _, f := range t.files {
		if f.test || !isPure[f.pkg] {
			continue
		}
		for _, spec := range f.ast.Imports {
			p := importPath(spec)
			if why := impureImport(p); why != "" {
				found = append(found, t.at(spec.Pos(), "pure package imports %s: %s", p, why))
			}
			if (p == "time" || p == "math/rand/v2") && f.dotImports(p) {
				found = append(found, t.at(spec.Pos(), "pure package imports %s with a dot: its calls could not be seen", p))
			}
		}
		for _, u := range f.uses() {
			switch {
			case u.path == "time" && clockNames[u.name]:
				found = append(found, t.at(u.pos, "time.%s in a pure package: time is an argument (now time.Time)", u.name))
			case u.path == "math/rand/v2" && !seededNames[u.name]:
				found = append(found, t.at(u.pos, "rand.%s in a pure package: it draws from the global source", u.name))
			}
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				found = append(found, t.at(n.Pos(), "go statement in a pure package"))
			case *ast.CallExpr:
				if sel, ok := n.Fun.(*ast.SelectorExpr); ok && makesKey[sel.Sel.Name] {
					found = append(found, t.at(n.Pos(), "%s in a pure package: it may ignore its reader; keys come from explicit seeds", sel.Sel.Name))
				}
			}
			return true
		})
	}
	return found
}

// makesKey names the standard library's key makers, which take their bytes from
// the system whatever reader they are given.
var makesKey = map[string]bool{"GenerateKey": true, "GenerateKey768": true, "GenerateKey1024": true}
