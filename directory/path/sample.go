// SPDX-License-Identifier: BSD-3-Clause

package path

import (
	"encoding/binary"
	"io"
	"math/bits"
	"slices"
)

// sampler draws indices in proportion to their weights.
type sampler struct {
	sums []uint64 // running sums of the weights
}

func newSampler(weights []uint64) sampler {
	sums := make([]uint64, len(weights))
	var s uint64
	for i, w := range weights {
		s += w
		sums[i] = s
	}
	return sampler{sums}
}

func (s sampler) total() uint64 {
	if len(s.sums) == 0 {
		return 0
	}
	return s.sums[len(s.sums)-1]
}

func (s sampler) weight(i int) uint64 {
	if i == 0 {
		return s.sums[0]
	}
	return s.sums[i] - s.sums[i-1]
}

// draw returns an index of positive weight. The total is positive.
func (s sampler) draw(rand io.Reader) (int, error) {
	x, err := below(rand, s.total())
	if err != nil {
		return 0, err
	}
	i, _ := slices.BinarySearchFunc(s.sums, x, func(sum, x uint64) int {
		if sum <= x {
			return -1
		}
		return 1
	})
	return i, nil
}

// below returns a number from 0 to n-1, every one equally likely. n is positive.
func below(rand io.Reader, n uint64) (uint64, error) {
	var b [8]byte
	for {
		if _, err := io.ReadFull(rand, b[:]); err != nil {
			return 0, err
		}
		hi, lo := bits.Mul64(binary.BigEndian.Uint64(b[:]), n)
		if lo >= n || lo >= -n%n {
			return hi, nil
		}
	}
}
