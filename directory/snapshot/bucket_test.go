// SPDX-License-Identifier: BSD-3-Clause

package snapshot

import "testing"

func TestBuckets(t *testing.T) {
	for b, want := range map[uint8]uint32{0: 1, 4: 2, 36: 512, 40: 1024, 57: 19484, 127: 3611623424} {
		if got := Rate(b); got != want {
			t.Errorf("bucket %d: %d kbit/s, want %d", b, got, want)
		}
	}
	for b := range uint8(MaxBucket) {
		if Rate(b) > Rate(b+1) {
			t.Errorf("bucket %d is above the next", b)
		}
		if b >= 12 && (float64(Rate(b+1))/float64(Rate(b)) < 1.1 || float64(Rate(b+1))/float64(Rate(b)) > 1.3) {
			t.Errorf("the step after bucket %d is no fourth root of 2", b)
		}
	}
	if Rate(255) != Rate(MaxBucket) {
		t.Error("a bucket beyond the last has another rate")
	}
}

func TestBucketOfIsTheHighestThatDoesNotExceed(t *testing.T) {
	for _, rate := range []uint32{1, 2, 3, 5, 511, 512, 513, 19483, 19484, 100000, 1 << 31, 1<<32 - 1} {
		b := BucketOf(rate)
		if Rate(b) > rate || (b < MaxBucket && Rate(b+1) <= rate) || b == 0 {
			t.Errorf("%d kbit/s: bucket %d", rate, b)
		}
	}
	if BucketOf(0) != 0 {
		t.Error("a relay that declares nothing is in a bucket")
	}
}
