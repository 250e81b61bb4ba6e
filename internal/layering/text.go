// SPDX-License-Identifier: BSD-3-Clause

package layering

import (
	"fmt"
	"path"
	"regexp"
	"strings"
)

const (
	spdxLine   = "// SPDX-License-Identifier: BSD-3-Clause"
	maxGoLines = 600
)

var (
	// Folders of one machine. Written in two pieces, so as not to find itself.
	machinePath = regexp.MustCompile(`(?:^|[^A-Za-z0-9_.\-/$}])(/(?:work|root|ho` + `me)/)`)
	// Marks of something left undone.
	undone = regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X)\b`)
)

// pathSamples lists the files that name a folder of a machine on purpose.
var pathSamples = map[string]string{
	"internal/redact/redact_test.go": "paths that must not be printed",
}

// checkText finds Go files without their licence line or longer than 600 lines,
// and text of any kind with a machine's paths or marks of something left undone
// (rule 8). Data below testdata may be in any form, but names no machine. Files
// in samples may name one.
func checkText(t *tree, samples map[string]string) []string {
	var found []string
	used := make(map[string]bool)
	for _, name := range t.paths() {
		text := t.texts[name]
		if path.Ext(name) == ".go" && !inTestdata(name) {
			if first, _, _ := strings.Cut(text, "\n"); strings.TrimRight(first, "\r") != spdxLine {
				found = append(found, fmt.Sprintf("%s:1: the first line is not %q", name, spdxLine))
			}
			if lines := strings.Count(text, "\n"); lines > maxGoLines {
				found = append(found, fmt.Sprintf("%s: %d lines, more than %d: look for the seam", name, lines, maxGoLines))
			}
		}
		if machinePath.MatchString(text) {
			used[name] = true
		} else if !undone.MatchString(text) {
			continue
		}
		line := 0
		for content := range strings.Lines(text) {
			line++
			if m := machinePath.FindStringSubmatch(content); m != nil && samples[name] == "" {
				found = append(found, fmt.Sprintf("%s:%d: path of one machine: %s", name, line, m[1]))
			}
			if m := undone.FindString(content); m != "" && !inTestdata(name) {
				found = append(found, fmt.Sprintf("%s:%d: %s: settle it before it is committed", name, line, m))
			}
		}
	}
	return append(found, stale("pathSamples", samples, used)...)
}
