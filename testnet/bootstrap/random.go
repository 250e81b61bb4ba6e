// SPDX-License-Identifier: BSD-3-Clause

package bootstrap

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
)

// named returns 32 bytes that belong to a purpose.
func named(seed uint64, purpose string, n ...uint64) [32]byte {
	b := binary.BigEndian.AppendUint64(nil, seed)
	b = fmt.Append(b, purpose)
	for _, v := range n {
		b = binary.BigEndian.AppendUint64(b, v)
	}
	return sha256.Sum256(b)
}

// stream returns the random stream of a purpose.
func stream(seed uint64, purpose string, n ...uint64) *rand.Rand {
	s := named(seed, purpose, n...)
	return rand.New(rand.NewPCG(binary.BigEndian.Uint64(s[:]), binary.BigEndian.Uint64(s[8:])))
}

// after returns an exponential time.
func after(r *rand.Rand, mean float64) float64 { return r.ExpFloat64() * mean }

// poisson returns how many of rare things happen, of which mean are expected.
func poisson(r *rand.Rand, mean float64) int {
	n := 0
	for t := after(r, 1); t < mean; t += after(r, 1) {
		n++
	}
	return n
}

// quantiles are at 0, 1, 5, 10, 25, 50, 75, 90, 95, 99, 100 per cent.
type quantiles [11]float64

var quantileAt = quantiles{0, .01, .05, .1, .25, .5, .75, .9, .95, .99, 1}

// at interpolates on a logarithmic scale. Spec: testnet §4.
func (q *quantiles) at(p float64) float64 {
	i := 1
	for i < len(q)-1 && p > quantileAt[i] {
		i++
	}
	part := (p - quantileAt[i-1]) / (quantileAt[i] - quantileAt[i-1])
	return q[i-1] * math.Pow(q[i]/q[i-1], part)
}
