// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"context"
	"encoding/binary"
	"io"
	"slices"
	"time"

	"chive/directory/record"
	"chive/directory/snapshot"
)

// probePause is the least time between two probes.
const probePause = 10 * time.Second

// probe makes a link to a relay that is no guard, when no guard can be reached:
// only that tells guards that are gone from a network that is down, and fresh
// guards are drawn in the first case alone. Nothing but the link is made.
func (c *Client) probe(ctx context.Context) {
	r := c.anyStranger(time.Now())
	if r == nil {
		return
	}
	l, err := c.linkTo(ctx, r)
	if err != nil {
		return
	}
	if open, _ := l.Streams(); open == 0 {
		_ = l.Close()
	}
	if c.settled(time.Now()) {
		_ = c.updateGuards()
	}
}

// settled reports whether guards may be drawn from the list in use: it was obtained, or
// need not be.
func (c *Client) settled(now time.Time) bool {
	c.mu.Lock()
	ready := c.dir.state == StateReady
	c.mu.Unlock()
	return ready || c.fresh(now)
}

// anyStranger returns a random running relay that is no guard, or nil if a guard is
// usable, none was drawn yet, or a probe was made a moment ago.
func (c *Client) anyStranger(now time.Time) *snapshot.Relay {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Sub(c.probed) < probePause {
		return nil
	}
	var guards []record.RID
	for _, g := range c.guards.List(now) {
		if !g.Unreachable && !g.Absent {
			return nil
		}
		guards = append(guards, g.RID)
	}
	if len(guards) == 0 {
		return nil
	}
	var others []*snapshot.Relay
	table := c.dir.table.view.Table()
	for i := range table.Len() {
		if r := table.At(i); r.Flags&snapshot.FlagRunning != 0 && c.passes(r) && !slices.Contains(guards, r.RID) {
			others = append(others, r)
		}
	}
	var b [8]byte
	if len(others) == 0 {
		return nil
	}
	if _, err := io.ReadFull(c.cfg.Rand, b[:]); err != nil {
		return nil
	}
	c.probed = now
	return others[binary.BigEndian.Uint64(b[:])%uint64(len(others))]
}

// blocked reports whether guards cannot be reached although other relays can, and
// no further guard may be drawn.
func (c *Client) blocked() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.guards != nil && c.guards.Blocked(time.Now())
}
