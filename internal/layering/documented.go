// SPDX-License-Identifier: BSD-3-Clause

package layering

import (
	"fmt"
	"go/ast"
	"maps"
	"slices"
	"strings"
)

// checkDocumented finds exported names without a comment, and packages without
// one (rule 7). A group of constants or variables may share its comment. Test
// files and commands are free.
func checkDocumented(t *tree) []string {
	var found []string
	described := make(map[string]bool)
	for _, f := range t.files {
		if f.test {
			continue
		}
		described[f.pkg] = described[f.pkg] || f.ast.Doc.Text() != ""
		if f.ast.Name.Name == "main" {
			continue
		}
		for _, decl := range f.ast.Decls {
			switch decl := decl.(type) {
			case *ast.FuncDecl:
				if name, ok := exportedFunc(decl); ok && decl.Doc.Text() == "" {
					found = append(found, t.at(decl.Pos(), "exported %s has no comment", name))
				}
			case *ast.GenDecl:
				for _, spec := range decl.Specs {
					for _, id := range undocumented(decl, spec) {
						found = append(found, t.at(id.Pos(), "exported %s has no comment", id.Name))
					}
				}
			}
		}
	}
	for _, pkg := range slices.Sorted(maps.Keys(described)) {
		if !described[pkg] {
			found = append(found, fmt.Sprintf("%s: package without a comment", pkg))
		}
	}
	return found
}

// exportedFunc names a function, or a method of an exported type, that can be
// called from outside.
func exportedFunc(fn *ast.FuncDecl) (string, bool) {
	if !fn.Name.IsExported() {
		return "", false
	}
	if fn.Recv == nil {
		return fn.Name.Name, true
	}
	receiver := receiverName(fn)
	return receiver + "." + fn.Name.Name, ast.IsExported(receiver)
}

// receiverName is the type of a method's receiver, without star and parameters.
func receiverName(fn *ast.FuncDecl) string {
	e := fn.Recv.List[0].Type
	for {
		switch inner := e.(type) {
		case *ast.StarExpr:
			e = inner.X
		case *ast.ParenExpr:
			e = inner.X
		case *ast.IndexExpr:
			e = inner.X
		case *ast.IndexListExpr:
			e = inner.X
		case *ast.Ident:
			return inner.Name
		default:
			return ""
		}
	}
}

// undocumented lists the exported names of a declaration that have no comment
// above, beside, or over their group.
func undocumented(decl *ast.GenDecl, spec ast.Spec) []*ast.Ident {
	text := func(groups ...*ast.CommentGroup) bool {
		return slices.ContainsFunc(groups, func(g *ast.CommentGroup) bool { return strings.TrimSpace(g.Text()) != "" })
	}
	var names []*ast.Ident
	switch spec := spec.(type) {
	case *ast.TypeSpec:
		// A group's comment says what the group is, not what each type is.
		if text(spec.Doc, spec.Comment) || text(decl.Doc) && !decl.Lparen.IsValid() {
			return nil
		}
		names = []*ast.Ident{spec.Name}
	case *ast.ValueSpec:
		if text(decl.Doc, spec.Doc, spec.Comment) {
			return nil
		}
		names = spec.Names
	}
	return slices.DeleteFunc(slices.Clone(names), func(id *ast.Ident) bool { return !id.IsExported() })
}
