// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// ErrRate means a text that is not a rate with a unit.
var ErrRate = errors.New("config: a rate is a number with a unit, such as 2 MiB/s or 20 Mbit/s")

// unit is a unit of data in bits.
type unit struct {
	name string
	bits float64
}

var units = [...]unit{
	{"B", 8}, {"kB", 8e3}, {"MB", 8e6}, {"GB", 8e9},
	{"KiB", 8 << 10}, {"MiB", 8 << 20}, {"GiB", 8 << 30},
	{"kbit", 1e3}, {"Mbit", 1e6}, {"Gbit", 1e9},
}

// maxRate bounds a rate in bits per second: above what any machine has.
const maxRate = 1e15

// ParseRate reads a rate and returns it in bits per second. A bare number is
// refused, as nobody could tell bits from bytes. Error: ErrRate.
// Spec: product CFG-2.
func ParseRate(text string) (bitsPerSecond uint64, err error) {
	text = strings.TrimSpace(text)
	split := strings.LastIndexAny(text, "0123456789.") + 1
	n, err := strconv.ParseFloat(text[:split], 64)
	if err != nil || math.IsNaN(n) || n < 0 {
		return 0, ErrRate
	}
	name, isRate := strings.CutSuffix(strings.TrimSpace(text[split:]), "/s")
	for _, u := range units {
		if bits := n * u.bits; isRate && strings.EqualFold(u.name, name) && bits <= maxRate {
			return uint64(bits), nil
		}
	}
	return 0, ErrRate
}
