// SPDX-License-Identifier: BSD-3-Clause

package layering

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// checkImports compares every import with the table (rule 1). Test files may
// also import testOurs and testOutside.
func checkImports(t *tree, table []layer) []string {
	rows := make(map[string]layer, len(table))
	for _, row := range table {
		rows[row.path] = row
	}
	var found []string
	unknown := make(map[string]bool)
	for _, f := range t.files {
		row, ok := rows[f.pkg]
		if !ok {
			if !unknown[f.pkg] {
				unknown[f.pkg] = true
				found = append(found, fmt.Sprintf("%s: package %s has no row in the layer table", f.path, f.pkg))
			}
			continue
		}
		for _, spec := range f.ast.Imports {
			if problem := row.refuses(importPath(spec), f.test); problem != "" {
				found = append(found, t.at(spec.Pos(), "%s", problem))
			}
		}
	}
	return found
}

// refuses says why a file of the row's package may not import that path, or
// nothing if it may.
func (row layer) refuses(imported string, test bool) string {
	if ours, ok := strings.CutPrefix(imported, modulePath+"/"); ok {
		if slices.Contains(row.ours, ours) || test && (ours == row.path || slices.Contains(testOurs, ours)) {
			return ""
		}
		return fmt.Sprintf("%s (%s) may not import %s: %s", row.path, row.kind, ours, row.why)
	}
	switch first, _, _ := strings.Cut(imported, "/"); {
	case imported == "C":
		return "cgo: the binary is static and builds everywhere"
	case imported == modulePath:
		return "the module's root holds no package"
	case !strings.Contains(first, "."):
		return "" // standard library; see the other rules
	}
	inModule := func(module string) bool { return imported == module || strings.HasPrefix(imported, module+"/") }
	if slices.ContainsFunc(row.outside, inModule) || test && slices.ContainsFunc(testOutside, inModule) {
		return ""
	}
	return fmt.Sprintf("%s (%s) may not import %s: the module is not in its row", row.path, row.kind, imported)
}

// checkTable checks the table itself: one row a package, a reason in each, no
// arrow upwards, and the rows that are security statements.
func checkTable(table []layer) []string {
	rows := make(map[string]layer, len(table))
	var found []string
	for _, row := range table {
		if _, twice := rows[row.path]; twice {
			found = append(found, fmt.Sprintf("%s: two rows", row.path))
		}
		if row.why == "" {
			found = append(found, fmt.Sprintf("%s: no reason", row.path))
		}
		if path.Clean(row.path) != row.path {
			found = append(found, fmt.Sprintf("%s: not a clean path", row.path))
		}
		rows[row.path] = row
	}
	for _, row := range table {
		for _, to := range row.ours {
			below, ok := rows[to]
			switch {
			case !ok:
				found = append(found, fmt.Sprintf("%s: imports %s, which has no row", row.path, to))
			case row.kind == pure && below.kind != pure:
				found = append(found, fmt.Sprintf("%s: pure, imports %s (%s)", row.path, to, below.kind))
			case row.kind == inout && below.kind != pure && below.kind != inout:
				found = append(found, fmt.Sprintf("%s: never logs, imports %s (%s)", row.path, to, below.kind))
			case row.kind == role && below.kind == composition:
				found = append(found, fmt.Sprintf("%s: role, imports %s (%s)", row.path, to, below.kind))
			}
		}
		if (row.kind == pure || row.kind == inout) && slices.Contains(row.outside, modZerolog) {
			found = append(found, fmt.Sprintf("%s: nothing below a role can log", row.path))
		}
	}
	for _, s := range statements {
		for from := range rows {
			if from != s.from && !strings.HasPrefix(from, s.from+"/") {
				continue
			}
			for _, to := range reach(rows, from) {
				if to == s.never || strings.HasPrefix(to, s.never+"/") {
					found = append(found, fmt.Sprintf("%s reaches %s: %s", from, to, s.why))
				}
			}
		}
	}
	slices.Sort(found)
	return found
}

// statements are the arrows that must never exist, over any number of steps.
// A name stands for the package and those below it.
var statements = []struct{ from, never, why string }{
	{"relay", "message", "a relay has no name for end-to-end content"},
	{"relay", "service/endpoint", "a relay has no name for end-to-end content"},
	{"relay", "client", "only composition knows that two roles share a process"},
	{"client", "relay", "only composition knows that two roles share a process"},
	{"client/proxy", "link", "the front door cannot dial"},
	{"testnet", "cmd", "the command is on top"},
}

// reach lists what a package imports, directly and through others. A cycle ends
// the walk like anything already seen; the compiler refuses it.
func reach(rows map[string]layer, from string) []string {
	var order []string
	seen := map[string]bool{from: true}
	next := []string{from}
	for len(next) > 0 {
		at := next[0]
		next = next[1:]
		for _, to := range rows[at].ours {
			if !seen[to] {
				seen[to] = true
				order = append(order, to)
				next = append(next, to)
			}
		}
	}
	return order
}
