// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"context"
	"errors"
	"slices"
	"time"

	"chive/directory/record"
	"chive/directory/snapshot"
)

// Limits of our own; B30 of the threat model's budget.
const (
	maxOpen     = 480              // circuits; a guard admits 512 on a link
	maxStreams  = 200              // open streams a circuit is given; it can hold 256
	maxIdle     = 64               // circuits kept for keys that have no stream open
	maxBuilding = 32               // circuits being built
	maxTries    = 3                // distinct paths for one request
	dirtyLife   = 10 * time.Minute // a circuit takes new streams for so long
	cleanLife   = time.Hour        // an unused circuit is kept for so long
	spare       = 2                // circuits kept ahead for each kind of need
	needLife    = time.Hour        // a port asked for is kept in mind for so long
	maxNeeds    = 8                // kinds of need kept in mind
	failedLife  = 2 * time.Minute  // a relay that failed is avoided for so long
	maxFailed   = 1024             // such relays kept in mind
)

// need is what a circuit's last hop must do.
type need struct {
	protocol byte // 6 or 17; 0: directory requests, any last hop serves
	port     uint16
}

var (
	needWeb = need{protocol: 6, port: 443}
	needDir = need{}
)

// errNoCircuit wraps nothing: the reasons of builds that failed are in Failure.
var errClosing = errors.New("client: closing")

