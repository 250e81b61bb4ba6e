// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"chive/directory/record"
	"chive/directory/snapshot"
)

// Limits of our own; B30 of the threat model's budget.
const (
	maxOpen     = 480             // circuits; a guard admits 512 on a link
	maxStreams  = 200             // open streams a circuit is given; it can hold 256
	maxIdle     = 64              // circuits kept for keys that have no stream open
	maxBuilding = 32              // circuits being built
	maxTries    = 3               // distinct paths for one request
	maxLinks    = 4               // guards besides that cannot be linked to
	maxProbes   = 3               // of one request that finds all guards gone
	cleanLife   = time.Hour       // an unused circuit is kept for so long
	needLife    = time.Hour       // a port asked for is kept in mind for so long
	maxNeeds    = 8               // kinds of need kept in mind
	failedLife  = 2 * time.Minute // a relay that failed is avoided for so long
	maxFailed   = 1024            // such relays kept in mind
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

var (
	errClosing = errors.New("client: closing")
	errFull    = errors.New("client: as many circuits as it may have")
	errLost    = errors.New("client: the circuit was lost before it was used")
)

// dirtyLife is how long a circuit takes new streams after its first one.
func (c *Client) dirtyLife() time.Duration {
	return cmp.Or(c.cfg.CircuitDirtiness, DefaultCircuitDirtiness)
}

// detach says that a stream of q has ended.
func (c *Client) detach(q *circ) {
	c.mu.Lock()
	q.streams--
	q.idleSince = time.Now()
	idle := q.streams == 0 && (q.retired || time.Since(q.takenAt) >= c.dirtyLife() || len(c.open) > maxIdle)
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

// construct builds one circuit for n and adopts it. note is told of tries that fail; nil:
// nobody asks.
func (c *Client) construct(ctx context.Context, n need, avoid []record.RID, note func(TryExplained)) (*circ, error) {
	var last error
	probes, links, first := 0, 0, time.Now()
	for tries := 0; ; tries++ {
		if ctx.Err() != nil {
			break
		}
		if c.full() {
			return nil, c.explainBuild(errFull)
		}
		if tries == maxTries {
			if probes == maxProbes || !guardFault(last) || !c.probeSoon(ctx) {
				break
			}
			probes++
			tries, links = 0, 0 // all guards were gone; there are others now
		}
		path, t, err := c.choose(n, avoid)
		if err != nil {
			if probes < maxProbes && ctx.Err() == nil && len(c.usableGuards()) == 0 && c.probeSoon(ctx) {
				probes++
				tries, links = -1, 0
				continue
			}
			if isPathError(err) && c.guardLinked() {
				c.outageOver() // it is not the guards: the network has no such exit
			}
			if note != nil && isPathError(err) {
				note(c.explainChoice(err, time.Since(first)))
			}
			return nil, err
		}
		began := time.Now()
		bctx, cancel := context.WithTimeout(ctx, c.timeout.limit())
		q, err := c.build(bctx, path, t, n)
		cancel()
		took := time.Since(began)
		c.counts.built(ctx, err, took)
		if err == nil {
			c.timeout.add(took)
			q.took = took
			if err = c.adopt(q); err == nil {
				c.tell(Event{Kind: EventCircuit, ID: q.id, State: "open"})
				return q, nil
			}
			q.close()
			if err != errLost {
				return nil, c.explainBuild(err)
			}
		}
		last = err
		if ctx.Err() != nil {
			break // the program gave up: that is nobody's fault
		}
		if guardFault(err) {
			c.noCircuit(err)
		} else {
			c.outageOver() // the guard was reached
		}
		if note != nil {
			note(c.explainTry(path, err, took))
		}
		if unknownKey(err) && c.freshen(ctx, t) {
			continue // the list was old; nobody is to blame
		}
		c.buildFailed(path, err)
		if ce, ok := errors.AsType[*circuitError](err); ok {
			c.exitFailed(n, path, ce)
		}
		if guardFault(err) && links < maxLinks {
			links++
			tries-- // no path was tried: the next guard is
		}
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if ce, ok := errors.AsType[*circuitError](last); ok && n != needDir && ce.hop > 0 {
		if _, gone := c.exitsGone(time.Now(), c.current().counts().Exits); gone {
			return nil, errExitsGone
		}
	}
	return nil, c.explainBuild(last)
}

// guardFault reports whether a build failed because the link to its guard did.
func guardFault(err error) bool {
	var ce *circuitError
	return err != nil && !errors.As(err, &ce) && !errors.Is(err, errLost)
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

// full reports whether no further circuit may be opened.
func (c *Client) full() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.open) >= maxOpen
}

// adopt adds a finished circuit and hands it to who waits for one. Errors: errClosing,
// errFull, and errLost when the circuit has ended meanwhile.
func (c *Client) adopt(q *circ) error {
	c.guardCircuit(q.path[0].RID, true)
	err := c.admit(q)
	if err == nil {
		c.outageOver()
	}
	return err
}

func (c *Client) admit(q *circ) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closing:
		return errClosing
	case len(c.open) >= maxOpen:
		return errFull
	}
	q.mu.Lock()
	lost := q.lost != nil
	q.mu.Unlock()
	if lost {
		return errLost
	}
	q.openedAt = time.Now()
	c.open = append(c.open, q)
	if q.last().Flags&snapshot.FlagExit != 0 {
		c.exitsFailed = nil
	}
	c.hand(q, q.openedAt)
	return nil
}

