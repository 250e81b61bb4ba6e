// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"testing"
	"time"
)

// TestOverloadIsOfTheLastMinute: a refusal is seen by who looks once a minute, and is over
// then. Spec: product §6 (REL-6, REL-10).
func TestOverloadIsOfTheLastMinute(t *testing.T) {
	var r Relay
	now := time.Unix(1_800_000_000, 0)
	if _, o := r.linkStatus(now); o != (Overload{}) {
		t.Errorf("at the start: %+v", o)
	}
	r.count.tooOften()
	if _, o := r.linkStatus(now); o != (Overload{}) || r.count.refusals.Load() != 1 || r.count.hurried.Load() != 1 {
		t.Errorf("one that asks too often: %+v, %d", o, r.count.refusals.Load())
	}
	r.count.tooMany(now)
	for after, want := range map[time.Duration]bool{0: true, time.Minute: true, time.Minute + time.Second: false} {
		if _, o := r.linkStatus(now.Add(after)); o.Handshakes != want || o.Descriptors {
			t.Errorf("after %v: %+v", after, o)
		}
	}
	if r.count.refusals.Load() != 2 || r.count.hurried.Load() != 1 {
		t.Errorf("%d refused, %d of them for their rate", r.count.refusals.Load(), r.count.hurried.Load())
	}
}
