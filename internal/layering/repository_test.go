// SPDX-License-Identifier: BSD-3-Clause

package layering

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// moduleRoot is this module's root, seen from the folder of this test.
const moduleRoot = "../.."

// TestRepository holds the whole repository to every rule.
func TestRepository(t *testing.T) {
	mod, err := os.ReadFile(filepath.Join(moduleRoot, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	if first, _, _ := strings.Cut(string(mod), "\n"); strings.TrimSpace(first) != "module "+modulePath {
		t.Fatalf("go.mod names another module than %q", modulePath)
	}
	repo, err := readTree(moduleRoot)
	if err != nil {
		t.Fatal(err)
	}
	if len(repo.files) == 0 {
		t.Fatal("no Go file found")
	}
	rules := []struct {
		name  string
		check func() []string
	}{
		{"table", func() []string { return checkTable(layers) }},
		{"imports", func() []string { return checkImports(repo, layers) }},
		{"purity", func() []string { return checkPurity(repo, layers) }},
		{"network", func() []string { return checkNetwork(repo, networkRows) }},
		{"logging", func() []string { return checkLogging(repo) }},
		{"bubbles", func() []string { return checkBubbles(repo) }},
		{"sleeps", func() []string { return checkSleeps(repo, sleepers) }},
		{"panics", func() []string { return checkPanics(repo, panics) }},
		{"init", func() []string { return checkInit(repo) }},
		{"requirements", func() []string { return checkRequirements(repo, untested) }},
		{"named tests", func() []string { return checkNamedTests(repo, exampleTests) }},
		{"documented", func() []string { return checkDocumented(repo) }},
		{"text", func() []string { return checkText(repo, pathSamples) }},
	}
	for _, rule := range rules {
		t.Run(rule.name, func(t *testing.T) {
			for _, finding := range rule.check() {
				t.Error(finding)
			}
			if rule.name == "requirements" && !repo.hasSpecification() && !t.Failed() {
				t.Skip(specification + " is not written yet: whether its requirements have tests was not judged")
			}
		})
	}
}
