// SPDX-License-Identifier: BSD-3-Clause

package reconcile

import "math"

// farIndex is an index that no session reaches. A walk that would go further stays
// there.
const farIndex = 1 << 30

// walk goes through the indices of the symbols that an item is part of: 0, and every
// further index i with a probability of about 1/(1 + i/2).
//
// The random numbers are those of SplitMix64, seeded with the item's hash. From
// index i the next is ceil((i + 3/2)(1/sqrt(u) - 1)) further, at least 1, where u is
// the upper 53 bits of the number, plus 1, times 2^-53. For
// P(no index in i+1 ... i+g) = (i+1)(i+2) / ((i+g+1)(i+g+2)), and that is close to
// ((i+3/2) / (i+g+3/2))^2; where it is furthest off, index 1 comes with 0.64 in place
// of 0.67.
//
// Every operation is rounded as IEEE 754 says, and the products are wrapped in
// float64() so that no compiler joins them with what follows: all platforms walk
// alike. Spec: directory §4 (repair), protocol (REPAIR-2).
type walk struct {
	state uint64
	index uint32
}

func newWalk(seed uint64) walk { return walk{state: seed} }

// next moves to the next index.
func (w *walk) next() {
	w.state += 0x9e3779b97f4a7c15
	z := w.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	z ^= z >> 31
	u := float64(float64(z>>11+1) * 0x1p-53)
	far := float64(1/math.Sqrt(u)) - 1
	step := math.Ceil(float64((float64(w.index) + 1.5) * far))
	if step >= farIndex {
		w.index = farIndex
		return
	}
	w.index = min(w.index+max(1, uint32(step)), farIndex)
}
