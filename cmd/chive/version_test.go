// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"bytes"
	"strings"
	"testing"
)

// TestAPackageSaysItsCommit: what the linker was told counts, with changes marked apart.
func TestAPackageSaysItsCommit(t *testing.T) {
	const commit = "0123456789abcdef0123456789abcdef01234567"
	defer func(before string) { built = before }(built)
	for _, c := range []struct{ built, text, object string }{
		{commit, " 0123456789ab go", `"commit":"` + commit + `","go"`},
		{commit + "+changes", " 0123456789ab+changes go", `"commit":"` + commit + `","changed":true`},
	} {
		built = c.built
		for _, json := range []bool{false, true} {
			var out bytes.Buffer
			a := &app{out: &out, global: global{json: json}}
			if err := a.printVersion(); err != nil {
				t.Fatal(err)
			}
			want := c.text
			if json {
				want = c.object
			}
			if !strings.Contains(out.String(), want) {
				t.Errorf("%q is not in %s", want, out.String())
			}
		}
	}
}
