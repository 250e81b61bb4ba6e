// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"testing"
	"time"
)

// TestCreateIsBoundedByATokenBucket holds each kind of link to its burst and rate.
// Spec: protocol §4 (HS-4); B8 of the threat model.
func TestCreateIsBoundedByATokenBucket(t *testing.T) {
	now := time.Unix(1000, 0)
	for _, c := range []struct {
		name        string
		relay       bool
		burst, rate int
	}{
		{"client", false, createBurstClient, createRateClient},
		{"relay", true, createBurstRelay, createRateRelay},
	} {
		a := newAdmission(c.relay, false)
		for i := range c.burst {
			if !a.AllowN(now, 1) {
				t.Fatalf("%s: refused at %d of a burst of %d", c.name, i, c.burst)
			}
		}
		if a.AllowN(now, 1) {
			t.Errorf("%s: admitted beyond its burst", c.name)
		}
		later := now.Add(time.Second)
		for range c.rate {
			if !a.AllowN(later, 1) {
				t.Errorf("%s: refused within its rate", c.name)
			}
		}
		if a.AllowN(later, 1) {
			t.Errorf("%s: admitted beyond its rate", c.name)
		}
	}
	a := newAdmission(false, true)
	for range 100_000 {
		if !a.AllowN(now, 1) {
			t.Fatal("a testnet's link was refused")
		}
	}
}
