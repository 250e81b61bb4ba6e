// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"strings"
	"testing"
)

// Spec: directory §8 (CHAIN, READY).
func TestWordsOfAnOldList(t *testing.T) {
	inVillage(t, 5, func(t *testing.T, v *village) {
		w := v.walk(nil)
		defer w.end()
		held := w.current()
		for age, want := range map[uint64]string{
			12: ": fresh.", 13: ": stale.", 18: ": stale.", 19: ": very old.", 40: "when this one is older than 40 epochs", 41: ": too old.",
		} {
			at := v.doc.EpochStart(held.view.Epoch() + age)
			if text := w.freshnessWords(held, at, false); !strings.Contains(text, want) || (age > 18 && age <= 40) != strings.Contains(text, "very old") {
				t.Errorf("%d epochs: %q", age, text)
			}
		}
	})
}
