// SPDX-License-Identifier: BSD-3-Clause

package gossip

import (
	"encoding/binary"
	"math/rand/v2"
	"time"

	"chive/directory/reconcile"
)

// chance is the machine's randomness. No float is involved, so that equal sources
// give equal choices on every platform.
type chance struct{ source rand.Source }

// below returns a number from 0 to n-1; n is positive. The bias is below n / 2^64.
func (c *chance) below(n int) int {
	return int(c.source.Uint64() % uint64(n))
}

// wait returns an exponentially distributed time of this mean, after von Neumann: the
// length of a falling run of uniform numbers decides, by its parity, whether the first
// of them is the fraction.
func (c *chance) wait(mean time.Duration) time.Duration {
	for whole := int64(0); ; whole++ {
		first := c.source.Uint64() >> 32
		last, length := first, 1
		for next := c.source.Uint64() >> 32; next < last; next = c.source.Uint64() >> 32 {
			last = next
			length++
		}
		if length%2 == 1 || whole >= 64 {
			return time.Duration(whole)*mean + time.Duration(int64(mean>>16)*int64(first)>>16)
		}
	}
}

// around returns a time spread evenly over mean +- thousandths of it.
func (c *chance) around(mean time.Duration, thousandths int) time.Duration {
	spread := int64(mean) * int64(thousandths) / 1000
	if spread <= 0 {
		return mean
	}
	return mean - time.Duration(spread) + time.Duration(c.source.Uint64()%uint64(2*spread+1))
}

func (c *chance) nonce() (out [reconcile.NonceSize]byte) {
	binary.BigEndian.PutUint64(out[:], c.source.Uint64())
	binary.BigEndian.PutUint64(out[8:], c.source.Uint64())
	return out
}
