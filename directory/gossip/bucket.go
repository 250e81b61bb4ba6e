// SPDX-License-Identifier: BSD-3-Clause

package gossip

import (
	"time"

	"chive/directory/genesis"
)

// Budgets of a peer. Spec: directory §4; security §2 (B19).
const (
	BurstItems      = 1000
	RateFactor      = 3
	ServePerSecond  = 64_000   // bytes
	ServeBurst      = 256_000  // bytes: four seconds of it
	askCost         = 64       // bytes of the budget for each record asked for, held or not
	lookCost        = 1        // bytes of it for each record of the class that is looked through in vain
	tellingPart     = 9        // tenths of what a peer takes that we use: its list may be another
	restItemsHourly = 60       // tombstones, evidence and other rare things
	maxItemsHourly  = 1 << 40  // keeps arithmetic small
	milli           = 1000     // buckets count in thousandths
	hourMillis      = 3600_000 //
)

// bucket is a token bucket in integers. Its time never runs backwards.
type bucket struct {
	tokens int64 // thousandths
	burst  int64 // thousandths
	last   time.Time
}

func newBucket(burst int64, now time.Time) bucket {
	return bucket{tokens: burst * milli, burst: burst * milli, last: now}
}

// refill adds what has come since, at so many an hour.
func (b *bucket) refill(now time.Time, perHour int64) {
	passed := min(now.Sub(b.last), time.Hour).Milliseconds()
	more := passed * min(perHour, maxItemsHourly) / (hourMillis / milli)
	if more <= 0 {
		return // later it is more than nothing
	}
	b.last = now
	if b.tokens < b.burst { // a grant beyond the burst stays
		b.tokens = min(b.burst, b.tokens+more)
	}
}

// take takes up to n tokens and returns how many.
func (b *bucket) take(n int) int {
	got := min(n, int(max(0, b.tokens)/milli))
	b.tokens -= int64(got) * milli
	return got
}

// grant adds tokens beyond the burst, for what a peer has been asked to bring.
func (b *bucket) grant(n int) { b.tokens += int64(n) * milli }

// itemsHourly returns how many records the whole network makes in an hour, as far as
// parameters and list tell: republished descriptors, newcomers, an epoch's votes,
// signatures, proposals and certificate.
func itemsHourly(p genesis.Params, relays, seats int) int64 {
	hourly := func(count int, every time.Duration) int64 {
		return int64(count) * int64(time.Hour/time.Millisecond) / max(1, every.Milliseconds())
	}
	day := p.EpochLen * time.Duration(max(1, p.Day))
	newcomers := max(p.AdmitFloor, relays*p.AdmitRate/1000)
	return restItemsHourly + hourly(relays, p.Republish) + hourly(newcomers, day) + hourly(2*seats+4, p.EpochLen)
}
