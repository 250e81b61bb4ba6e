// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"context"
	"errors"
	"time"

	"chive/directory/path"
	"chive/directory/snapshot"
	dirsync "chive/directory/sync"
	"chive/internal/redact"
)

const (
	// staleFirst is the pause before an old list is asked for again, twice as long each
	// time up to staleMost; in networks that fetch more often it is shorter, and never
	// longer than between two fetches: whoever has an old list asks no more seldom than
	// whoever has a fresh one.
	// Spec: directory §8 (STALE).
	staleFirst = time.Minute
	staleMost  = 10 * time.Minute
	// refetchGap is the least time between two fetches for circuits that failed: no
	// relay makes a client fetch as often as it likes.
	refetchGap = time.Minute
	// refetchPatience is how long such a circuit waits for one.
	refetchPatience = 10 * time.Second
)

// refetch is one that circuits wait for.
type refetch struct{ done chan struct{} }

// staleWait returns the pause after so many rounds without a fresh list.
func (c *Client) staleWait(rounds int) time.Duration {
	first := min(staleFirst, c.doc.Params.ClientFetch)
	return min(first<<min(rounds, 16), staleMost, c.doc.Params.ClientFetch)
}

// follow fetches the list of relays again and again, until ctx ends. The first time
// is soon if what the client began with came from nobody it asked.
// Spec: directory §8 (READY, STALE, REFUSE).
func (c *Client) follow(ctx context.Context) {
	c.mu.Lock()
	soon := c.dir.fetchedAt.IsZero()
	failed := 0
	if c.dir.lagging {
		failed = 1
	}
	c.mu.Unlock()
	wait := c.fetchPause()
	if soon {
		wait = checkSoonest + c.random(checkLatest-checkSoonest)
	}
	for {
		if failed > 0 {
			wait = c.staleWait(failed - 1)
		}
		if !c.awaitFetch(ctx, wait, failed > 0) {
			return
		}
		err := c.round(ctx)
		c.endRefetch()
		if ctx.Err() != nil {
			return
		}
		if failed++; err == nil && !c.isLagging() {
			failed = 0
		}
		c.reportRefusal(err)
		c.sendEvidence(ctx)
		wait = c.fetchPause()
	}
}

// awaitFetch waits for the next fetch: for so long, or until one is asked for, or the
// list in use is not fresh any more and that was not known when the wait began. Timers
// stand still while a machine sleeps, so it waits in steps and asks the clock on the
// wall each time. It is false when ctx ended.
func (c *Client) awaitFetch(ctx context.Context, wait time.Duration, old bool) bool {
	by := time.Now().Round(0).Add(wait)
	c.mu.Lock()
	c.dir.nextFetch = by
	c.mu.Unlock()
	for {
		now := time.Now().Round(0)
		left := by.Sub(now)
		if left <= 0 || !old && c.freshnessAt(c.current(), now) != dirsync.Fresh {
			return true
		}
		t := time.NewTimer(min(left, c.waitStep(), wait))
		select {
		case <-ctx.Done():
			t.Stop()
			return false
		case <-t.C:
		case <-c.dir.stir:
			t.Stop()
			return true
		}
		if time.Now().Round(0).Before(now) { // set back: the wait was for this long and no longer
			by = time.Now().Round(0).Add(min(left, wait))
		}
	}
}

// waitStep is how long to wait at most without a look at the clock on the wall: a
// minute, and less in networks that fetch more often.
func (c *Client) waitStep() time.Duration {
	return min(time.Minute, max(c.doc.Params.ClientFetch/20, time.Second))
}

// fetchPause returns a random time until the next fetch.
func (c *Client) fetchPause() time.Duration {
	p := c.doc.Params
	return max(p.ClientFetch-p.ClientJitter+c.random(2*p.ClientJitter+1), time.Second)
}

func (c *Client) isLagging() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dir.lagging
}

// round fetches once: from own guards; if none of them has a fresh list, from relays
// apart through circuits, which serve for that however old the list in use is; if
// there are none and it will not do any more, from a few strangers. Guards that hold
// lists back, all of them, and let no circuit through, hold up a client no longer
// than that. Lists of the future have it ask on, too, until it is known whether this
// clock is slow: what is fresh by a clock may be so because that is slow.
func (c *Client) round(ctx context.Context) error {
	defer c.giveBack()
	defer c.roundEnded()
	c.countPlaces(c.sources())
	h := c.newHearing()
	own := c.ownSources()
	if err := h.askAll(ctx, own, dialPatience); err != nil {
		return err
	}
	now, through := time.Now(), 0
	shown, proven := h.future()
	if (!h.fresh || shown) && h.linked && !proven {
		var err error
		if through, err = h.askThrough(ctx); err != nil {
			return err
		}
	}
	shown, proven = h.future()
	if (!h.fresh || shown && !proven) && through == 0 && (c.freshnessAt(c.current(), now) != dirsync.Fresh || shown && !proven) {
		h.unproven, h.tooOld = 0, 0
		clear(h.answered) // what guards said does not keep others from being asked
		if err := h.askAll(ctx, c.strangerSources(now), dialPatience); err != nil {
			return err
		}
	}
	return h.settle(ctx)
}

