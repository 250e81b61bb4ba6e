// SPDX-License-Identifier: BSD-3-Clause

package scenario

import (
	"math"
	"strings"
	"testing"
	"time"
)

func TestIntervalIsStudents(t *testing.T) {
	// Mean 3, standard deviation 1.5811, n = 5: 2.776 x 1.5811 / sqrt(5).
	mean, low, high, ok := Interval([]float64{1, 2, 3, 4, 5})
	if !ok || mean != 3 || math.Abs(high-3-1.9629) > 1e-3 || math.Abs(3-low-1.9629) > 1e-3 {
		t.Errorf("%v %v %v %v", mean, low, high, ok)
	}
	if _, low, high, ok := Interval([]float64{1, 5}); ok || low != 3 || high != 3 {
		t.Error("two values have an interval")
	}
	if got := studentAt(1000); got != 2.042 {
		t.Errorf("beyond the table: %v", got)
	}
}

func TestAGoalIsMetByTheWholeInterval(t *testing.T) {
	for _, c := range []struct {
		row  Row
		want Verdict
	}{
		{AtMost("x", "s", []float64{1, 2, 3, 4, 5}, 5), Met},
		{AtMost("x", "s", []float64{1, 2, 3, 4, 5}, 4.9), Missed},
		{AtMost("x", "s", []float64{1, 5}, 4), Missed}, // no interval: each counts
		{AtMost("x", "s", []float64{4}, 4), Met},
		{AtMost("x", "s", nil, 4), Missed},
		{AtLeast("x", "", []float64{.9, .9, .9}, .9), Met},
		{AtLeast("x", "", []float64{.8, .9, 1}, .9), Missed},
		{AtLeast("x", "", []float64{1, .8}, .9), Missed},
		{Show("x", "", []float64{1, 2}), Shown},
	} {
		if c.row.Verdict != c.want {
			t.Errorf("%+v", c.row)
		}
	}
	r := Result{Rows: []Row{AtMost("x", "s", []float64{1}, 5), AtMost("y", "s", []float64{6}, 5)}}
	if !r.Missed() || (&Result{Rows: r.Rows[:1]}).Missed() {
		t.Error("a result misses what a row misses")
	}
}

func TestFiguresAreShort(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 17: "17", 12.3456: "12.35", 0.00001: "1.00e-05", 1234.5: "1234", 2.5e6: "2.50e+06", 0.001: "0.001"} {
		if got := Figure(v); got != want {
			t.Errorf("%v: %s, not %s", v, got, want)
		}
	}
	if r := Show("x", "", []float64{1}); r.Range() != "no interval" {
		t.Error(r.Range())
	}
	if r := Show("x", "", []float64{1, 1, 1}); r.Range() != "1 .. 1" {
		t.Error(r.Range())
	}
}

func TestABreachSaysHowToSeeItAgain(t *testing.T) {
	b := &Breach{Invariant: "I3", Text: "two finals in epoch 7", Seed: 4, At: 70 * time.Second, Replay: "chive testnet run equivocate --seed 4"}
	for _, part := range []string{"I3", "two finals in epoch 7", "1m10s", "seed 4", b.Replay} {
		if !strings.Contains(b.Error(), part) {
			t.Errorf("%q lacks %q", b.Error(), part)
		}
	}
}
