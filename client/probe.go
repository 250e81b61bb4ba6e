// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"context"
	"encoding/binary"
	"io"
	"slices"
	"sync"
	"time"

	"chive/directory/record"
	"chive/directory/snapshot"
	"chive/link"
)

// probePause is the least time between two probes.
const probePause = 10 * time.Second

// probeTime bounds each link of a probe.
const probeTime = 10 * time.Second

// probeStrangers is how many relays one probe may try: where many relays are gone at
// once, the first that is drawn may be one of them.
const probeStrangers = 3

// probe makes a link to a relay that is no guard, when no guard can be reached:
// only that tells guards that are gone from a network that is down, and fresh
// guards are drawn in the first case alone. Nothing but the link is made. While the
// network seemed down nothing was held against a guard, so that those are tried anew
// once it is seen to be there. It reports whether a guard can be used now; who comes
// while a probe is being made waits for that one.
func (c *Client) probe(ctx context.Context) bool {
	c.mu.Lock()
	p := c.probing
	if p != nil {
		c.mu.Unlock()
		select {
		case <-p.done:
			return p.found
		case <-ctx.Done():
			return false
		}
	}
	strangers := c.strangers(time.Now())
	if len(strangers) == 0 {
		down := c.guards.Down(time.Now())
		c.mu.Unlock()
		return !down && len(c.usableGuards()) > 0 // another request's probe has found them
	}
	p = &probing{done: make(chan struct{})}
	c.probing = p
	c.mu.Unlock()
	for _, r := range strangers {
		reached, found := c.probeBy(ctx, r)
		if p.found = found; reached || ctx.Err() != nil {
			break // it told the guards from the network, or there is no time
		}
	}
	c.mu.Lock()
	c.probing = nil
	c.mu.Unlock()
	close(p.done)
	return p.found
}

// probeSoon is probe for a request: where a probe was made a moment ago, whose guards are
// gone too, it waits until there may be another. It does not while the network is down.
func (c *Client) probeSoon(ctx context.Context) bool {
	if c.probe(ctx) {
		return true
	}
	now := time.Now()
	c.mu.Lock()
	wait, down := c.probed.Add(probePause).Sub(now), c.guards.Down(now)
	c.mu.Unlock()
	if down || wait <= 0 {
		return false
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return c.probe(ctx)
	}
}

// probing is a probe that is being made. found is set before done is closed.
type probing struct {
	done  chan struct{}
	found bool
}

// probeBy makes the probe with r. reached: r was there. found: a guard can be used now.
func (c *Client) probeBy(ctx context.Context, r *snapshot.Relay) (reached, found bool) {
	l, err := c.probeLink(ctx, r)
	if err != nil {
		return false, false
	}
	if untried := c.unprovenGuards(); len(untried) > 0 {
		// With the first link open the network is not down, and a failure counts. One of
		// before may have been the network's.
		found, failed := c.reachesAny(ctx, untried)
		leave(l)
		if found {
			return true, true
		}
		// One more, since only a link after the last failure speaks against the guards.
		if l, err = c.probeLink(ctx, r); err != nil {
			return true, false
		}
		c.mu.Lock()
		c.guards.Proven(failed)
		c.mu.Unlock()
	}
	leave(l)
	if c.settled(time.Now()) {
		_ = c.updateGuards()
	}
	return true, len(c.usableGuards()) > 0
}

func (c *Client) probeLink(ctx context.Context, r *snapshot.Relay) (*link.Link, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	return c.linkTo(ctx, r)
}

// leave ends a link that nobody uses.
func leave(l *link.Link) {
	if open, _ := l.Streams(); open == 0 {
		_ = l.Close()
	}
}

// reachesAny reports whether a link to one of these can be made, and to which of them none
// could for a reason that is not on this side. It tries all at once: one that does not
// answer takes as long as a probe may.
func (c *Client) reachesAny(ctx context.Context, relays []*snapshot.Relay) (found bool, failed []record.RID) {
	errs := make([]error, len(relays))
	var tasks sync.WaitGroup
	for i, r := range relays {
		tasks.Go(func() { _, errs[i] = c.probeLink(ctx, r) })
	}
	tasks.Wait()
	for i, err := range errs {
		switch {
		case err == nil:
			found = true
		case !ofThisSide(err):
			failed = append(failed, relays[i].RID)
		}
	}
	return found, failed
}

// unprovenGuards returns the guards of the table that could not be reached only when
// nobody else may have been, or were not tried.
func (c *Client) unprovenGuards() []*snapshot.Relay {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []*snapshot.Relay
	for _, g := range c.guards.List(time.Now()) {
		if r, there := c.dir.table.view.Table().Relay(g.RID); there && !g.Proven && !g.Absent {
			out = append(out, r)
		}
	}
	return out
}

// settled reports whether guards may be drawn from the list in use: it was obtained, or
// need not be.
func (c *Client) settled(now time.Time) bool {
	c.mu.Lock()
	ready := c.dir.state == StateReady
	c.mu.Unlock()
	return ready || c.fresh(now)
}

// strangers returns running relays that are no guards, at random and probeStrangers at
// most; none if a guard is usable, none was drawn yet, or a probe was made a moment ago.
// While the network seems down every guard counts as usable, and none is. Under Client.mu.
func (c *Client) strangers(now time.Time) []*snapshot.Relay {
	if now.Sub(c.probed) < probePause {
		return nil
	}
	down := c.guards.Down(now)
	var guards []record.RID
	for _, g := range c.guards.List(now) {
		if !down && !g.Unreachable && !g.Absent {
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
	n := min(probeStrangers, len(others))
	for i := range n {
		var b [8]byte
		if _, err := io.ReadFull(c.cfg.Rand, b[:]); err != nil {
			return nil
		}
		j := i + int(binary.BigEndian.Uint64(b[:])%uint64(len(others)-i))
		others[i], others[j] = others[j], others[i]
	}
	if n > 0 {
		c.probed = now
	}
	return others[:n]
}

// blocked reports whether guards cannot be reached although other relays can, and
// no further guard may be drawn.
func (c *Client) blocked() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.guards != nil && c.guards.Blocked(time.Now())
}
