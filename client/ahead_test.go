// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"crypto/rand"
	"testing"
	"time"

	"chive/circuit"
	"chive/circuit/handshake"
	"chive/directory/snapshot"
	"chive/internal/testutil"
)

// guardOf returns a relay with an onion key of its own.
func guardOf(id byte) *snapshot.Relay {
	r := new(snapshot.Relay)
	r.Onion = handshake.NewOnionKey(&[32]byte{id}).Public()
	r.RID[0] = id
	return r
}

func TestHandshakesBegunAheadAreFewAndUsedOnce(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		c := bare()
		c.cfg.Rand = rand.Reader
		a, b := guardOf(1), guardOf(2)
		for range maxHeads + 2 {
			c.beginAhead(a)
		}
		if len(c.heads) != maxHeads {
			t.Fatalf("%d are kept, want %d", len(c.heads), maxHeads)
		}
		seen := make(map[*circuit.Prepared]bool)
		for range maxHeads + 1 {
			p, err := c.firstHop(a)
			if err != nil || !p.For(target(a)) || seen[p] {
				t.Fatalf("not a handshake of its own with the guard: %v", err)
			}
			seen[p] = true
		}
		if len(c.heads) != 0 {
			t.Errorf("%d are left", len(c.heads))
		}

		for range maxHeads {
			c.beginAhead(a)
		}
		oldest := c.heads[0].p
		c.beginAhead(b)
		if len(c.heads) != maxHeads || oldest.For(target(a)) {
			t.Error("another guard's did not take the place of the oldest, which is wiped")
		}
		rotated := guardOf(2)
		rotated.Onion = guardOf(3).Onion
		if p, err := c.firstHop(rotated); err != nil || !p.For(target(rotated)) {
			t.Errorf("begun with an onion key that the guard no longer has: %v", err)
		}

		kept := c.heads[0].p
		time.Sleep(headLife)
		if c.lacking(); len(c.heads) != 0 || kept.For(target(a)) {
			t.Error("kept and not wiped after its time")
		}
		c.beginAhead(a)
		kept = c.heads[0].p
		c.shutdown()
		if len(c.heads) != 0 || kept.For(target(a)) {
			t.Error("kept and not wiped when the client ended")
		}
		if c.beginAhead(a); len(c.heads) != 0 {
			t.Error("begun after the client ended")
		}
	})
}
