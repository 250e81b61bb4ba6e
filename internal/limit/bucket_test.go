// SPDX-License-Identifier: BSD-3-Clause

package limit

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var start = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

func TestBucketAdmitsBurstThenRate(t *testing.T) {
	b := NewBucket(20, 100)
	for i := range 100 {
		if !b.Take(start, 1) {
			t.Fatalf("token %d of the burst was refused", i)
		}
	}
	for _, step := range []struct {
		after time.Duration
		n     int64
		want  bool
	}{
		{0, 1, false},
		{50*time.Millisecond - 1, 1, false},
		{50 * time.Millisecond, 1, true},
		{50 * time.Millisecond, 1, false},
		{time.Second, 20, false}, // one of them is gone
		{time.Second, 19, true},
		{time.Hour, 101, false},
		{time.Hour, 100, true},
		{time.Hour, 0, true},
		{time.Hour, -1, false},
		{time.Minute, 1, false}, // the clock went back
		{time.Hour + 50*time.Millisecond, 1, true},
	} {
		if got := b.Take(start.Add(step.after), step.n); got != step.want {
			t.Errorf("Take(%v, %d) = %v, want %v", step.after, step.n, got, step.want)
		}
	}
}

func TestBucketAtItsExtremes(t *testing.T) {
	var zero Bucket
	if zero.Take(start, 1) || !zero.Take(start, 0) {
		t.Error("the zero bucket admits something")
	}
	negative := NewBucket(-1, -1)
	if negative.Take(start, 1) || negative.Take(start.Add(time.Hour), 1) {
		t.Error("a bucket of negative size admits something")
	}
	huge := NewBucket(math.MaxInt64, math.MaxInt64)
	if !huge.Take(start, 1<<32) || !huge.Take(start.Add(math.MaxInt64), 1<<32) || huge.Take(start, math.MaxInt64) {
		t.Error("the largest bucket is wrong")
	}
	still := NewBucket(0, 2)
	if !still.Take(start, 2) || still.Take(start.Add(1000*time.Hour), 1) {
		t.Error("a bucket without a rate refills")
	}
}

func TestFullBucketIsLikeANewOne(t *testing.T) {
	b := NewBucket(2, 60)
	if !b.Full(start) {
		t.Error("a new bucket is not full")
	}
	b.Take(start, 4)
	if b.Full(start.Add(2*time.Second-1)) || !b.Full(start.Add(2*time.Second)) {
		t.Error("full at the wrong time")
	}
}

func TestAnyWindowHoldsAtMostRateTimesTimePlusBurst(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate := rapid.Int64Range(0, 1_000).Draw(t, "rate")
		burst := rapid.Int64Range(0, 50).Draw(t, "burst")
		b := NewBucket(rate, burst)
		type taken struct {
			at time.Duration
			n  int64
		}
		var log []taken
		var now time.Duration
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now += time.Duration(rapid.Int64Range(0, int64(100*time.Millisecond)).Draw(t, "wait"))
			n := rapid.Int64Range(0, 10).Draw(t, "n")
			if b.Take(start.Add(now), n) {
				log = append(log, taken{now, n})
			}
		}
		for i := range log {
			var sum int64
			for _, x := range log[i:] {
				sum += x.n
				if window := x.at - log[i].at; sum*nano > rate*int64(window)+burst*nano {
					t.Fatalf("%d tokens in %v with rate %d and burst %d", sum, window, rate, burst)
				}
			}
		}
	})
}

func TestSteadyTakersGetTheWholeRate(t *testing.T) {
	b := NewBucket(999, 1) // 1 s / 999 is no whole number of nanoseconds
	var got int64
	for i := range 100_000 {
		if b.Take(start.Add(time.Duration(i)*100*time.Microsecond), 1) {
			got++
		}
	}
	if got < 9_000 || got > 9_991 {
		t.Errorf("%d tokens in 10 s at 999/s", got)
	}
}
