// SPDX-License-Identifier: BSD-3-Clause

package layering

import "testing"

func TestUndocumentedNamesAreFound(t *testing.T) {
	expect(t, checkDocumented(sources(t, map[string]string{
		"link/a.go": `package link
func Bare() {}
// Said does.
func Said() {}
func quiet() {}
type Link struct{}
func (l *Link) Close() {}
func (l Generic[T]) Get() {}
type inner struct{}
func (inner) Exported() {}
type (
	// Told is told.
	Told int
	Untold int
)
const Lone = 1
// Limits.
const (
	Most = 2
	Least = 1
)
var (
	Beside = 1 // is documented here
	Naked, hidden = 2, 3
)
`,
		"relay/a.go":       "// Package relay carries.\npackage relay\n",
		"link/a_test.go":   "package link\nfunc TestX() {}\n",
		"cmd/chive/a.go":   "// Command chive is the binary.\npackage main\nfunc Run() {}\n",
		"internal/x/x.go":  "package x\n",
		"only/a_test.go":   "package only\n",
		"internal/x/x2.go": "package x\n",
	})),
		"exported Bare", "exported Link ", "exported Link.Close", "exported Generic.Get", "exported Untold",
		"exported Lone", "exported Naked", "link: package without", "internal/x: package without")
}
