// SPDX-License-Identifier: BSD-3-Clause

package scenario

import (
	"errors"
	"fmt"
	"math"
	"strconv"
)

// ErrOption means an option that the scenario cannot run with.
var ErrOption = errors.New("scenario: option out of bounds")

// minSeeds is the fewest seeds that give an interval.
const minSeeds = 3

// rounding is what sums of equal values may be off by.
const rounding = 1e-12

// student are the 97.5 % quantiles of Student's t by degrees of freedom, from 1 on.
var student = [...]float64{
	12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
	2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
}

// studentAt returns the quantile for so many degrees of freedom. Beyond the table it is
// that of the table's end, which is a little wider than right.
func studentAt(freedom int) float64 { return student[min(freedom, len(student))-1] }

// Interval returns the mean of one value per seed and its 95 % interval. ok is false for
// fewer than three values: low and high are the mean then.
func Interval(values []float64) (mean, low, high float64, ok bool) {
	n := float64(len(values))
	for _, v := range values {
		mean += v
	}
	mean /= n
	if len(values) < minSeeds {
		return mean, mean, mean, false
	}
	var square float64
	for _, v := range values {
		square += (v - mean) * (v - mean)
	}
	half := studentAt(len(values)-1) * math.Sqrt(square/(n-1)/n)
	if half <= math.Abs(mean)*rounding { // equal values
		half = 0
	}
	return mean, mean - half, mean + half, true
}

// Show is a row without a goal, of one value per seed.
func Show(metric, unit string, values []float64) Row {
	mean, low, high, ok := Interval(values)
	return Row{Metric: metric, Value: mean, Low: low, High: high, Interval: ok, Unit: unit}
}

// AtMost is a row that must not exceed a limit: the whole interval where there is one,
// else each value. Spec: testnet §3 (SCN-4).
func AtMost(metric, unit string, values []float64, limit float64) Row {
	r := Show(metric, unit, values)
	return r.judge("<= ", limit, worst(values, func(v float64) bool { return v > limit }) || r.Interval && r.High > limit+math.Abs(limit)*rounding)
}

// AtLeast is a row that must reach a limit, as AtMost.
func AtLeast(metric, unit string, values []float64, limit float64) Row {
	r := Show(metric, unit, values)
	return r.judge(">= ", limit, worst(values, func(v float64) bool { return v < limit }) || r.Interval && r.Low < limit-math.Abs(limit)*rounding)
}

// worst reports whether values without an interval miss a goal: there each counts.
func worst(values []float64, misses func(float64) bool) bool {
	if len(values) >= minSeeds {
		return false
	}
	for _, v := range values {
		if misses(v) {
			return true
		}
	}
	return len(values) == 0
}

func (r Row) judge(sign string, limit float64, missed bool) Row {
	r.Goal, r.Verdict = sign+strconv.FormatFloat(limit, 'g', -1, 64), Met
	if missed || math.IsNaN(r.Value) {
		r.Verdict = Missed
	}
	return r
}

// Figure is a number as tables show it: four digits that count.
func Figure(v float64) string {
	switch {
	case v == math.Trunc(v) && math.Abs(v) < 1e6:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case math.Abs(v) >= 1e6 || v != 0 && math.Abs(v) < 1e-3:
		return strconv.FormatFloat(v, 'e', 2, 64)
	case math.Abs(v) >= 1000:
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}

// Range is a row's interval as tables show it.
func (r *Row) Range() string {
	if !r.Interval {
		return "no interval"
	}
	return fmt.Sprintf("%s .. %s", Figure(r.Low), Figure(r.High))
}
