// SPDX-License-Identifier: BSD-3-Clause

package limit

import "time"

// Bucket admits a burst at once and a rate over time: in any window t at most
// rate x t + burst, exactly. It starts full. The zero value admits nothing.
type Bucket struct {
	perSecond int64
	burst     int64 // nano-tokens
	held      int64 // nano-tokens, at the time last
	last      time.Time
}

// nano is one token in the bucket's own unit: a rate per second then grows by
// itself per nanosecond, without rounding.
const nano = 1_000_000_000

// maxBurst keeps a burst within 63 bits of nano-tokens.
const maxBurst = 1 << 33

// NewBucket returns a full bucket. perSecond and burst are tokens; negative
// counts as 0, and a burst is at most 2^33.
func NewBucket(perSecond, burst int64) Bucket {
	burst = min(max(burst, 0), maxBurst-1) * nano
	return Bucket{perSecond: max(perSecond, 0), burst: burst, held: burst}
}

// Take takes n tokens if the bucket holds them at now; if not, it takes none.
// n below 0 is refused. Time that runs backwards adds nothing.
func (b *Bucket) Take(now time.Time, n int64) bool {
	b.fill(now)
	if n < 0 || n > b.held/nano {
		return false
	}
	b.held -= n * nano
	return true
}

// Full reports whether nothing is missing at now: the bucket can then be dropped
// from a table, since a new one is the same.
func (b *Bucket) Full(now time.Time) bool {
	b.fill(now)
	return b.held == b.burst
}

func (b *Bucket) fill(now time.Time) {
	if b.last.IsZero() {
		b.last = now
		return
	}
	elapsed := int64(now.Sub(b.last))
	if elapsed <= 0 {
		return
	}
	b.last = now
	missing := b.burst - b.held
	if b.perSecond == 0 || missing == 0 {
		return
	}
	if elapsed > missing/b.perSecond { // also keeps the product within bounds
		b.held = b.burst
		return
	}
	b.held += elapsed * b.perSecond
}
