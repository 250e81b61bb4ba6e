// SPDX-License-Identifier: BSD-3-Clause

package report

import (
	"math"
	"slices"
)

// Summary is what a figure came to over several runs.
type Summary struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
	Count  int     `json:"count"` // of values; 0: there are none, and the rest means nothing
}

// Summarize returns median and range of values, which it leaves as they are.
// Values that are no number are left out.
func Summarize(values []float64) Summary {
	v := numbers(values)
	if len(v) == 0 {
		return Summary{}
	}
	return Summary{Median: quantile(v, 0.5), Min: v[0], Max: v[len(v)-1], Count: len(v)}
}

// Quantile returns the value below which the share q, from 0 to 1, of values
// lies, interpolated between neighbours; NaN if there are none. It leaves values
// as they are.
func Quantile(values []float64, q float64) float64 {
	v := numbers(values)
	if len(v) == 0 || math.IsNaN(q) {
		return math.NaN()
	}
	return quantile(v, q)
}

// numbers returns the numbers among values, in order.
func numbers(values []float64) []float64 {
	var v []float64
	for _, x := range values {
		if !math.IsNaN(x) && !math.IsInf(x, 0) {
			v = append(v, x)
		}
	}
	slices.Sort(v)
	return v
}

func quantile(sorted []float64, q float64) float64 {
	at := min(max(q, 0), 1) * float64(len(sorted)-1)
	low := int(at)
	high := min(low+1, len(sorted)-1)
	return sorted[low] + (at-float64(low))*(sorted[high]-sorted[low])
}
