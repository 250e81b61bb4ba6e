// SPDX-License-Identifier: BSD-3-Clause

package model

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"time"
)

// seedOf is SHA-256(seed | node | purpose): everything random or secret of a run comes
// from one of these, so that more use of one shifts no other. Spec: testnet §1 (DRV-3).
func seedOf(seed uint64, node int, purpose string) [32]byte {
	b := binary.BigEndian.AppendUint64(nil, seed)
	b = binary.BigEndian.AppendUint64(b, uint64(node))
	return sha256.Sum256(append(b, purpose...))
}

// stream is a stream of numbers.
func stream(seed uint64, node int, purpose string) *rand.PCG {
	s := seedOf(seed, node, purpose)
	return rand.NewPCG(binary.BigEndian.Uint64(s[:]), binary.BigEndian.Uint64(s[8:]))
}

// bytesOf makes a machine's randomness of a stream.
type bytesOf struct{ *rand.PCG }

// Read fills p.
func (b bytesOf) Read(p []byte) (int, error) {
	for i := 0; i < len(p); i += 8 {
		var v [8]byte
		binary.LittleEndian.PutUint64(v[:], b.Uint64())
		copy(p[i:], v[:])
	}
	return len(p), nil
}

// below returns a number from 0 to n-1.
func below(s rand.Source, n int) int { return int(s.Uint64() % uint64(n)) }

// delays are quantiles of the one-way delay between two relays: half of the median
// round-trip times between PlanetLab sites (testnet §4), scaled to a mean of 75 ms
// (directory §14). The steps between them are straight lines. All of it is in integers.
var delays = [...]struct{ percent, micros int64 }{
	{0, 1023}, {1, 4091}, {5, 9716}, {10, 16364}, {25, 30171}, {50, 69035},
	{75, 103297}, {90, 148809}, {95, 166195}, {99, 211196}, {100, 245457},
}

// quantile returns the delay at a fraction of 2^32.
func quantile(fraction uint32) time.Duration {
	at := int64(fraction) * 100 // in 1/2^32 of a percent
	for i := 1; i < len(delays); i++ {
		low, high := delays[i-1], delays[i]
		if at < high.percent<<32 || i == len(delays)-1 {
			part := (at - low.percent<<32) / (high.percent - low.percent) // of 2^32
			return time.Duration(low.micros+(high.micros-low.micros)*part>>32) * time.Microsecond
		}
	}
	return 0
}

// mix is a hash of two numbers under a key (splitmix64).
func mix(key, a, b uint64) uint64 {
	x := key ^ a*0x9e3779b97f4a7c15 ^ b*0xc2b2ae3d27d4eb4f
	for range 2 {
		x += 0x9e3779b97f4a7c15
		x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
		x = (x ^ x>>27) * 0x94d049bb133111eb
		x ^= x >> 31
	}
	return x
}
