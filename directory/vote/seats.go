// SPDX-License-Identifier: BSD-3-Clause

package vote

import (
	"errors"
	"math/bits"
)

// ErrSeat means a seat that no list has, or a set of seats that does not fit its
// list.
var ErrSeat = errors.New("vote: no such seat")

// Seats is a set of seats of one list: ceil(K/8) bytes, seat i in byte i/8, the bit
// of value 1 << (i mod 8). Bits from K on are zero.
type Seats []byte

// NewSeats returns the empty set over so many seats.
func NewSeats(k int) Seats { return make(Seats, (k+7)/8) }

// Has reports whether seat i is in the set.
func (s Seats) Has(i int) bool { return i >= 0 && i/8 < len(s) && s[i/8]>>(i%8)&1 == 1 }

// Add puts seat i, which the list has, into the set.
func (s Seats) Add(i int) { s[i/8] |= 1 << (i % 8) }

// Count returns how many seats are in the set.
func (s Seats) Count() int {
	n := 0
	for _, b := range s {
		n += bits.OnesCount8(b)
	}
	return n
}

// Members returns the seats, rising.
func (s Seats) Members() []int {
	out := make([]int, 0, s.Count())
	for i := range 8 * len(s) {
		if s.Has(i) {
			out = append(out, i)
		}
	}
	return out
}

// fits reports whether the set is one over k seats.
func (s Seats) fits(k int) bool {
	return len(s) == (k+7)/8 && (k%8 == 0 || s[len(s)-1]>>(k%8) == 0)
}

// inBounds reports whether a set just read can be one over any list, with so many
// members.
func (s Seats) inBounds(members int) bool {
	return len(s) > 0 && len(s) <= MaxSeatCount/8 && s.Count() == members
}