// index finds q. Under Client.mu.
func (c *Client) index(q *circ) (int, bool) {
	i := slices.Index(c.open, q)
	return i, i >= 0
}

// forget drops a circuit that is gone.
func (c *Client) forget(q *circ) {
	c.mu.Lock()
	i, was := c.index(q)
	if was {
		c.open = slices.Delete(c.open, i, i+1)
	}
	c.mu.Unlock()
	c.kick()
	if was {
		c.tell(Event{Kind: EventCircuit, ID: q.id, State: "closed"})
	}
}

// remember keeps n in mind, so that circuits for it are built ahead.
func (c *Client) remember(n need) {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	d := c.needs[n]
	if d == nil {
		if len(c.needs) >= maxNeeds {
			oldest := n
			for k, e := range c.needs {
				if oldest == n || e.asked.Before(c.needs[oldest].asked) {
					oldest = k
				}
			}
			delete(c.needs, oldest)
		}
		d = new(demand)
		c.needs[n] = d
	}
	d.asked = now
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
	quiet := time.AfterFunc(startQuiet, c.kick)
	defer quiet.Stop()
	for {
		c.tellOutage()
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
				if err := c.buildAhead(ctx, n); err != nil {
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

// buildAhead builds a circuit that nobody has asked for.
func (c *Client) buildAhead(ctx context.Context, n need) error {
	select {
	case c.builds <- struct{}{}:
		defer func() { <-c.builds }()
	case <-ctx.Done():
		return ctx.Err()
	}
	_, err := c.construct(ctx, n, nil, nil)
	return err
}

// maintainEvery bounds how late an expiry is noticed.
const maintainEvery = 5 * time.Second

// expired returns the circuits to close: used long enough ago and idle, never used
// for an hour, or idle and the longest without use of too many.
func (c *Client) expired() []*circ {
	now, dirty := time.Now(), c.dirtyLife()
	c.mu.Lock()
	defer c.mu.Unlock()
	var out, idle []*circ
	for _, q := range c.open {
		switch {
		case q.streams > 0:
		case q.retired, q.taken && now.Sub(q.takenAt) >= dirty, !q.taken && now.Sub(q.openedAt) >= cleanLife:
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
	c.dropHeads(now)
	if c.closing || now.Before(c.aheadAfter) {
		return nil
	}
	var out []need
	coming := max(0, c.ahead+c.building-len(c.waiters)) // for nobody in particular
	for _, w := range c.wishes(now) {
		have := 0
		for _, q := range c.open {
			if !q.taken && !q.retired && serves(q.last(), w.n) {
				have++
			}
		}
		// What is coming may serve this need, too; if not, it is lacking later.
		for ; have+coming < w.count && c.ahead < maxAhead && len(c.open)+c.ahead < maxOpen; coming++ {
			out = append(out, w.n)
			c.ahead++
		}
	}
	return out
}

// wish is how many unused circuits to keep for a need.
type wish struct {
	n     need
	count int
}

// wishes returns what to keep ready: for the web at least, then for what was asked for
// lately, in a fixed order. Right after the start it is nothing: the first circuit is
// alone until it has proved too few. Under Client.mu.
func (c *Client) wishes(now time.Time) []wish {
	out := []wish{{needWeb, 1}}
	busy := false
	for n, d := range c.needs {
		count := d.target(now)
		busy = busy || count > 2
		switch {
		case now.Sub(d.asked) > needLife:
			delete(c.needs, n)
		case n == needWeb:
			out[0].count = count
		case n != needDir:
			out = append(out, wish{n, count})
		}
	}
	if now.Before(c.quietUntil) && !busy {
		return nil
	}
	slices.SortFunc(out[1:], func(a, b wish) int {
		return cmp.Or(cmp.Compare(a.n.protocol, b.n.protocol), cmp.Compare(a.n.port, b.n.port))
	})
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
