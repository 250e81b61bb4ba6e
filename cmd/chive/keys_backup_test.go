// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"errors"
	"strings"
	"testing"
)

// TestAPassphraseIsAskedTwice: a new one; whoever restores is asked once.
func TestAPassphraseIsAskedTwice(t *testing.T) {
	for name, c := range map[string]struct {
		typed []string
		fresh bool
		want  string
	}{
		"new":           {[]string{"correct horse", "correct horse"}, true, "correct horse"},
		"differ once":   {[]string{"correct horse", "correct hose", "battery staple", "battery staple"}, true, "battery staple"},
		"short first":   {[]string{"horse", "correct horse", "correct horse"}, true, "correct horse"},
		"never":         {[]string{"a", "b", "c"}, true, ""},
		"end of input":  {nil, true, ""},
		"of the backup": {[]string{"correct horse"}, false, "correct horse"},
	} {
		left := c.typed
		read := func(string) ([]byte, error) {
			if len(left) == 0 {
				return nil, errors.New("end")
			}
			next := left[0]
			left = left[1:]
			return []byte(next), nil
		}
		var said strings.Builder
		got, err := askPassphrase(read, func(s string, _ ...any) { said.WriteString(s) }, c.fresh)
		if (err == nil) != (c.want != "") || string(got) != c.want || len(left) != 0 {
			t.Errorf("%s: %q, %v, %d not asked for", name, got, err, len(left))
		}
		if strings.Contains(said.String(), "horse") {
			t.Errorf("%s: it was printed", name)
		}
	}
}
