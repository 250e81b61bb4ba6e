// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"context"
	"errors"
	"sync"
	"time"

	dirsync "chive/directory/sync"
	"chive/link"
)

const (
	retryFirst = 250 * time.Millisecond
	retryMax   = 10 * time.Second

	// startQuiet is how long the first circuit stays the only one, unless more are
	// asked for: what is built ahead must not hold up the first request.
	startQuiet = time.Second
)

// bootstrap brings the client to its first open circuit. It is false when ctx
// ended before.
func (c *Client) bootstrap(ctx context.Context) bool {
	c.progress(Progress{Percent: 0, Tag: "starting"})
	watch, enough := context.WithCancel(ctx)
	defer enough()
	c.tasks.Go(func() { c.watchStart(watch) })
	wait, resync := retryFirst, false
	c.countPlaces(c.sources())
	for round := 0; ; round++ {
		var err error
		if resync || !c.fresh(time.Now()) {
			if err = c.obtain(ctx, round); err != nil {
				c.giveBack()
			}
		}
		if err == nil {
			err, resync = c.firstCircuit(ctx)
		}
		if err == nil {
			c.arrive()
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		if round == 0 && resync && errors.Is(err, link.ErrCertificateTime) {
			continue // it is the clock, perhaps: relays are asked what the time is
		}
		c.probe(ctx)
		c.stuck(err)
		longest := retryMax
		if errors.Is(err, errStale) || errors.Is(err, errAnchor) {
			longest = c.staleWait(0) // relays were asked and have nothing newer
			wait = longest
		}
		if pause(ctx, wait) != nil {
			return false
		}
		wait = min(2*wait, longest)
	}
}

// fresh reports whether the list of relays can be used without asking anybody: what
// was saved, or snapshot 0 while everybody has it. A clock from before the network began
// can call nothing fresh.
func (c *Client) fresh(now time.Time) bool {
	held, current := c.current().view.Epoch(), c.doc.EpochAt(now)
	return held <= current && !now.Before(c.doc.Time) && dirsync.ServedFresh(c.doc.Params, held, current)
}

// arrive says that the client can be used.
func (c *Client) arrive() {
	c.enter(StateReady)
	c.stand()
	c.progress(Progress{Percent: 100, Tag: "done"})
	c.mu.Lock()
	c.quietUntil = time.Now().Add(startQuiet)
	c.mu.Unlock()
	close(c.ready)
}

// obtain gets a list of relays that can be used. Errors: hearing.settle's, ctx's.
// Spec: directory §8 (COLD, CHAIN, TABLE).
func (c *Client) obtain(ctx context.Context, round int) error {
	c.enter(StateCold)
	c.progress(Progress{Percent: 5, Tag: "connecting"})
	all := c.sources()
	c.countPlaces(all)
	c.mu.Lock()
	c.dir.readings = nil // the clock may have been set since
	c.mu.Unlock()
	patience := min(dialPatience<<min(round, 4), link.DialTimeout)
	old := false
	if err := c.withFollower(ctx, func(f *dirsync.Follower) { old = f.TooOld(time.Now()) }); err != nil {
		return err
	}
	if old {
		// Retired keys must not speak; but it may be this clock that is fast.
		if err := c.hearTimes(ctx, all, patience); err != nil {
			return err
		}
		return errAnchor
	}
	h := c.newHearing()
	defer c.roundEnded()
	if err := h.askAll(ctx, all, patience); err != nil {
		return err
	}
	return h.settle(ctx)
}

// hearTimes links to relays in different places for nothing but what they and their
// certificates say about this clock. Errors: *clockError, ctx's.
func (c *Client) hearTimes(ctx context.Context, all []source, patience time.Duration) error {
	heard := make(map[place]bool)
	for i, s := range all {
		if i >= maxSources || len(heard) >= voices {
			break
		}
		if heard[s.of(c)] {
			continue
		}
		dial, cancel := context.WithTimeout(ctx, patience)
		l, err := c.links.Get(dial, s.rid, s.addrs)
		cancel()
		c.notePeer(s.rid, err)
		if err == nil {
			c.borrow(s.rid, l)
			heard[s.of(c)] = true
			if st, err := l.Open(link.StreamDirectory); err == nil {
				if told, ok := c.askTime(ctx, st, nil); ok {
					c.heardTold(s.of(c), told)
				}
				_ = st.Close()
			}
		} else if errors.Is(err, link.ErrCertificateTime) {
			c.linkForTime(ctx, s, patience)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := c.clockWrong(time.Now()); err != nil {
			return err
		}
	}
	return nil
}

// firstCircuit goes from a list of relays to the first circuit. A list that was
// fetched a moment ago is compared meanwhile with what relays apart hold. resync says
// that another list may help.
func (c *Client) firstCircuit(ctx context.Context) (err error, resync bool) {
	defer c.giveBack() // after errors too
	c.progress(Progress{Percent: 5, Tag: "connecting"})
	if err := c.updateGuards(); err != nil && !isPathError(err) {
		return err, false
	}
	if err := c.firstGuard(ctx); err != nil {
		return err, errors.Is(err, errNoGuard) || errors.Is(err, link.ErrCertificateTime)
	}
	c.giveBack()
	c.progress(Progress{Percent: 70, Tag: "loading_directory"})
	c.progress(Progress{Percent: 75, Tag: "choosing_guards"})
	c.progress(Progress{Percent: 85, Tag: "building_circuit"})
	var checked sync.WaitGroup
	if c.unchecked() {
		c.enter(StateCheck)
		checked.Go(func() { c.firstCheck(ctx) })
	}
	_, err = c.construct(ctx, needWeb, nil, nil)
	if err != nil && ctx.Err() == nil && (isPathError(err) || c.guardLinked()) {
		// No exit for the web, or none that answers: the network still serves other needs.
		_, err = c.construct(ctx, needDir, nil, nil)
	}
	checked.Wait()
	return err, !isPathError(err)
}

// firstGuard finds a guard that can be reached.
func (c *Client) firstGuard(ctx context.Context) error {
	guards := c.usableGuards()
	if len(guards) == 0 {
		return errNoGuard
	}
	var last error
	for _, g := range guards {
		c.tasks.Go(func() { c.beginAhead(g) }) // while the link is being made
		_, err := c.linkTo(ctx, g)
		if err == nil {
			c.progress(Progress{Percent: 10, Tag: "handshake"})
			c.progress(Progress{Percent: 20, Tag: "loading_checkpoint"})
			return nil
		}
		if ctx.Err() != nil {
			return err
		}
		last = err
		c.setback(err)
	}
	return last
}

// enter notes a state of the bootstrap; once there is a circuit it stays StateReady.
func (c *Client) enter(s State) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dir.state != StateReady {
		c.dir.state = s
	}
}
