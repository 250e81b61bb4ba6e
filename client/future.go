// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"cmp"
	"slices"
	"time"
)

// A list that by this clock is yet to come, with the signatures of a quorum, proves that
// the clock is slow, or that a quorum's keys were taken. One source cannot make the client
// believe the former: it counts what relays in clockVoices different places have shown,
// each the last thing that it did. Until they are so many the client asks on, and asks each
// of them for the time (BOOT-5).

// shownLife is how long a list of the future counts: longer than the longest pause between
// two rounds of a client whose clock is slow, so that it stays stopped in between.
const shownLife = 3 * staleMost

// future is a list that by this clock is yet to come and that a relay has shown.
type future struct {
	at    place
	epoch uint64
	heard time.Time // with the monotonic clock
}

// heardAhead notes that the relay at a place holds a list of an epoch that by this
// clock is yet to come.
func (c *Client) heardAhead(at place, epoch uint64) {
	now := time.Now()
	c.noteReading(reading{at: at, heard: now, off: -c.doc.Params.ClockClient - time.Second})
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dropFutures(at, now)
	if len(c.dir.futures) >= maxReadings {
		c.dir.futures = slices.Delete(c.dir.futures, 0, 1)
	}
	c.dir.futures = append(c.dir.futures, future{at, epoch, now})
}

// heardNow notes that the relay at a place holds no list of the future any more.
func (c *Client) heardNow(at place) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dropFutures(at, time.Now())
}

// dropFutures forgets what a place has shown, and what is too long ago. Under Client.mu.
func (c *Client) dropFutures(at place, now time.Time) {
	c.dir.futures = slices.DeleteFunc(c.dir.futures, func(f future) bool {
		return f.at == at || now.Sub(f.heard) >= shownLife
	})
}

// enoughVoices is in how many different places relays must say a thing about this clock:
// all there are, where those are few. Under Client.mu.
func (c *Client) enoughVoices() int { return max(1, min(clockVoices, c.dir.places)) }

// provenEpoch returns the latest epoch of which, or of a later one, relays in enough
// different places have shown a list that a quorum signed and that lay ahead of this clock;
// 0: there is none. Under Client.mu.
func (c *Client) provenEpoch(now time.Time) uint64 {
	var epochs []uint64
	for _, f := range c.dir.futures {
		if now.Sub(f.heard) < shownLife {
			epochs = append(epochs, f.epoch)
		}
	}
	n := c.enoughVoices()
	if len(epochs) < n {
		return 0
	}
	slices.SortFunc(epochs, func(a, b uint64) int { return cmp.Compare(b, a) })
	return epochs[n-1]
}

// future reports whether relays have shown lists of the future in this round, and whether
// they are enough to be believed.
func (h *hearing) future() (shown, proven bool) {
	h.c.mu.Lock()
	defer h.c.mu.Unlock()
	return len(h.ahead) > 0, len(h.ahead) >= h.c.enoughVoices()
}
