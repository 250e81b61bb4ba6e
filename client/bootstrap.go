// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"context"
	"errors"
	"time"

	"chive/link"
)

// Progress is one step of the bootstrap. Percent only rises.
type Progress struct {
	Percent int
	// Tag names the step: starting, connecting, handshake,
	// loading_checkpoint, loading_directory, choosing_guards,
	// building_circuit, done.
	Tag string
	// Cause says why it stands still, from a closed list: clock_skew,
	// no_route, refused, filtered, no_peers, directory_stale; empty while it
	// goes on.
	Cause string
	// Text is a sentence for a person, without an address.
	Text string
}

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
	wait := retryFirst
	for {
		err := c.firstCircuit(ctx)
		if err == nil {
			c.progress(Progress{Percent: 100, Tag: "done"})
			c.mu.Lock()
			c.quietUntil = time.Now().Add(startQuiet)
			c.mu.Unlock()
			close(c.ready)
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		c.probe(ctx)
		c.stuck(err)
		select {
		case <-ctx.Done():
			return false
		case <-time.After(wait):
		}
		wait = min(2*wait, retryMax)
	}
}

// firstCircuit goes once through the steps.
func (c *Client) firstCircuit(ctx context.Context) error {
	c.progress(Progress{Percent: 5, Tag: "connecting"})
	if err := c.firstGuard(ctx); err != nil {
		return err
	}
	c.progress(Progress{Percent: 70, Tag: "loading_directory"})
	c.progress(Progress{Percent: 75, Tag: "choosing_guards"})
	c.progress(Progress{Percent: 85, Tag: "building_circuit"})
	_, err := c.construct(ctx, needWeb, nil)
	if isPathError(err) {
		// No exit for the web: the network still serves other needs.
		_, err = c.construct(ctx, needDir, nil)
	}
	return err
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
	}
	return last
}

// progress reports a step and forgets earlier trouble.
func (c *Client) progress(p Progress) {
	c.mu.Lock()
	c.trouble = ""
	c.mu.Unlock()
	if c.cfg.Progress != nil {
		c.cfg.Progress(p)
	}
}

// stuck reports why the bootstrap stands still.
func (c *Client) stuck(err error) {
	cause, text := c.troubleOf(err)
	c.mu.Lock()
	c.trouble = text
	c.mu.Unlock()
	if c.cfg.Progress != nil {
		c.cfg.Progress(Progress{Percent: 5, Tag: "connecting", Cause: cause, Text: text})
	}
}

func (c *Client) startTrouble() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.trouble == "" {
		return "the bootstrap goes on"
	}
	return c.trouble
}

// troubleOf names the cause of a step that failed and says what to do.
func (c *Client) troubleOf(err error) (cause, text string) {
	var f *Failure
	switch {
	case c.blocked():
		return "filtered", "your network blocks your guards: other relays can be reached, these cannot. Use another connection."
	case errors.Is(err, link.ErrCertificateTime):
		return "clock_skew", "this clock does not agree with the network's. Set the clock."
	case errors.Is(err, link.ErrNetworkDown), errors.Is(err, link.ErrUnreachable):
		return "no_route", "this machine has no way to the network. Check its connection."
	case errors.Is(err, link.ErrRefused):
		return "refused", "the guard does not accept connections. Another one is tried."
	case errors.Is(err, link.ErrTimeout):
		return "filtered", "the guard does not answer. A firewall may drop the connection; another guard is tried."
	case errors.Is(err, link.ErrHandshake):
		return "filtered", "the guard did not complete the handshake: it belongs to another network, or something in between interferes."
	case isPathError(err):
		return "no_peers", err.Error()
	case errors.As(err, &f):
		return "no_peers", f.Error()
	}
	return "no_peers", "no guard can be used. They are tried again."
}

// linkTrouble says in words why there is no link to a guard.
func (c *Client) linkTrouble(err error) string {
	_, text := c.troubleOf(err)
	return text
}
