// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"chive/internal/testutil"
)

// TestWatchingGoesOnUntilItIsInterrupted, every two seconds; what is wrong ends it.
func TestWatchingGoesOnUntilItIsInterrupted(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		a := &app{out: new(strings.Builder)}
		ctx, stop := context.WithCancel(t.Context())
		began := time.Now()
		var when []time.Duration
		var befores []string
		err := a.watch(ctx, func(before string) error {
			when, befores = append(when, time.Since(began)), append(befores, before)
			if len(when) == 3 {
				stop()
				return context.Canceled
			}
			return nil
		})
		if err != nil || !slices.Equal(when, []time.Duration{0, watchEvery, 2 * watchEvery}) || !slices.Equal(befores, []string{"", "\n", "\n"}) {
			t.Errorf("%v: at %v behind %q", err, when, befores)
		}
		gone := errors.New("gone")
		if err := a.watch(t.Context(), func(string) error { return gone }); err != gone {
			t.Error(err)
		}
	})
}
