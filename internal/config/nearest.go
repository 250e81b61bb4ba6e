// SPDX-License-Identifier: BSD-3-Clause

package config

import "strings"

// nearest returns the candidate that a name was probably meant to be; empty: none is
// near. A name whose last part is right loses to one that is a letter away only. Ties go to
// the first candidate.
func nearest(name string, candidates []string) string {
	best, bestCost := "", 2*min(max(2, len(name)/4), max(1, len(name)-2))+1
	for _, c := range candidates {
		cost := 2 * distance(name, c)
		if last(name) == last(c) {
			cost = min(cost, 3) // in another section, or in none: worse than one letter
		}
		if cost < bestCost {
			best, bestCost = c, cost
		}
	}
	return best
}

// last is the last part of a dotted name.
func last(name string) string { return name[strings.LastIndexByte(name, '.')+1:] }

// maxCompared bounds the names that distance compares, in bytes.
const maxCompared = 64

// distance counts the letters to insert, remove, replace, or swap with a neighbour,
// until a is b.
func distance(a, b string) int {
	if len(a) > maxCompared || len(b) > maxCompared {
		return maxCompared
	}
	two, one, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		two, one, row = one, row, two
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(one[j]+1, row[j-1]+1, one[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], two[j-2]+1)
			}
		}
	}
	return row[len(b)]
}
