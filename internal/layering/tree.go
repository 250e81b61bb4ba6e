// SPDX-License-Identifier: BSD-3-Clause

package layering

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// modulePath is the name that go.mod gives to this module.
const modulePath = "chive"

// maxTextSize bounds the files that are read as text; larger ones are data.
const maxTextSize = 1 << 20

// A goFile is one parsed Go source file of the module.
type goFile struct {
	path string // slash-separated, from the module's root
	pkg  string // folder of the file, which names its package in the tables
	test bool   // a _test.go file
	text string
	ast  *ast.File
}

// A tree is the module's source: every text file, and the Go files parsed.
type tree struct {
	fset  *token.FileSet
	texts map[string]string // by path
	files []*goFile         // by path; nothing below a testdata folder
}

// newTree parses the Go files among texts. An unparsable file is an error.
func newTree(texts map[string]string) (*tree, error) {
	t := &tree{fset: token.NewFileSet(), texts: texts}
	for _, name := range t.paths() {
		if path.Ext(name) != ".go" || inTestdata(name) {
			continue
		}
		syntax, err := parser.ParseFile(t.fset, name, texts[name], parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, fmt.Errorf("layering: parse: %w", err)
		}
		t.files = append(t.files, &goFile{
			path: name,
			pkg:  path.Dir(name),
			test: strings.HasSuffix(name, "_test.go"),
			text: texts[name],
			ast:  syntax,
		})
	}
	return t, nil
}

// readTree reads the module whose go.mod lies in root. It leaves out .git,
// what .gitignore names, nested modules, and files that are not text.
func readTree(root string) (*tree, error) {
	ignored, err := readIgnored(root)
	if err != nil {
		return nil, err
	}
	texts := make(map[string]string)
	err = filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		switch {
		case rel == ".":
			return nil
		case entry.IsDir():
			if rel == ".git" || ignored.match(rel, true) {
				return fs.SkipDir
			}
			return nil
		case rel == ".git": // a work tree's pointer
			return nil
		case !entry.Type().IsRegular() || ignored.match(rel, false):
			return nil
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if text := string(data); len(text) <= maxTextSize && utf8.ValidString(text) && !strings.Contains(text, "\x00") {
			texts[rel] = text
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	dropNested(texts)
	return newTree(texts)
}

// dropNested removes the Go files of modules inside this one: they build by
// other rules. Their other files stay, for the rules about text.
func dropNested(texts map[string]string) {
	for name := range maps.Clone(texts) {
		dir := path.Dir(name)
		if path.Base(name) != "go.mod" || dir == "." {
			continue
		}
		for other := range maps.Clone(texts) {
			if path.Ext(other) == ".go" && strings.HasPrefix(other, dir+"/") {
				delete(texts, other)
			}
		}
	}
}

// paths lists the text files in order.
func (t *tree) paths() []string { return slices.Sorted(maps.Keys(t.texts)) }

// at words a finding at a place in a Go file.
func (t *tree) at(pos token.Pos, format string, args ...any) string {
	p := t.fset.Position(pos)
	return fmt.Sprintf("%s:%d: %s", p.Filename, p.Line, fmt.Sprintf(format, args...))
}

// importPath unquotes the path of an import.
func importPath(spec *ast.ImportSpec) string {
	p, err := strconv.Unquote(spec.Path.Value)
	if err != nil {
		return spec.Path.Value
	}
	return p
}

// imports reports whether the file imports that path.
func (f *goFile) imports(importedPath string) bool {
	return slices.ContainsFunc(f.ast.Imports, func(spec *ast.ImportSpec) bool {
		return importPath(spec) == importedPath
	})
}

// importNames maps the name under which a package is used in the file to its
// path. A dot import stands under "." and its path, since several may exist.
func (f *goFile) importNames() map[string]string {
	names := make(map[string]string)
	for _, spec := range f.ast.Imports {
		p := importPath(spec)
		switch {
		case spec.Name == nil:
			names[defaultName(p)] = p
		case spec.Name.Name == ".":
			names[". "+p] = p
		case spec.Name.Name != "_":
			names[spec.Name.Name] = p
		}
	}
	return names
}

// dotImports reports whether the file imports that path with a dot.
func (f *goFile) dotImports(importedPath string) bool {
	_, ok := f.importNames()[". "+importedPath]
	return ok
}

// defaultName guesses the package name of a path: its last element that is not
// a version.
func defaultName(importedPath string) string {
	base := path.Base(importedPath)
	if len(base) > 1 && base[0] == 'v' && strings.Trim(base[1:], "0123456789") == "" && strings.Contains(importedPath, "/") {
		return path.Base(path.Dir(importedPath))
	}
	return base
}

// A use is one mention of a name of an imported package: time.Now.
type use struct {
	path string // import path
	name string
	pos  token.Pos
}

// uses lists every mention of a name of an imported package, in order. A local
// variable that hides a package's name counts as the package: rename it.
func (f *goFile) uses() []use {
	names := f.importNames()
	var found []use
	ast.Inspect(f.ast, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if id, ok := sel.X.(*ast.Ident); ok {
			if p, ok := names[id.Name]; ok {
				found = append(found, use{path: p, name: sel.Sel.Name, pos: sel.Pos()})
			}
		}
		return true
	})
	return found
}

// literals lists the composite literals of a type of an imported package.
func (f *goFile) literals(importedPath, name string) []*ast.CompositeLit {
	names := f.importNames()
	var found []*ast.CompositeLit
	ast.Inspect(f.ast, func(n ast.Node) bool {
		lit, ok := n.(*ast.CompositeLit)
		if !ok {
			return true
		}
		if sel, ok := lit.Type.(*ast.SelectorExpr); ok && sel.Sel.Name == name {
			if id, ok := sel.X.(*ast.Ident); ok && names[id.Name] == importedPath {
				found = append(found, lit)
			}
		}
		return true
	})
	return found
}

// inTestdata reports whether a file lies below a testdata folder.
func inTestdata(name string) bool {
	return slices.Contains(strings.Split(path.Dir(name), "/"), "testdata")
}
