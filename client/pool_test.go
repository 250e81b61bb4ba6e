// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"chive/directory/record"
	"chive/directory/snapshot"
	"chive/internal/testutil"
)

// bare returns a client that has circuits but no network.
func bare(open ...*circ) *Client {
	return &Client{
		open: open, work: make(chan struct{}, 1),
		needs: make(map[need]*demand), failed: make(map[record.RID]time.Time),
		ongoing: make(map[ongoing]*waiter),
	}
}

// takeNow finds an open circuit.
func (c *Client) takeNow(key Isolation, n need, avoid []record.RID) *circ {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.take(time.Now(), c.age, key, n, avoided{exits: avoid})
}

// ending returns an unused circuit whose last hop is an exit with the given policy.
func ending(id byte, policy ...record.PortRange) *circ {
	last := &snapshot.Relay{Policy: policy}
	last.RID[0] = id
	if len(policy) > 0 {
		last.Flags |= snapshot.FlagExit
	}
	return &circ{path: []*snapshot.Relay{{}, {}, last}, openedAt: time.Now()}
}

var web = record.PortRange{Protocol: record.TCP, First: 80, Last: 443}

// TestCircuitServesOneKey drives random orders of requests, releases, retirements
// and time, and looks for a circuit that served two keys (ISO-1, ISO-2).
func TestCircuitServesOneKey(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(7, 7))
		for range 200 {
			var open []*circ
			for i := range 12 {
				open = append(open, ending(byte(i), web))
			}
			c := bare(open...)
			served := make(map[*circ]Isolation)
			var held []*circ
			for range 100 {
				switch rng.IntN(6) {
				case 0:
					if len(held) > 0 {
						i := rng.IntN(len(held))
						c.detach(held[i])
						held = append(held[:i], held[i+1:]...)
					}
				case 1:
					c.retire(open[rng.IntN(len(open))])
				case 2:
					time.Sleep(time.Duration(rng.IntN(400)) * time.Second)
				default:
					key := Isolation(fmt.Sprint(rng.IntN(5)))
					q := c.takeNow(key, needWeb, nil)
					if q == nil {
						continue
					}
					if old, ok := served[q]; ok && old != key {
						t.Fatalf("a circuit served %q and %q", old, key)
					}
					served[q] = key
					held = append(held, q)
				}
			}
		}
	})
}

func TestCircuitTakesStreamsForTenMinutes(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		c := bare(ending(1, web))
		q := c.takeNow("a", needWeb, nil)
		if q == nil {
			t.Fatal("an unused circuit was not taken")
		}
		c.detach(q)
		time.Sleep(DefaultCircuitDirtiness - time.Second)
		if c.takeNow("a", needWeb, nil) != q {
			t.Error("not taken again within its ten minutes")
		}
		c.detach(q)
		time.Sleep(2 * time.Second)
		if c.takeNow("a", needWeb, nil) != nil {
			t.Error("taken after its ten minutes")
		}
		if out := c.expired(); len(out) != 1 {
			t.Errorf("%d circuits expired, want 1", len(out))
		}
	})
}

func TestTakeKeepsToPolicyAvoidanceAndBounds(t *testing.T) {
	q := ending(1, web)
	c := bare(q, ending(2))
	if c.takeNow("a", need{protocol: record.TCP, port: 25}, nil) != nil {
		t.Error("taken for a port that its exit does not permit")
	}
	if c.takeNow("a", needWeb, []record.RID{q.last().RID}) != nil {
		t.Error("taken although its exit is to be avoided")
	}
	if got := c.takeNow("a", needDir, []record.RID{q.last().RID}); got == nil || got == q {
		t.Error("a directory request was not given the relay that is no exit")
	}
	q.streams, q.taken, q.key, q.takenAt = maxStreams-1, true, "a", time.Now()
	if c.takeNow("a", needWeb, nil) != q {
		t.Error("refused below its bound of streams")
	}
	if c.takeNow("a", needWeb, nil) != nil {
		t.Error("taken beyond its bound of streams")
	}
}

func TestIdleCircuitsOfManyKeysAreClosedOldestFirst(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		var open []*circ
		for i := range maxIdle + 3 {
			open = append(open, ending(byte(i), web))
		}
		c := bare(open...)
		for i := range open {
			time.Sleep(time.Second)
			c.detach(c.takeNow(Isolation(fmt.Sprint(i)), needWeb, nil))
		}
		out := c.expired()
		if len(out) != 3 {
			t.Fatalf("%d closed, want 3", len(out))
		}
		for _, q := range out {
			if n := q.key; n != "0" && n != "1" && n != "2" {
				t.Errorf("closed the circuit of key %s, not the one idle longest", n)
			}
		}
	})
}

func TestNeedsKeptInMindAreBounded(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		c := bare()
		for p := range uint16(3 * maxNeeds) {
			time.Sleep(time.Second)
			c.remember(need{protocol: record.TCP, port: p + 1})
		}
		if len(c.needs) != maxNeeds {
			t.Fatalf("%d needs, want %d", len(c.needs), maxNeeds)
		}
		if _, ok := c.needs[need{protocol: record.TCP, port: 3 * maxNeeds}]; !ok {
			t.Error("the newest need was forgotten")
		}
		time.Sleep(needLife + time.Second)
		if n := len(c.lacking()); n != 1 {
			t.Errorf("%d circuits wanted, want 1 for the web alone", n)
		}
	})
}

func TestFailedRelaysAreAvoidedForAWhileWithinBounds(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		c := bare()
		for i := range maxFailed + 10 {
			c.avoidRelay(record.RID{byte(i), byte(i >> 8)})
		}
		if len(c.failed) != maxFailed {
			t.Errorf("%d relays kept in mind, want %d", len(c.failed), maxFailed)
		}
		time.Sleep(failedLife + time.Second)
		c.avoidRelay(record.RID{1, 2, 3})
		if len(c.failed) != 1 {
			t.Errorf("%d relays kept in mind after their time, want 1", len(c.failed))
		}
	})
}

func TestBuildTimeoutIsLearntWithinBounds(t *testing.T) {
	var b buildTimeout
	if b.limit() != buildFirstLimit {
		t.Errorf("limit before any build = %v", b.limit())
	}
	for range buildFewest {
		b.add(time.Millisecond)
	}
	if b.limit() != buildMinLimit {
		t.Errorf("limit after fast builds = %v, want the least", b.limit())
	}
	for range buildSamples {
		b.add(2 * time.Second)
	}
	if b.limit() != 8*time.Second {
		t.Errorf("limit after builds of 2 s = %v", b.limit())
	}
	for range buildSamples {
		b.add(time.Minute)
	}
	if b.limit() != buildMaxLimit {
		t.Errorf("limit after slow builds = %v, want the most", b.limit())
	}
	if len(b.times) != buildSamples {
		t.Errorf("%d samples kept", len(b.times))
	}
}
