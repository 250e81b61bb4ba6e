// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"context"
	"slices"
	"time"

	"chive/directory/record"
)

// waiter is a request for which no circuit is open, together with those of the same
// key that came after it.
type waiter struct {
	key   Isolation
	n     need
	avoid []record.RID
	old   bool // asked before NewIdentity; under Client.mu

	// Set before done is closed.
	q    *circ // claimed for one stream of key; nil: try again
	err  error
	done chan struct{}
}

// ongoing names what requests of one key wait for.
type ongoing struct {
	key Isolation
	n   need
}

// attach returns a circuit for a stream of key, counted as carrying it: one that
// serves the key already, else an unused one, else the next one to be finished.
// Requests of one key that come at once wait for one circuit instead of building one
// each. avoid lists last hops that a request has tried. detach gives the circuit
// back.
func (c *Client) attach(ctx context.Context, key Isolation, n need, avoid []record.RID) (*circ, error) {
	c.remember(n)
	for {
		q, w, first := c.takeOrWait(key, n, avoid)
		if q != nil {
			return q, nil
		}
		if first && !c.buildFor(w) {
			c.giveUp(w, errStarting("it is shutting down"))
		}
		select {
		case <-w.done:
		case <-ctx.Done():
			if first {
				c.giveUp(w, nil) // the others go on
			}
			if !first || w.q == nil {
				return nil, ctx.Err()
			}
		}
		switch {
		case w.err != nil:
			return nil, w.err
		case first && w.q != nil:
			return w.q, nil
		case ctx.Err() != nil:
			return nil, ctx.Err()
		}
	}
}

// takeOrWait finds an open circuit, or what to wait for; first says that nobody
// waited before.
func (c *Client) takeOrWait(key Isolation, n need, avoid []record.RID) (q *circ, w *waiter, first bool) {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if q := c.take(now, key, n, avoid); q != nil {
		return q, nil, false
	}
	if w := c.ongoing[ongoing{key, n}]; w != nil {
		return nil, w, false
	}
	w = &waiter{key: key, n: n, avoid: avoid, done: make(chan struct{})}
	c.ongoing[ongoing{key, n}] = w
	c.waiters = append(c.waiters, w)
	c.building++
	c.needed(now, key, n)
	return nil, w, true
}

// take finds an open circuit. Under Client.mu.
func (c *Client) take(now time.Time, key Isolation, n need, avoid []record.RID) *circ {
	var best *circ
	for _, q := range c.open {
		if q.retired || q.streams >= maxStreams || slices.Contains(avoid, q.last().RID) || !serves(q.last(), n) {
			continue
		}
		switch {
		case q.taken && q.key == key && now.Sub(q.takenAt) < dirtyLife:
			// Prefer what carries the key already, the fewest streams first.
			if best == nil || !best.taken || q.streams < best.streams {
				best = q
			}
		case !q.taken && best == nil:
			best = q
		}
	}
	if best != nil {
		if !best.taken {
			c.needed(now, key, n)
		}
		best.claim(key, now)
	}
	return best
}

// claim marks q as carrying one more stream of key. Under Client.mu.
func (q *circ) claim(key Isolation, now time.Time) {
	if !q.taken {
		q.taken, q.key, q.takenAt = true, key, now
	}
	q.streams++
}

// needed notes that a request used up, or lacked, an unused circuit, and has further
// ones built. What the client asks for itself foretells nothing. Under Client.mu.
func (c *Client) needed(now time.Time, key Isolation, n need) {
	if d := c.needs[n]; d != nil && key != checkKey {
		d.need(now)
	}
	c.kick()
}

// hand gives q, just built, to the request that has waited longest among those it
// suits. Under Client.mu.
func (c *Client) hand(q *circ, now time.Time) {
	for _, w := range c.waiters {
		if serves(q.last(), w.n) && !slices.Contains(w.avoid, q.last().RID) {
			q.claim(w.key, now)
			q.retired = w.old // nobody later shares it
			w.q = q
			c.settle(w)
			return
		}
	}
}

// giveUp ends the wait of w, unless it has ended.
func (c *Client) giveUp(w *waiter, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if slices.Contains(c.waiters, w) {
		w.err = err
		c.settle(w)
	}
}

// settle lets those go on that wait for w. They share its failure: each building in
// turn would make the last one wait for all. Under Client.mu.
func (c *Client) settle(w *waiter) {
	c.waiters = slices.DeleteFunc(c.waiters, func(o *waiter) bool { return o == w })
	if o := (ongoing{w.key, w.n}); c.ongoing[o] == w {
		delete(c.ongoing, o)
	}
	close(w.done)
}

// waits reports whether w still needs a circuit.
func (c *Client) waits(w *waiter) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Contains(c.waiters, w)
}

// buildFor has a circuit built for w, or for whom it suits when it is finished. It is
// false when the client is closing.
func (c *Client) buildFor(w *waiter) bool {
	if !c.begin() {
		c.notBuilding()
		return false
	}
	go func() {
		defer c.tasks.Done()
		defer c.notBuilding()
		select {
		case c.builds <- struct{}{}:
			defer func() { <-c.builds }()
		case <-w.done:
			return
		case <-c.life.Done():
			c.giveUp(w, errStarting("it is shutting down"))
			return
		}
		if !c.waits(w) {
			return // another circuit came first, or nobody wants it any more
		}
		_, err := c.construct(c.life, w.n, w.avoid)
		if err != nil && c.life.Err() != nil {
			err = errStarting("it is shutting down")
		}
		if err != nil {
			c.giveUp(w, err)
		}
	}()
	return true
}

// notBuilding says that what takeOrWait counted as being built is so no more.
func (c *Client) notBuilding() {
	c.mu.Lock()
	c.building--
	c.mu.Unlock()
}
