// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"time"

	"chive/circuit"
	"chive/directory/snapshot"
)

const (
	maxHeads = 4                // handshakes begun ahead
	headLife = 10 * time.Minute // an unused one is kept for so long
)

// head is a handshake with a guard, begun before there is a circuit for it. It is
// used for one circuit, as one begun later would be.
type head struct {
	p    *circuit.Prepared
	made time.Time
}

// target is what a circuit asks of the relay r.
func target(r *snapshot.Relay) circuit.Target {
	return circuit.Target{RID: r.RID, Onion: r.Onion, Addrs: r.Addresses}
}

// firstHop returns a handshake with the guard r: one begun ahead if there is one.
func (c *Client) firstHop(r *snapshot.Relay) (*circuit.Prepared, error) {
	t := target(r)
	c.mu.Lock()
	c.dropHeads(time.Now())
	for i, h := range c.heads {
		if h.p.For(t) {
			c.heads = append(c.heads[:i], c.heads[i+1:]...)
			c.mu.Unlock()
			return h.p, nil
		}
	}
	c.mu.Unlock()
	return circuit.Prepare(c.cfg.Rand, t)
}

// beginAhead begins a handshake with r for a later circuit, unless enough are kept.
// One with another guard makes room.
func (c *Client) beginAhead(r *snapshot.Relay) {
	t := target(r)
	c.mu.Lock()
	have := 0
	for _, h := range c.heads {
		if h.p.For(t) {
			have++
		}
	}
	c.mu.Unlock()
	if have >= maxHeads {
		return
	}
	p, err := circuit.Prepare(c.cfg.Rand, t)
	if err != nil {
		return // whoever needs one will hear of it
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		p.Wipe()
		return
	}
	if len(c.heads) >= maxHeads {
		c.heads[0].p.Wipe()
		c.heads = append(c.heads[:0], c.heads[1:]...)
	}
	c.heads = append(c.heads, head{p, time.Now()})
}

// dropHeads wipes what was begun too long ago: secrets that lie about unused are of
// no good. Under Client.mu.
func (c *Client) dropHeads(now time.Time) {
	n := 0
	for n < len(c.heads) && now.Sub(c.heads[n].made) >= headLife { // the oldest come first
		c.heads[n].p.Wipe()
		n++
	}
	c.heads = append(c.heads[:0], c.heads[n:]...)
}
