// SPDX-License-Identifier: BSD-3-Clause

package layering

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// ignored is the part of a .gitignore that the rules need: plain patterns, at
// the root ("/bin/") or anywhere ("*.test"). No negation, no "**".
type ignored []string

// readIgnored reads root's .gitignore; a missing one ignores nothing.
func readIgnored(root string) (ignored, error) {
	data, err := os.ReadFile(filepath.Join(root, ".gitignore"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return parseIgnored(string(data)), nil
}

func parseIgnored(text string) ignored {
	var patterns ignored
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "#") {
			patterns = append(patterns, line)
		}
	}
	return patterns
}

// match reports whether the file or folder at that path is ignored.
func (patterns ignored) match(name string, dir bool) bool {
	for _, pattern := range patterns {
		trimmed, onlyDir := strings.CutSuffix(pattern, "/")
		if onlyDir && !dir {
			continue
		}
		subject := path.Base(name)
		if rooted, ok := strings.CutPrefix(trimmed, "/"); ok {
			trimmed, subject = rooted, name
		}
		if ok, err := path.Match(trimmed, subject); err == nil && ok {
			return true
		}
	}
	return false
}