// attach returns a circuit for a stream of key, counted as carrying it: one that
// serves the key already, else an unused one, else a new one. Requests of one key
// that come at once wait for one circuit instead of building one each. avoid lists
// last hops that a request has tried. detach gives the circuit back.
func (c *Client) attach(ctx context.Context, key Isolation, n need, avoid []record.RID) (*circ, error) {
	c.remember(n)
	for {
		if q := c.take(key, n, avoid); q != nil {
			return q, nil
		}
		b, mine := c.await(ongoing{key, n})
		if mine {
			q, err := c.construct(ctx, n, avoid, &key)
			if ctx.Err() != nil {
				c.built(ongoing{key, n}, nil) // this caller gave up; the others go on
			} else {
				c.built(ongoing{key, n}, err)
			}
			return q, err
		}
		select {
		case <-b.done:
			if b.err != nil {
				return nil, b.err
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// ongoing names a circuit that is being built for somebody.
type ongoing struct {
	key Isolation
	n   need
}

// pending is a build that others wait for.
type pending struct {
	done chan struct{}
	err  error // set before done is closed
}

// await returns the build of o that is under way, or says that the caller is the
// one to do it.
func (c *Client) await(o ongoing) (b *pending, mine bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if b := c.ongoing[o]; b != nil {
		return b, false
	}
	b = &pending{done: make(chan struct{})}
	c.ongoing[o] = b
	return b, true
}

// built lets those go on that wait for o. They share its failure: each building in
// turn would make the last one wait for all.
func (c *Client) built(o ongoing, err error) {
	c.mu.Lock()
	b := c.ongoing[o]
	delete(c.ongoing, o)
	c.mu.Unlock()
	b.err = err
	close(b.done)
}

// take finds an open circuit.
func (c *Client) take(key Isolation, n need, avoid []record.RID) *circ {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
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
			c.kick()
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

// detach says that a stream of q has ended.
func (c *Client) detach(q *circ) {
	c.mu.Lock()
	q.streams--
	q.idleSince = time.Now()
	idle := q.streams == 0 && (q.retired || time.Since(q.takenAt) >= dirtyLife || len(c.open) > maxIdle)
	c.mu.Unlock()
	if idle {
		c.kick()
	}
}

// retire keeps q from taking further streams.
func (c *Client) retire(q *circ) {
	c.mu.Lock()
	q.retired = true
	c.mu.Unlock()
	c.kick()
}

// construct builds a circuit for n, on up to maxTries distinct paths. With a key,
// the circuit is claimed for it before anybody else can see it.
func (c *Client) construct(ctx context.Context, n need, avoid []record.RID, key *Isolation) (*circ, error) {
	select {
	case c.builds <- struct{}{}:
		defer func() { <-c.builds }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	var last error
	for range maxTries {
		if ctx.Err() != nil {
			break
		}
		path, err := c.choose(n, avoid)
		if err != nil {
			return nil, err
		}
		began := time.Now()
		bctx, cancel := context.WithTimeout(ctx, c.timeout.limit())
		q, err := c.build(bctx, path)
		cancel()
		if err == nil {
			c.timeout.add(time.Since(began))
			if !c.adopt(q, key) {
				q.close()
				return nil, errClosing
			}
			return q, nil
		}
		last = err
		if ctx.Err() != nil {
			break // the program gave up: that is nobody's fault
		}
		c.buildFailed(path, err)
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return nil, c.explainBuild(last)
}

// explainBuild puts a build's error into words a person can use.
func (c *Client) explainBuild(err error) error {
	var ce *circuitError
	switch {
	case errors.Is(err, errClosing):
		return errStarting("it is shutting down")
	case errors.As(err, &ce) && ce.timeout:
		return errCircuit("a relay did not answer in time")
	case errors.As(err, &ce):
		return errCircuit("a relay ended it (" + ce.reason.String() + ")")
	}
	return errDown(c.linkTrouble(err))
}

// buildFailed keeps in mind which relay failed.
func (c *Client) buildFailed(path []*snapshot.Relay, err error) {
	var ce *circuitError
	if !errors.As(err, &ce) {
		return // the link to the guard; linkTo has told the guards
	}
	if ce.hop > 0 && ce.hop < len(path) {
		c.avoidRelay(path[ce.hop].RID)
	}
	c.guardCircuit(path[0].RID, false)
}

// blame keeps in mind which relay of an open circuit was lost.
func (c *Client) blame(q *circ, why *circuitError) {
	c.mu.Lock()
	_, open := c.index(q)
	c.mu.Unlock()
	if !open {
		return // still being built: buildFailed does it
	}
	// Who says that the next relay is gone may be the one to blame. The guard is
	// left to its own trial.
	for _, at := range []int{why.hop - 1, why.hop} {
		if at > 0 && at < len(q.path) && !why.local {
			c.avoidRelay(q.path[at].RID)
		}
	}
}

func (c *Client) avoidRelay(rid record.RID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	for r, t := range c.failed {
		if now.Sub(t) > failedLife {
			delete(c.failed, r)
		}
	}
	if len(c.failed) < maxFailed {
		c.failed[rid] = now
	}
}

// adopt adds a finished circuit, claimed for key if there is one. It is false when the client is closing or holds
// as many as it may.
func (c *Client) adopt(q *circ, key *Isolation) bool {
	c.guardCircuit(q.path[0].RID, true)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing || len(c.open) >= maxOpen {
		return false
	}
	q.mu.Lock()
	lost := q.lost != nil
	q.mu.Unlock()
	if lost {
		return false
	}
	q.openedAt = time.Now()
	if key != nil {
		q.claim(*key, q.openedAt)
	}
	c.open = append(c.open, q)
	return true
}

// index finds q. Under Client.mu.
func (c *Client) index(q *circ) (int, bool) {
	i := slices.Index(c.open, q)
	return i, i >= 0
}

// forget drops a circuit that is gone.
func (c *Client) forget(q *circ) {
	c.mu.Lock()
	if i, ok := c.index(q); ok {
		c.open = slices.Delete(c.open, i, i+1)
	}
	c.mu.Unlock()
	c.kick()
}

// remember keeps n in mind, so that circuits for it are built ahead.
func (c *Client) remember(n need) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.needs[n]; !known && len(c.needs) >= maxNeeds {
		oldest := n
		for k, t := range c.needs {
			if oldest == n || t.Before(c.needs[oldest]) {
				oldest = k
			}
		}
		delete(c.needs, oldest)
	}
	c.needs[n] = time.Now()
}

// kick wakes the maintainer.
func (c *Client) kick() {
	select {
	case c.work <- struct{}{}:
	default:
	}
}

// maintain keeps circuits ahead of need and closes old ones, until ctx ends.
func (c *Client) maintain(ctx context.Context) {
	t := time.NewTicker(maintainEvery)
	defer t.Stop()
	for {
		for _, q := range c.expired() {
			c.tasks.Add(1)
			go func() { // a guard that does not read must not hold up the others
				defer c.tasks.Done()
				q.close()
			}()
		}
		for _, n := range c.lacking() {
			c.tasks.Add(1)
			go func() {
				defer c.tasks.Done()
				defer c.leaveAhead()
				if _, err := c.construct(ctx, n, nil, nil); err != nil {
					c.aheadFailed()
					c.probe(ctx)
				}
			}()
		}
		select {
		case <-ctx.Done():
			return
		case <-c.work:
		case <-t.C:
		}
	}
}

// maintainEvery bounds how late an expiry is noticed.
const maintainEvery = 5 * time.Second

// expired returns the circuits to close: used long enough ago and idle, never used
// for an hour, or idle and the longest without use of too many.
func (c *Client) expired() []*circ {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	var out, idle []*circ
	for _, q := range c.open {
		switch {
		case q.streams > 0:
		case q.retired, q.taken && now.Sub(q.takenAt) >= dirtyLife, !q.taken && now.Sub(q.openedAt) >= cleanLife:
			q.retired = true
			out = append(out, q)
		case q.taken:
			idle = append(idle, q)
		}
	}
	if extra := len(idle) - maxIdle; extra > 0 {
		slices.SortFunc(idle, func(a, b *circ) int { return a.idleSince.Compare(b.idleSince) })
		for _, q := range idle[:extra] {
			q.retired = true
			out = append(out, q)
		}
	}
	return out
}

// lacking returns the needs for which too few unused circuits are open, once for
// each one to build, and counts them as being built ahead.
func (c *Client) lacking() []need {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing || now.Before(c.aheadAfter) {
		return nil
	}
	needs := []need{needWeb}
	for n, t := range c.needs {
		switch {
		case now.Sub(t) > needLife:
			delete(c.needs, n)
		case n != needWeb && n != needDir:
			needs = append(needs, n)
		}
	}
	var out []need
	ahead := c.ahead
	for _, n := range needs {
		have := 0
		for _, q := range c.open {
			if !q.taken && !q.retired && serves(q.last(), n) {
				have++
			}
		}
		for ; have+ahead < spare && c.ahead < maxAhead && len(c.open)+c.ahead < maxOpen; have++ {
			out = append(out, n)
			c.ahead++
		}
	}
	return out
}

// maxAhead is how many circuits are built ahead at once.
const maxAhead = 4

func (c *Client) leaveAhead() {
	c.mu.Lock()
	c.ahead--
	c.mu.Unlock()
	c.kick()
}

// aheadFailed slows down building ahead while it fails.
func (c *Client) aheadFailed() {
	c.mu.Lock()
	c.aheadAfter = time.Now().Add(aheadPause)
	c.mu.Unlock()
}

const aheadPause = time.Second
