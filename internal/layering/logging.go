// SPDX-License-Identifier: BSD-3-Clause

package layering

import (
	"go/ast"
	"go/token"
)

// redactPackage is the only maker of log fields (LOG-2).
const redactPackage = "internal/redact"

// bannedLogCalls are the methods of the logging library that print a value as
// it comes, by the least number of arguments that tells them from methods of
// other types (ctx.Err(), buf.Bytes()).
var bannedLogCalls = map[string]int{
	"Msgf": 1, "MsgFunc": 1, "Print": 1, "Printf": 1, "Println": 1,
	"Interface": 2, "Any": 2, "Fields": 1, "Type": 2,
	"Stringer": 2, "Stringers": 2,
	"IPAddr": 2, "IPAddrs": 2, "IPPrefix": 2, "IPPrefixes": 2, "MACAddr": 2,
	"Hex": 2, "Bytes": 2, "RawJSON": 2, "RawCBOR": 2,
	"Err": 1, "AnErr": 2, "Errs": 2,
}

// checkLogging finds log calls that print what nobody chose (rule 4): banned
// methods outside internal/redact, messages that are not constants, the
// standard library's loggers, the logging library's global logger, and HTTP
// servers that log peers' addresses because nobody told them not to.
func checkLogging(t *tree) []string {
	logs := make(map[string]bool) // packages that can hold a logger
	for _, f := range t.files {
		if f.imports(modZerolog) || f.imports(modulePath+"/"+redactPackage) {
			logs[f.pkg] = true
		}
	}
	var found []string
	for _, f := range t.files {
		for _, spec := range f.ast.Imports {
			switch p := importPath(spec); {
			case p == "log/slog" || p == modZerolog+"/log":
				found = append(found, t.at(spec.Pos(), "%s: loggers are given in a Config, never global", p))
			case p == "log" && !onlySilences(f):
				found = append(found, t.at(spec.Pos(), "log: only log.New(io.Discard, ...) may be named, to silence a library"))
			}
		}
		if f.test {
			continue
		}
		for _, lit := range f.literals("net/http", "Server") {
			if !setsOne(lit, []string{"ErrorLog"}) {
				found = append(found, t.at(lit.Pos(), "http.Server without ErrorLog prints peers' addresses: give it log.New(io.Discard, \"\", 0)"))
			}
		}
		if f.pkg == redactPackage || !logs[f.pkg] {
			continue
		}
		names := f.importNames()
		ast.Inspect(f.ast, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			sel, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if id, ok := sel.X.(*ast.Ident); ok && names[id.Name] != "" {
				return true // a function of another package, not a logger's method
			}
			name := sel.Sel.Name
			if least, ok := bannedLogCalls[name]; ok && len(call.Args) >= least {
				found = append(found, t.at(call.Pos(), "%s prints a value as it comes: fields come from %s", name, redactPackage))
			}
			if name == "Msg" && len(call.Args) == 1 && !isConstantText(call.Args[0]) {
				found = append(found, t.at(call.Pos(), "Msg with a computed text: log messages are constants"))
			}
			return true
		})
	}
	return found
}

// onlySilences reports whether the file's every use of package log is the type
// Logger or log.New with io.Discard.
func onlySilences(f *goFile) bool {
	names := f.importNames()
	if f.dotImports("log") {
		return false
	}
	isLog := func(e ast.Expr, name string) bool {
		sel, ok := e.(*ast.SelectorExpr)
		if !ok || sel.Sel.Name != name {
			return false
		}
		id, ok := sel.X.(*ast.Ident)
		return ok && names[id.Name] == "log"
	}
	silent := make(map[token.Pos]bool)
	ast.Inspect(f.ast, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok && isLog(call.Fun, "New") && len(call.Args) == 3 {
			if sel, ok := call.Args[0].(*ast.SelectorExpr); ok && sel.Sel.Name == "Discard" {
				silent[call.Fun.Pos()] = true
			}
		}
		return true
	})
	for _, u := range f.uses() {
		if u.path == "log" && u.name != "Logger" && !silent[u.pos] {
			return false
		}
	}
	return true
}

// isConstantText reports whether an expression is text known when compiling: a
// literal, a name (of a constant), or such joined by +.
func isConstantText(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.BasicLit:
		return e.Kind == token.STRING
	case *ast.Ident:
		return true
	case *ast.ParenExpr:
		return isConstantText(e.X)
	case *ast.BinaryExpr:
		return e.Op == token.ADD && isConstantText(e.X) && isConstantText(e.Y)
	}
	return false
}
