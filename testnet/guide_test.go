// SPDX-License-Identifier: BSD-3-Clause

package testnet_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestTheGuideShowsTheExamples: each piece of Go in docs/embedding.md is part of an
// example, so that it compiles and does what the page says, and each example is shown.
// Spec: product CLI-12.
func TestTheGuideShowsTheExamples(t *testing.T) {
	source, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	guide, err := os.ReadFile("../docs/embedding.md")
	if err != nil {
		t.Fatal(err)
	}
	margin := regexp.MustCompile(`(?m)^\t+`)
	// Of functions: without what stands left of them all, a line ends at its text.
	flat := func(s string) string { return margin.ReplaceAllString(s, "") }
	shown := make(map[string]bool)
	functions := strings.Split(string(source), "\nfunc ")[1:]
	pieces := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(guide), -1)
	for _, p := range pieces {
		found := false
		whole := p[1]
		if i := strings.Index(whole, "\nfunc "); i >= 0 && strings.HasPrefix(whole, "//") {
			found = strings.Contains(string(source), whole)
			shown[whole[i+len("\nfunc "):strings.Index(whole, "(ctx")]] = found
		}
		for _, f := range functions {
			if !found && strings.Contains(flat(f), flat(whole)) {
				found = true
				shown[f[:strings.IndexByte(f, '(')]] = true
			}
		}
		if !found {
			t.Errorf("this is in no example:\n%s", whole)
		}
	}
	for _, f := range functions {
		name := f[:strings.IndexByte(f, '(')]
		if strings.HasPrefix(name, "Example") && name != "ExampleClient_join" && !shown[name] {
			t.Errorf("%s is not on the page", name)
		}
	}
	if !shown["join"] || len(pieces) < 6 {
		t.Errorf("the page shows %d pieces", len(pieces))
	}
}