// roundEnded notes that relays were asked, whatever came of it.
func (c *Client) roundEnded() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dir.fetchedAt = time.Now()
}

// mayRefetch reports whether a fetch may be had out of turn. Under Client.mu.
func (c *Client) mayRefetch() bool {
	return c.dir.state == StateReady && time.Since(c.dir.fetchedAt) >= min(refetchGap, c.doc.Params.ClientFetch/2)
}

// wantFetch has the list of relays fetched for circuits that the one in use is too old
// for, unless that was just done.
func (c *Client) wantFetch() {
	c.mu.Lock()
	may := c.mayRefetch()
	c.mu.Unlock()
	if may {
		c.stirFetch()
	}
}

func (c *Client) stirFetch() {
	select {
	case c.dir.stir <- struct{}{}:
	default:
	}
}

// askThrough asks relays in different places, each through a circuit of its own, until
// one has a fresh list. It returns how many answered.
func (h *hearing) askThrough(ctx context.Context) (answered int, err error) {
	c := h.c
	var asked []*snapshot.Relay
	for range voices {
		var result dirsync.Result
		var told time.Duration
		var toldOK bool
		last, err := c.through(ctx, asked, func(ctx context.Context, s stream) (err error) {
			result, err = c.fetchOver(ctx, s)
			told, toldOK = c.askTime(ctx, s, err)
			return err
		})
		switch {
		case ctx.Err() != nil:
			return answered, ctx.Err()
		case last == nil:
			h.last = errors.Join(h.last, err)
			return answered, nil // no circuit could be built
		}
		asked = append(asked, last)
		at := c.placeOf(last.RID, last.Addresses)
		if toldOK {
			c.heardTold(at, told)
		}
		h.note(last.RID, at, result, err)
		if err == nil {
			answered++
		}
		if shown, proven := h.future(); h.fresh && !shown || proven {
			break
		}
	}
	return answered, nil
}

// freshen has the list of relays fetched for a circuit that failed because t is old,
// and waits for it. It is false if there is no other list then.
func (c *Client) freshen(ctx context.Context, t *table) bool {
	c.mu.Lock()
	if c.dir.table != t {
		c.mu.Unlock()
		return true
	}
	if !c.mayRefetch() {
		c.mu.Unlock()
		return false
	}
	if c.dir.refetch == nil {
		c.dir.refetch = &refetch{make(chan struct{})}
	}
	r := c.dir.refetch
	c.mu.Unlock()
	c.stirFetch()
	ctx, cancel := context.WithTimeout(ctx, refetchPatience)
	defer cancel()
	select {
	case <-r.done:
	case <-ctx.Done():
	}
	return c.current() != t
}

// endRefetch lets those go on that wait for a fetch.
func (c *Client) endRefetch() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r := c.dir.refetch; r != nil {
		c.dir.refetch = nil
		close(r.done)
	}
}

// reportRefusal tells who follows the bootstrap when no new circuits are made, and
// when they are again.
func (c *Client) reportRefusal(err error) {
	cause, text := "", ""
	var clock *clockError
	if c.refusesAt(time.Now()) || errors.As(err, &clock) {
		if wrong := c.clockWrong(time.Now()); wrong != nil {
			err = wrong
		}
		if err == nil {
			err = errStale
		}
		cause, text = c.troubleOf(err)
		if !errors.As(err, &clock) {
			cause = "directory_stale"
		}
	}
	c.mu.Lock()
	changed := c.dir.step.Cause != cause
	c.dir.step.Cause, c.dir.step.Text, c.trouble, c.mend = cause, text, text, CauseFix(cause)
	if c.dir.step.Fix = ""; cause != "" {
		c.dir.step.Fix = c.mend
	}
	p := c.dir.step
	c.mu.Unlock()
	if changed && c.cfg.Progress != nil {
		c.cfg.Progress(p)
	}
}

// refreshGuards replaces guards that are due, until ctx ends.
func (c *Client) refreshGuards(ctx context.Context) {
	t := time.NewTicker(guardEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		var rule *path.RuleError
		if err := c.updateGuards(); errors.As(err, &rule) {
			c.cfg.Log.Warn().EmbedObject(redact.RoleClient).EmbedObject(redact.Event("guards")).
				Msg("no further relay can become a guard")
		}
	}
}

const guardEvery = time.Minute
