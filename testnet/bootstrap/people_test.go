// SPDX-License-Identifier: BSD-3-Clause

package bootstrap

import (
	"math"
	"testing"
)

// The population comes and goes as testnet §4 says that Tor's did: how many of those
// present leave in an hour, and how many of them are there after a day and a week.
func TestRelaysComeAndGoAsTheMeasuredOnesDid(t *testing.T) {
	p := newPeople(1)
	for range 4000 {
		p.born(0, false)
	}
	at := func(hour float64) map[int]bool {
		out := map[int]bool{}
		for _, n := range p.all {
			if p.move(n, hour); n.present {
				out[n.number] = true
			}
		}
		return out
	}
	const start = 250
	for hour := range start {
		for range p.arrivals(4000, 1) {
			p.born(float64(hour), true)
		}
	}
	first := at(start)
	stay := func(now map[int]bool) float64 {
		n := 0
		for i := range first {
			if now[i] {
				n++
			}
		}
		return float64(n) / float64(len(first))
	}
	for _, c := range []struct{ hours, want, off float64 }{{1, .9907, .004}, {24, .970, .008}, {168, .927, .015}} {
		if got := stay(at(start + c.hours)); math.Abs(got-c.want) > c.off {
			t.Errorf("after %v h %.4f are there, not %.4f", c.hours, got, c.want)
		}
	}
}
