// SPDX-License-Identifier: BSD-3-Clause

package relay

import "time"

// clock is the wall clock as one directory.Machine may see it: it never goes back. The
// machine compares with the times of epochs, so that the wall clock counts, not how
// much time has passed.
type clock struct {
	wall  func() time.Time
	start time.Time // with its monotonic reading
	began time.Time // what the wall clock showed at start
	last  time.Time
}

func newClock(wall func() time.Time) clock {
	now := wall().Round(0)
	return clock{wall: wall, start: time.Now(), began: now, last: now}
}

// now returns the time. While the wall clock is behind what it has said, time stands
// still. jump is by how much the wall clock was set since the start, either way, or
// has gone on while the machine slept.
func (c *clock) now() (now time.Time, jump time.Duration) {
	t := c.wall().Round(0) // without the monotonic reading
	jump = t.Sub(c.began) - time.Since(c.start)
	if t.After(c.last) {
		c.last = t
	}
	return c.last, max(jump, -jump)
}
