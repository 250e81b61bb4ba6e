// SPDX-License-Identifier: BSD-3-Clause

package circuit

import (
	"bytes"
	"testing"
)

// TestPaddingIsNeverRepeated although its source is dropped while a circuit is idle.
func TestPaddingIsNeverRepeated(t *testing.T) {
	e := End{seed: [32]byte{1}}
	var seen [][]byte
	for i := range 6 {
		b := make([]byte, 100)
		e.fill(b)
		for _, s := range seen {
			if bytes.Contains(b, s[:16]) || bytes.Contains(s, b[:16]) {
				t.Fatal("padding was repeated")
			}
		}
		seen = append(seen, b)
		if i%2 == 1 {
			e.shrink()
			e.shrink()
		}
	}
}
