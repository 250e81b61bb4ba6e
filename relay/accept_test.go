// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"crypto/ed25519"
	"testing"
	"time"

	"chive/directory/record"
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

// TestOnlyListedRelaysHaveARelaysLimits: an identity made up on the spot is a client.
func TestOnlyListedRelaysHaveARelaysLimits(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		made := ed25519.NewKeyFromSeed(append(make([]byte, 31), 99)).Public().(ed25519.PublicKey)
		if w.relay.knows(made) || w.relay.lists(record.RID{}) {
			t.Error("known, though on no list")
		}
		founder := w.keys[1].Public().(ed25519.PublicKey)
		if !w.relay.knows(founder) {
			t.Error("a relay of the list is not known")
		}
		for _, c := range []struct {
			rid  record.RID
			rate int
		}{
			{record.NewRID(w.doc.NetworkID(), made), createRateClient},
			{record.NewRID(w.doc.NetworkID(), founder), createRateRelay},
		} {
			// Both came up as clients.
			n := &neighbour{r: w.relay, rid: c.rid, admit: admission{Limiter: newAdmission(false, false)}}
			admitted := func() (count int) {
				for n.mayCreate() {
					count++
				}
				return count
			}
			if got := admitted(); got != createBurstClient {
				t.Errorf("%d at once", got)
			}
			<-time.After(time.Second)
			if got := admitted(); got != c.rate {
				t.Errorf("%d of %d in the next second", got, c.rate)
			}
		}
	})
}
