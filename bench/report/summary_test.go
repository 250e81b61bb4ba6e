// SPDX-License-Identifier: BSD-3-Clause

package report

import (
	"math"
	"testing"
)

func TestSummaryIsMedianAndRange(t *testing.T) {
	nan := math.NaN()
	for _, test := range []struct {
		name   string
		values []float64
		want   Summary
	}{
		{"nothing", nil, Summary{}},
		{"no number", []float64{nan, math.Inf(1)}, Summary{}},
		{"one", []float64{7}, Summary{7, 7, 7, 1}},
		{"odd", []float64{9, 1, 5}, Summary{5, 1, 9, 3}},
		{"even", []float64{4, 1, 3, 2}, Summary{2.5, 1, 4, 4}},
		{"numbers only", []float64{nan, 2, 4}, Summary{3, 2, 4, 2}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := Summarize(test.values); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestSummaryLeavesValuesInPlace(t *testing.T) {
	values := []float64{3, 1, 2}
	Summarize(values)
	if values[0] != 3 || values[1] != 1 || values[2] != 2 {
		t.Errorf("values were moved: %v", values)
	}
}

func TestQuantileInterpolates(t *testing.T) {
	values := []float64{40, 10, 30, 20}
	for _, test := range []struct{ q, want float64 }{
		{0, 10}, {0.5, 25}, {1, 40}, {-1, 10}, {2, 40}, {1.0 / 3, 20},
	} {
		if got := Quantile(values, test.q); math.Abs(got-test.want) > 1e-9 {
			t.Errorf("quantile %v is %v, want %v", test.q, got, test.want)
		}
	}
	if !math.IsNaN(Quantile(nil, 0.5)) || !math.IsNaN(Quantile(values, math.NaN())) {
		t.Error("a quantile of nothing is a number")
	}
}
