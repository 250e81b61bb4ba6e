// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"testing"
	"time"
)

func TestDemandKeepsWhatABurstNeeded(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	const ms = time.Millisecond
	steady := func(n int, gap time.Duration) (out []time.Duration) {
		for i := range n {
			out = append(out, time.Duration(i)*gap)
		}
		return out
	}
	for _, r := range []struct {
		name string
		at   []time.Duration // when an unused circuit was needed
		now  time.Duration
		want int
	}{
		{"nothing was needed", nil, 0, 1},
		{"one", []time.Duration{0}, 0, 2},
		{"one, just remembered", []time.Duration{0}, burstMemory - 1, 2},
		{"one, forgotten", []time.Duration{0}, burstMemory, 1},
		{"two at once", []time.Duration{0, 0}, 0, 3},
		{"two within a burst", []time.Duration{0, burst - 1}, burst, 3},
		{"two apart", []time.Duration{0, burst}, burst, 2},
		{"one every five seconds", steady(12, 5*time.Second), 55 * time.Second, 2},
		{"one every second", steady(12, time.Second), 11 * time.Second, 3},
		{"a burst a while ago", []time.Duration{0, ms, 2 * ms, 3 * ms, 30 * time.Second}, 40 * time.Second, 5},
		{"a burst out of mind", []time.Duration{0, ms, 2 * ms, 3 * ms, 30 * time.Second}, 70 * time.Second, 2},
		{"as many as are kept", steady(maxSpare-1, ms), ms, maxSpare},
		{"more than are kept", steady(50, ms), 50 * ms, maxSpare},
		{"a clock that went back", []time.Duration{time.Second, 0}, 0, 2},
	} {
		var d demand
		for _, at := range r.at {
			d.need(start.Add(at))
		}
		if got := d.target(start.Add(r.now)); got != r.want {
			t.Errorf("%s: %d circuits are kept, want %d", r.name, got, r.want)
		}
	}
}
