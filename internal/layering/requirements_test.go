// SPDX-License-Identifier: BSD-3-Clause

package layering

import (
	"slices"
	"testing"
)

const smallSpecification = `# Protocol
**CELL-1.** A cell has one size.
- **CELL-2.** Others close the circuit. See CELL-9.
**HS-10. Title.** AES-256 is used (AES-256).
`

func TestRequirementsAndCitationsAreCompared(t *testing.T) {
	for _, test := range []struct {
		name    string
		files   map[string]string
		allowed map[string]string
		wants   []string
	}{
		{"a requirement without a test", map[string]string{
			specification:            smallSpecification,
			"circuit/cell/a_test.go": "package cell\n// CELL-1..2 hold.\n",
		}, nil, []string{"no test cites HS-10"}},
		{"a citation outside tests is no test", map[string]string{
			specification:       "**CELL-1.** x",
			"circuit/cell/a.go": "package cell\n// (CELL-1)\n",
		}, nil, []string{"no test cites CELL-1"}},
		{"a transcript cites too", map[string]string{
			specification: "**CELL-1.** x", "circuit/testdata/build.txt": "# CELL-1\n",
		}, nil, nil},
		{"allowed with a reason, and rows nobody needs", map[string]string{
			specification:            smallSpecification,
			"circuit/cell/a_test.go": "package cell\nconst x = `CELL-1 CELL-2`\n",
		}, map[string]string{"HS-10": "needs two machines", "CELL-1": "was hard", "OLD-1": "gone"},
			[]string{"CELL-1: row of table untested", "OLD-1: row of table untested"}},
		{"defined twice", map[string]string{
			specification: "**CELL-1.** x\n**CELL-1.** y", "circuit/a_test.go": "package circuit // CELL-1\n",
		}, nil, []string{"CELL-1 is defined twice"}},
		{"numbers that do not exist", map[string]string{
			specification: "**CELL-1.** x",
			"circuit/cell/a.go": `package cell
// A does it (CELL-1, CELL-7).
//
// Spec: protocol §4 HS-3
func A() {}
// B: see SOCKS-14 (SOCKS-15), (KEY-9), AES-256 (SHA3-256, UTF-8, AES-256).
func B() {}
`,
			"circuit/cell/a_test.go": "package cell // CELL-1\n",
		}, nil, []string{"CELL-7 does not exist", "HS-3 does not exist", "SOCKS-15 does not exist"}},
		{"a prefix that the specification takes over", map[string]string{
			specification: "**DNS-1.** x", "client/dns/a_test.go": "package dns // DNS-1\n",
			"client/dns/a.go": "package dns\n// (DNS-4)\n",
		}, nil, []string{"DNS-4 does not exist in docs/protocol.md"}},
		{"no specification yet", map[string]string{
			"circuit/cell/a.go": "package cell\n// (CELL-7) (LOG-10)\n",
		}, nil, []string{"LOG-10 does not exist"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			expect(t, checkRequirements(sources(t, test.files), test.allowed), test.wants...)
		})
	}
}

func TestNumbersInSpellsOutRuns(t *testing.T) {
	got := numbersIn("HS-3..5, CELL-1. x-AB-2 A-1 RFC-1928 HS-1..5000 HS-9..8 SHA3-256")
	want := []string{"HS-3", "HS-4", "HS-5", "CELL-1", "AB-2", "HS-1", "HS-9"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
