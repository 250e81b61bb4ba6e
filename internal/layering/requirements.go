// SPDX-License-Identifier: BSD-3-Clause

package layering

import (
	"fmt"
	"go/token"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// specification is the page whose numbered requirements are the protocol.
const specification = "docs/protocol.md"

var (
	// A requirement is defined where its number opens in bold: **CELL-3.**
	definition = regexp.MustCompile(`\*\*([A-Z]{2,}-[0-9]+)\.`)
	// A number anywhere; CELL-3..5 is a run of them.
	number = regexp.MustCompile(`\b([A-Z]{2,})-([0-9]+)(?:\.\.([0-9]+))?\b`)
	// The parts of a comment in which a number is a citation.
	citing = regexp.MustCompile(`\([^()]*\)|Spec:[^\n]*`)
)

// maxRun bounds CELL-3..5, so that a slip of the pen stays a finding.
const maxRun = 100

// otherNumbers are requirements that stand outside docs/protocol.md: what a
// person, a script or an operator sees, the rules for logs and keys, and those
// of the testnet. Each prefix has the highest number in force.
var otherNumbers = map[string]struct {
	highest int
	what    string
}{
	"API":   {2, "local API"},
	"CFG":   {5, "configuration and state"},
	"CLI":   {12, "commands and their output"},
	"DNS":   {4, "names and the DNS front"},
	"DRV":   {7, "drivers of a testnet"},
	"HTTP":  {3, "HTTP front"},
	"ISO":   {3, "isolation of streams"},
	"KEY":   {9, "keys"},
	"LOG":   {9, "logs and outputs"},
	"NET":   {4, "reaching the network"},
	"PAGE":  {4, "local page"},
	"REL":   {12, "running a relay"},
	"SCN":   {5, "scenario files"},
	"SOCKS": {14, "SOCKS front"},
	"UDP":   {5, "datagrams through circuits"},
}

// notNumbers are words of the field that have the shape of a number.
var notNumbers = map[string]bool{
	"AES": true, "BSD": true, "CVE": true, "ECVRF": true, "ED": true, "FIPS": true, "IEEE": true, "IP": true,
	"KEM": true, "MD": true, "ML": true, "POLY": true, "RFC": true, "SHA": true, "SHAKE": true, "TROVE": true,
	"UTF": true, "HMAC": true, "DSA": true, "CTR": true, "GCM": true, "CBOR": true, "MPL": true,
}

// untested lists requirements that no test cites, with the reason.
var untested = map[string]string{}

// checkRequirements holds docs/protocol.md and the code to each other (rule 6):
// every requirement defined there is cited by a test or listed in allowed, every
// number cited in Go code exists. With no specification in the tree only the
// second half can be judged, for the prefixes of otherNumbers.
func checkRequirements(t *tree, allowed map[string]string) []string {
	spec, written := t.texts[specification]
	defined := make(map[string]bool)
	var found []string
	for _, m := range definition.FindAllStringSubmatch(spec, -1) {
		if defined[m[1]] {
			found = append(found, fmt.Sprintf("%s: %s is defined twice", specification, m[1]))
		}
		defined[m[1]] = true
	}

	tested := make(map[string]bool)
	for name, text := range t.texts {
		if strings.HasPrefix(name, "internal/layering/") {
			continue // its numbers are examples
		}
		if strings.HasSuffix(name, "_test.go") || inTestdata(name) {
			for _, id := range numbersIn(text) {
				tested[id] = true
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(defined)) {
		if !tested[id] && allowed[id] == "" {
			found = append(found, fmt.Sprintf("%s: no test cites %s", specification, id))
		}
	}
	if written {
		needed := make(map[string]bool)
		for id := range allowed {
			needed[id] = defined[id] && !tested[id]
		}
		found = append(found, stale("untested", allowed, needed)...)
	}

	prefixes := make(map[string]bool)
	for id := range defined {
		prefix, _, _ := strings.Cut(id, "-")
		prefixes[prefix] = true
	}
	for _, f := range t.files {
		for _, c := range f.citations() {
			prefix, digits, _ := strings.Cut(c.id, "-")
			if other, ok := otherNumbers[prefix]; ok && !prefixes[prefix] {
				n, err := strconv.Atoi(digits)
				if err != nil || n < 1 || n > other.highest {
					found = append(found, t.at(c.pos, "%s does not exist: %s (%s) ends at %d", c.id, prefix, other.what, other.highest))
				}
				continue
			}
			if written && !defined[c.id] {
				found = append(found, t.at(c.pos, "%s does not exist in %s", c.id, specification))
			}
		}
	}
	return found
}

// A citation is one requirement named by a comment.
type citation struct {
	id  string
	pos token.Pos
}

// citations lists the requirements that the file's comments cite: in
// parentheses, or on a line that begins "Spec:".
func (f *goFile) citations() []citation {
	var found []citation
	for _, group := range f.ast.Comments {
		for _, part := range citing.FindAllString(group.Text(), -1) {
			for _, id := range numbersIn(part) {
				found = append(found, citation{id, group.Pos()})
			}
		}
	}
	return found
}

// numbersIn lists the requirement numbers in a text, runs spelt out.
func numbersIn(text string) []string {
	var ids []string
	for _, m := range number.FindAllStringSubmatch(text, -1) {
		if notNumbers[m[1]] {
			continue
		}
		ids = append(ids, m[1]+"-"+m[2])
		first, err := strconv.Atoi(m[2])
		last, errLast := strconv.Atoi(m[3])
		if err != nil || errLast != nil || last-first > maxRun {
			continue
		}
		for n := first + 1; n <= last; n++ {
			ids = append(ids, m[1]+"-"+strconv.Itoa(n))
		}
	}
	return ids
}

// hasSpecification reports whether the specification is in the tree.
func (t *tree) hasSpecification() bool {
	_, ok := t.texts[specification]
	return ok
}
