// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"slices"
	"sync"
	"time"
)

// buildTimeout learns how long a circuit may take to build: four times the 80th
// percentile of the last builds, within bounds. Safe for concurrent use.
type buildTimeout struct {
	mu    sync.Mutex
	times []time.Duration // the last buildSamples, a ring
	next  int
}

const (
	buildSamples    = 100
	buildFewest     = 10 // below it the first limit holds
	buildFirstLimit = 15 * time.Second
	buildMinLimit   = 2 * time.Second
	buildMaxLimit   = 60 * time.Second
)

// add records the duration of a build that succeeded.
func (b *buildTimeout) add(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.times) < buildSamples {
		b.times = append(b.times, d)
		return
	}
	b.times[b.next] = d
	b.next = (b.next + 1) % buildSamples
}

// limit returns how long the next build may take.
func (b *buildTimeout) limit() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.times) < buildFewest {
		return buildFirstLimit
	}
	sorted := slices.Clone(b.times)
	slices.Sort(sorted)
	return min(max(4*sorted[len(sorted)*8/10], buildMinLimit), buildMaxLimit)
}
