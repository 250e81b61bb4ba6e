// SPDX-License-Identifier: BSD-3-Clause

package snapshot

// MaxBucket is the largest bucket that stands for a rate below 2^32 kbit/s.
const MaxBucket = 127

// Rate returns the bandwidth that a bucket stands for, in kbit/s, in steps of
// 2^(1/4). Bucket 0 is that of a relay that declares nothing: its rate by the
// formula is 1, and no position is given to it. Buckets above MaxBucket count as
// MaxBucket. Spec: directory §9.
func Rate(bucket uint8) uint32 {
	b := min(bucket, MaxBucket)
	var r uint64
	switch b & 3 {
	case 0:
		r = 65536
	case 1:
		r = 77936
	case 2:
		r = 92682
	case 3:
		r = 110218
	}
	return uint32(r << (b >> 2) >> 16)
}

// BucketOf returns the highest bucket whose rate does not exceed rate, in kbit/s;
// 0 only for 0.
func BucketOf(rate uint32) uint8 {
	if rate == 0 {
		return 0
	}
	b := uint8(MaxBucket)
	for b > 0 && Rate(b) > rate {
		b--
	}
	return b
}
