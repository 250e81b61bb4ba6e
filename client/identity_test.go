// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"chive/internal/testutil"
)

// TestNoCircuitServesTwoKeysOrTwoIdentities drives random orders of requests, of circuits
// that are finished or lost, of new identities, closings and time, and looks for a
// circuit that served two keys, or one key before and after a new identity (ISO-1, ISO-2).
func TestNoCircuitServesTwoKeysOrTwoIdentities(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(11, 5))
		type whom struct {
			key Isolation
			age uint64
		}
		for round := range 300 {
			c := bare()
			served := make(map[*circ]whom)
			serve := func(q *circ, key Isolation, age uint64) {
				now := whom{key, age}
				if before, ok := served[q]; ok && before != now {
					t.Fatalf("round %d: a circuit served %v and %v", round, before, now)
				}
				served[q] = now
			}
			var held []*circ
			waiting := make(map[*waiter]whom)
			for range 150 {
				switch rng.IntN(12) {
				case 0:
					if len(held) > 0 {
						i := rng.IntN(len(held))
						c.detach(held[i])
						held = append(held[:i], held[i+1:]...)
					}
				case 1:
					c.NewIdentity()
				case 2:
					if len(c.open) > 0 {
						c.retire(c.open[rng.IntN(len(c.open))])
					}
				case 3:
					if len(c.open) > 0 {
						c.forget(c.open[rng.IntN(len(c.open))])
					}
				case 4:
					time.Sleep(time.Duration(rng.IntN(300)) * time.Second)
					for _, q := range c.expired() {
						c.forget(q)
					}
				case 5, 6, 7:
					c.finish(ending(byte(rng.IntN(256)), web))
					for w, who := range waiting {
						if w.over() {
							delete(waiting, w)
							if w.q != nil {
								serve(w.q, who.key, who.age)
								held = append(held, w.q)
							}
						}
					}
				default:
					// A request that began before may come to a circuit only now.
					age := c.age - min(c.age, uint64(rng.IntN(3)/2))
					key := Isolation(fmt.Sprint(rng.IntN(4)))
					q, w, first := c.takeOrWait(age, key, needWeb, avoided{})
					switch {
					case q != nil:
						serve(q, key, age)
						held = append(held, q)
					case first:
						waiting[w] = whom{key, age}
					}
				}
			}
		}
	})
}

func TestCircuitDirtinessIsKeptTo(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		c := bare(ending(1, web))
		c.cfg.CircuitDirtiness = time.Minute
		c.detach(c.takeNow("a", needWeb, nil))
		time.Sleep(time.Minute - time.Second)
		q := c.takeNow("a", needWeb, nil)
		if q == nil {
			t.Fatal("not taken again within its time")
		}
		c.detach(q)
		time.Sleep(time.Second)
		if c.takeNow("a", needWeb, nil) != nil || len(c.expired()) != 1 {
			t.Error("kept beyond its time")
		}
	})
}

func TestConfigBoundsDirtinessAndPorts(t *testing.T) {
	inVillage(t, 3, func(t *testing.T, v *village) {
		many := make([]uint16, MaxPorts+1)
		for i := range many {
			many[i] = uint16(i + 1)
		}
		for name, c := range map[string]struct {
			change func(*Config)
			ok     bool
		}{
			"as it is":          {func(*Config) {}, true},
			"the shortest time": {func(c *Config) { c.CircuitDirtiness = MinCircuitDirtiness }, true},
			"the longest time":  {func(c *Config) { c.CircuitDirtiness = MaxCircuitDirtiness }, true},
			"too short":         {func(c *Config) { c.CircuitDirtiness = MinCircuitDirtiness - 1 }, false},
			"too long":          {func(c *Config) { c.CircuitDirtiness = MaxCircuitDirtiness + 1 }, false},
			"negative":          {func(c *Config) { c.CircuitDirtiness = -time.Hour }, false},
			"many ports":        {func(c *Config) { c.Ports = many[:MaxPorts] }, true},
			"too many ports":    {func(c *Config) { c.Ports = many }, false},
			"port 0":            {func(c *Config) { c.Ports = []uint16{443, 0} }, false},
		} {
			cfg := Config{Genesis: v.doc, Transport: v.net.Host(placeFor(200).Addr()), Rand: zeros{}}
			c.change(&cfg)
			if _, err := New(cfg); (err == nil) != c.ok {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
