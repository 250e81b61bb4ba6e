// SPDX-License-Identifier: BSD-3-Clause

package testnet

import (
	"testing"
	"time"

	"chive/circuit"
	"chive/circuit/cell"
)

// endQueue is how many cells of data an end of a circuit queues.
const endQueue = 32

// TestTypingBesideACrowd holds what somebody who types may notice of others who
// move data on the same link, how evenly those share it, and how long their own
// cells wait. The long rows need -tags soak; go test -v prints the table of
// docs/performance.md.
func TestTypingBesideACrowd(t *testing.T) {
	const rate = 10_000_000
	table := crowdHeader
	for i, c := range []struct {
		crowd
		added time.Duration // that a crowd may add to 95 of 100 round trips
		fill  float64       // share of the slow link that programs must get
		long  bool
	}{
		{crowd{name: "64 down", bulk: 64}, 15 * time.Millisecond, 0.95, false},
		{crowd{name: "64 up", bulk: 64, up: true}, 15 * time.Millisecond, 0.9, true},
		{crowd{name: "64 down, the exit's link", bulk: 64, between: true}, 15 * time.Millisecond, 0.95, true},
		{crowd{name: "64 up, the exit's link", bulk: 64, up: true, between: true}, 15 * time.Millisecond, 0.9, true},
		{crowd{name: "200 down", bulk: 200}, 15 * time.Millisecond, 0.95, true},
		{crowd{name: "64 down, 16 read 20 kB/s, 16 nothing", bulk: 64, slow: 16, still: 16}, 15 * time.Millisecond, 0.9, false},
		{crowd{name: "8 down, 1 behind 500 kB/s", bulk: 8, behind: 500_000}, 15 * time.Millisecond, 0.9, false},
		{crowd{name: "16 down, 4 streams each", bulk: 16, streams: 4}, 15 * time.Millisecond, 0.95, false},
		{crowd{name: "16 down", bulk: 16}, 15 * time.Millisecond, 0.9, true},
		{crowd{name: "4 down", bulk: 4}, 15 * time.Millisecond, 0.8, true},
		{crowd{name: "1 down", bulk: 1}, 15 * time.Millisecond, 0.2, true}, // bound by its credit
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.long && !soak {
				t.Skip("SKIPPED: needs -tags soak")
			}
			if i > 0 && testing.Short() {
				t.Skip("SKIPPED: takes seconds")
			}
			c.rate, c.ticks = rate, 40
			switch {
			case soak:
				c.ticks = 60
			case testing.Short():
				c.ticks, c.bulk = 20, 16
			}
			r := c.run(t)
			table += "\n" + r.row(c.name)
			if d := r.idle.at(1); d > 7*crowdLatency {
				t.Errorf("alone a round trip took %v, three links there and back", d)
			}
			if d := r.added(0.95); d > c.added {
				t.Errorf("the crowd adds %v", d)
			}
			if j := jain(r.each); j < 0.98 {
				t.Errorf("shares of the link are uneven: Jain's index is %.3f", j)
			}
			if r.total < c.fill*rate {
				t.Errorf("the crowd moved %.0f B/s of %d", r.total, rate)
			}
			// What waits on the path for one circuit is bounded by its window, which
			// settles where few cells of its own wait, and by what its end may queue.
			p := circuit.DefaultParams()
			share := c.rate / int64(c.bulk)
			if c.behind > 0 {
				share = c.behind
			}
			cells := max(p.WindowMin, p.Delta) + endQueue
			most := time.Duration(cells) * cell.Size * time.Second / time.Duration(share)
			if d := r.own.at(0.5) - r.idle.at(0.5); d > most+20*time.Millisecond {
				t.Errorf("a cell of the crowd's waits %v, more than %v", d, most)
			}
			if c.behind > 0 && (r.behind < 0.85*float64(c.behind) || r.behind > float64(c.behind)) {
				t.Errorf("behind the slow relay %.0f B/s of %d", r.behind, c.behind)
			}
		})
	}
	t.Log("\n" + table)
}
