// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"context"
	"slices"
	"time"

	"chive/directory/record"
	"chive/directory/snapshot"
)

// waiter is a request for which no circuit is open, together with those of the same
// key that came after it.
type waiter struct {
	key   Isolation
	n     need
	avoid avoided
	age   uint64 // as Client.age was when the request began

	builds int            // circuits being built for it; under Client.mu
	tries  []TryExplained // builds that failed, at most maxStoryTries; the same

	// Set before done is closed.
	q    *circ // claimed for one stream of key; nil: try again
	err  error
	done chan struct{}
}

// avoided are relays that a request does without: exits that did not serve it, and those of
// circuits that fell silent, behind the guard, of which nobody can tell which has stopped.
type avoided struct{ exits, silent []record.RID }

func (a *avoided) none() bool { return len(a.exits) == 0 && len(a.silent) == 0 }

// bars reports whether q may not have the request.
func (a *avoided) bars(q *circ) bool {
	return slices.Contains(a.exits, q.last().RID) || len(a.silent) > 0 && slices.ContainsFunc(q.path, func(r *snapshot.Relay) bool {
		return slices.Contains(a.silent, r.RID)
	})
}

// ongoing names what requests of one key and age wait for.
type ongoing struct {
	key Isolation
	n   need
	age uint64
}

// attach returns a circuit for a stream of key, counted as carrying it: one that
// serves the key already, else an unused one, else the next one to be finished.
// Requests of one key that come at once wait for one circuit instead of building one
// each. avoid lists what a request does without; age is Client.age when it
// began, so that no two requests share a circuit between which NewIdentity was
// called. detach gives the circuit back. s is told how it went.
func (c *Client) attach(ctx context.Context, s *story, age uint64, key Isolation, n need, avoid avoided) (*circ, error) {
	c.remember(n)
	began, text := time.Now(), "an open circuit was there"
	got := func(q *circ) *circ {
		s.tried(TryExplained{Phase: phaseCircuit, Took: time.Since(began), Text: text})
		return q
	}
	for {
		q, w, first := c.takeOrWait(age, key, n, avoid)
		if q != nil {
			return got(q), nil
		}
		text = "a circuit was built"
		if first && !c.buildFor(w) {
			c.giveUp(w, errEnding())
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
		s.tried(c.triesOf(w)...)
		switch {
		case w.err != nil && (first || w.avoid.none()):
			return nil, w.err // what one that avoids relays cannot have, others may
		case first && w.q != nil:
			return got(w.q), nil
		case ctx.Err() != nil:
			return nil, ctx.Err()
		}
	}
}

// takeOrWait finds an open circuit, or what to wait for; first says that nobody
// waited before.
func (c *Client) takeOrWait(age uint64, key Isolation, n need, avoid avoided) (q *circ, w *waiter, first bool) {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if q := c.take(now, age, key, n, avoid); q != nil {
		return q, nil, false
	}
	if w := c.ongoing[ongoing{key, n, age}]; w != nil {
		return nil, w, false
	}
	w = &waiter{key: key, n: n, avoid: avoid, age: age, builds: 1, done: make(chan struct{})}
	c.ongoing[ongoing{key, n, age}] = w
	c.waiters = append(c.waiters, w)
	c.building++
	c.needed(now, n)
	return nil, w, true
}

// take finds an open circuit. Under Client.mu.
func (c *Client) take(now time.Time, age uint64, key Isolation, n need, avoid avoided) *circ {
	var best *circ
	dirty := c.dirtyLife()
	for _, q := range c.open {
		if q.retired || q.streams >= maxStreams || avoid.bars(q) || !serves(q.last(), n) {
			continue
		}
		switch {
		case q.taken && q.key == key && q.age == age && now.Sub(q.takenAt) < dirty:
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
			c.needed(now, n)
		}
		best.claim(key, age, now)
	}
	return best
}

// claim marks q as carrying one more stream of key. Under Client.mu.
func (q *circ) claim(key Isolation, age uint64, now time.Time) {
	if !q.taken {
		q.taken, q.key, q.age, q.takenAt = true, key, age, now
	}
	q.streams++
}

// needed notes that a request used up, or lacked, an unused circuit, and has further
// ones built. Under Client.mu.
func (c *Client) needed(now time.Time, n need) {
	if d := c.needs[n]; d != nil {
		d.need(now)
	}
	c.kick()
}

// hand gives q, just built, to the request that has waited longest among those it
// suits. Under Client.mu.
func (c *Client) hand(q *circ, now time.Time) {
	for _, w := range c.waiters {
		if serves(q.last(), w.n) && !w.avoid.bars(q) {
			q.claim(w.key, w.age, now)
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
	if o := (ongoing{w.key, w.n, w.age}); c.ongoing[o] == w {
		delete(c.ongoing, o)
	}
	close(w.done)
}

// noteTry keeps in mind that a build for w failed, for the stories of who waits.
func (c *Client) noteTry(w *waiter, t TryExplained) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(w.tries) < maxStoryTries {
		w.tries = append(w.tries, t)
	}
}

// triesOf returns the builds for w that have failed.
func (c *Client) triesOf(w *waiter) []TryExplained {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(w.tries)
}

// waits reports whether w still needs a circuit.
func (c *Client) waits(w *waiter) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Contains(c.waiters, w)
}

// buildFor has a circuit built for w, or for whom it suits when it is finished. It has
// been counted. It is false when the client is closing.
func (c *Client) buildFor(w *waiter) bool {
	if !c.begin() {
		c.notBuilding(w)
		return false
	}
	go func() {
		defer c.tasks.Done()
		defer c.notBuilding(w)
		select {
		case c.builds <- struct{}{}:
			defer func() { <-c.builds }()
		case <-w.done:
			return
		case <-c.life.Done():
			c.giveUp(w, errEnding())
			return
		}
		if !c.waits(w) {
			return // another circuit came first, or nobody wants it any more
		}
		_, err := c.construct(c.life, w.n, slices.Concat(w.avoid.exits, w.avoid.silent), func(t TryExplained) { c.noteTry(w, t) })
		if err != nil && c.life.Err() != nil {
			err = errEnding()
		}
		if err != nil {
			c.giveUp(w, err)
		}
	}()
	return true
}

// notBuilding says that what was counted as being built for w is so no more. A circuit
// may have gone to somebody who had waited longer, and that one's own may have failed:
// so whoever is left without one has one built.
func (c *Client) notBuilding(w *waiter) {
	c.mu.Lock()
	c.building--
	w.builds--
	var left []*waiter
	for _, o := range c.waiters {
		if o.builds == 0 {
			left = append(left, o)
		}
	}
	closing := c.closing
	if !closing {
		for _, o := range left {
			o.builds++
			c.building++
		}
	}
	c.mu.Unlock()
	for _, o := range left {
		if closing || !c.buildFor(o) {
			c.giveUp(o, errEnding())
		}
	}
}
