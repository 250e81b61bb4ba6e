// SPDX-License-Identifier: BSD-3-Clause

package layering

import (
	"fmt"
	"go/ast"
	"go/token"
	"maps"
	"slices"
)

// bubblePackage is the only door into virtual time.
const bubblePackage = "internal/testutil"

// panics lists the files that may call panic, each with the broken invariant of
// our own that it stands for. Nothing that a peer, a file or a user sends may
// lead to one.
var panics = map[string]string{
	"circuit/cgo/hash.go":               "the standard library refuses a key of the size it asks for",
	"circuit/cgo/uiv.go":                "a caller of ours hands in half a cell or a seed of another size, or uses keys after wiping them",
	"circuit/handshake/client.go":       "the standard library refuses a seed or ciphertext whose size was checked",
	"circuit/handshake/filter.go":       "a relay asks for a filter without room",
	"circuit/handshake/keys.go":         "the standard library refuses 32 bytes as an X25519 key",
	"directory/path/guardstate.go":      "guard state built here does not encode",
	"directory/record/key.go":           "a constant in the source is not what it says",
	"directory/snapshot/header.go":      "a header built here does not encode",
	"directory/snapshot/table.go":       "a genesis document that was checked makes no table",
	"directory/sync/invariant.go":       "an answer built here does not encode, or the zstd options in the source are refused",
	"directory/transition/invariant.go": "a table, list or policy that was checked before is refused",
	"directory/vote/invariant.go":       "a record built or verified here is refused",
	"directory/invariant.go":            "the member's machine moves to a state that nobody gave it",
	"testnet/model/people.go":           "a record that the simulator has made itself is refused",
	"directory/vrf/scalar.go":           "the curve library refuses bytes whose size was checked",
	"directory/vrf/vrf.go":              "a key's own point does not decode, or 256 hashes in a row are no point",
	"internal/strictcbor/check.go":      "an item that was checked is decoded otherwise",
	"internal/strictcbor/strictcbor.go": "the module's options in the source are refused",
}

// sleepers lists the test files that may call time.Sleep, with the reason. To
// wait is none: tests wait for an event, or for synctest.Wait.
var sleepers = map[string]string{
	"client/pool_test.go":      "in a bubble: virtual time passes so that circuits age",
	"client/ahead_test.go":     "in a bubble: virtual time passes so that handshakes age",
	"client/attach_test.go":    "in a bubble: virtual time passes so that the start is over",
	"client/identity_test.go":  "in a bubble: virtual time passes so that circuits age",
	"client/story_test.go":     "in a bubble: virtual time passes while requests wait",
	"client/world_test.go":     "in a bubble: virtual time passes so that epochs begin",
	"testnet/killed_test.go":   "real processes, killed at random moments of real epochs",
	"testnet/join_test.go":     "in a bubble: virtual time passes so that the start is over",
	"testnet/noexit_test.go":   "in a bubble: virtual time passes so that the list forgets relays that stopped",
	"testnet/observer_test.go": "in a bubble: a virtual minute passes so that circuits end",
	"testnet/renewal_test.go":  "in a bubble: virtual time passes so that epochs begin",
	"testnet/split_test.go":    "in a bubble: virtual time passes so that epochs begin",
	"testnet/stream_test.go":   "in a bubble: destinations are slow and silent for virtual minutes",
	"testnet/network_test.go":  "in a bubble: virtual minutes pass so that circuits age",
}

// checkBubbles finds virtual time entered past testutil.Bubble (rule 5): yamux
// keeps timers in a package-level pool, which kills the next bubble of the
// binary unless it is drained first.
func checkBubbles(t *tree) []string {
	var found []string
	for _, f := range t.files {
		if f.pkg == bubblePackage {
			continue
		}
		for _, u := range f.uses() {
			if u.path == "testing/synctest" && (u.name == "Test" || u.name == "Run") {
				found = append(found, t.at(u.pos, "synctest.%s: enter virtual time through testutil.Bubble", u.name))
			}
		}
	}
	return found
}

// checkSleeps finds tests that sleep, and rows that no longer need to stand.
func checkSleeps(t *tree, allowed map[string]string) []string {
	var found []string
	used := make(map[string]bool)
	for _, f := range t.files {
		if !f.test {
			continue
		}
		for _, u := range f.uses() {
			if u.path != "time" || u.name != "Sleep" {
				continue
			}
			used[f.path] = true
			if allowed[f.path] == "" {
				found = append(found, t.at(u.pos, "time.Sleep in a test: wait for what you wait for"))
			}
		}
	}
	return append(found, stale("sleepers", allowed, used)...)
}

// checkPanics finds calls of panic outside the listed files, panics whose value
// is not a constant (LOG-7), and rows that no longer need to stand.
func checkPanics(t *tree, allowed map[string]string) []string {
	var found []string
	used := make(map[string]bool)
	for _, f := range t.files {
		if f.test {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if id, ok := call.Fun.(*ast.Ident); !ok || id.Name != "panic" {
				return true
			}
			used[f.path] = true
			if allowed[f.path] == "" {
				found = append(found, t.at(call.Pos(), "panic in a file that is not listed with a reason"))
			}
			if len(call.Args) != 1 || !isTextLiteral(call.Args[0]) {
				found = append(found, t.at(call.Pos(), "panic with a computed value: panic values are constants"))
			}
			return true
		})
	}
	return append(found, stale("panics", allowed, used)...)
}

// checkInit finds init functions: what runs before main cannot be configured,
// ordered or tested.
func checkInit(t *tree) []string {
	var found []string
	for _, f := range t.files {
		for _, decl := range f.ast.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				found = append(found, t.at(fn.Pos(), "init function: make it a call"))
			}
		}
	}
	return found
}

// isTextLiteral reports whether an expression is a string literal or several
// joined by +.
func isTextLiteral(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.BasicLit:
		return e.Kind == token.STRING
	case *ast.BinaryExpr:
		return e.Op == token.ADD && isTextLiteral(e.X) && isTextLiteral(e.Y)
	}
	return false
}

// stale lists the rows of an exception table that nothing needs.
func stale(table string, allowed map[string]string, used map[string]bool) []string {
	var found []string
	for _, name := range slices.Sorted(maps.Keys(allowed)) {
		if !used[name] {
			found = append(found, fmt.Sprintf("%s: row of table %s that nothing needs: delete it", name, table))
		}
	}
	return found
}
