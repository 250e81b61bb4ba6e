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
			12: ": fresh.", 13: ": stale.", 60: ": stale.", 61: ": very old.", 360: "when this one is older than 360 epochs", 361: ": too old.",
		} {
			at := v.doc.EpochStart(held.view.Epoch() + age)
			if text := w.freshnessWords(held, at, false); !strings.Contains(text, want) || (age > 60 && age <= 360) != strings.Contains(text, "very old") {
				t.Errorf("%d epochs: %q", age, text)
			}
		}
	})
}
