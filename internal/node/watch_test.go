// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"slices"
	"testing"
	"time"

	"chive/internal/control"
)

// TestAFullDiskIsToldWhenItBeginsAndEnds: once each, however often the status is looked at.
func TestAFullDiskIsToldWhenItBeginsAndEnds(t *testing.T) {
	var told []string
	w := watch{tell: func(text string) { told = append(told, text) }, told: map[string]time.Time{}}
	const full = "the disk is full"
	for _, store := range []string{"", "", full, full, "", "", full} {
		w.relay(control.Relay{Store: store})
	}
	if want := []string{full, storeAgain, full}; !slices.Equal(told, want) {
		t.Errorf("%q, want %q", told, want)
	}
}
