// SPDX-License-Identifier: BSD-3-Clause

// Package layering turns the house rules of chive into tests.
//
// It reads the source of this module and checks, over the syntax tree, what is
// a promise to users and not taste: who may import whom, which packages are
// pure, who may dial or resolve, what may be logged, where a panic stands,
// that every requirement of docs/protocol.md has a test. Each rule is a
// function from a [tree] to findings, so that it can be fed small bad sources;
// TestRepository runs all of them over the repository.
//
// It is not a type checker: rules go by names and imports, so a package that
// hides a call behind an interface of its own is not seen here. It is a tool
// for tests only, nothing may import it, and nothing in it is safe for
// concurrent use.
//
// To let a new package in, add its row to layers (table.go) with the reason.
// See docs/decisions/0001-layers-are-a-test.md.
package layering
