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

// Progress is one step of the bootstrap. Percent only rises.
type Progress struct {
	Percent int
	// Tag names the step: starting, connecting, handshake,
	// loading_checkpoint, loading_directory, choosing_guards,
	// building_circuit, done.
	Tag string
	// Cause says why it stands still, from a closed list: clock_skew,
	// no_route, refused, filtered, proxy_auth, no_peers, directory_stale; empty while it
	// goes on. After 100 % it says why no new circuits are made.
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
// was saved, or snapshot 0 while everybody has it.
func (c *Client) fresh(now time.Time) bool {
	held, current := c.current().view.Epoch(), c.doc.EpochAt(now)
	return held <= current && dirsync.ServedFresh(c.doc.Params, held, current)
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
	if isPathError(err) {
		// No exit for the web: the network still serves other needs.
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

// progress reports a step, unless a later one was reported before, and forgets
// earlier trouble.
func (c *Client) progress(p Progress) {
	c.mu.Lock()
	c.trouble = ""
	back := p.Percent < c.dir.step.Percent
	if c.dir.step.Cause = ""; !back {
		c.dir.step = p
	}
	c.mu.Unlock()
	if c.cfg.Progress != nil && !back {
		c.cfg.Progress(p)
	}
	if !back {
		c.tell(Event{Kind: EventBootstrap, State: p.Tag})
	}
}

// stuck reports why the bootstrap stands still.
func (c *Client) stuck(err error) {
	cause, text := c.troubleOf(err)
	c.mu.Lock()
	c.trouble, c.mend = text, troubleFix(err, cause)
	c.dir.step.Cause, c.dir.step.Text = cause, text
	if errors.Is(err, errStale) || errors.Is(err, errAnchor) {
		c.dir.state = StateRefused
	}
	p := c.dir.step
	c.mu.Unlock()
	if c.cfg.Progress != nil {
		c.cfg.Progress(p)
	}
	c.tell(Event{Kind: EventBootstrap, State: p.Cause})
}

// startTrouble says why the client still starts, and what to do.
func (c *Client) startTrouble() (text, fix string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.trouble == "" {
		return "the bootstrap goes on", CauseFix("")
	}
	return c.trouble, c.mend
}

// troubleOf names the cause of a step that failed and says what to do.
func (c *Client) troubleOf(err error) (cause, text string) {
	var f *Failure
	var clock *clockError
	who, hint := "the guard", ""
	if len(c.Guards()) == 0 { // relays are only asked for the list yet
		who, hint = "the relay that was asked", " "+peerHint
	}
	switch {
	case errors.As(err, &clock):
		return "clock_skew", clock.Error()
	case errors.Is(err, errAnchor):
		return "directory_stale", "what this client has to begin with is too old: keys retired since then must not speak. Get a newer release, or an anchor: whoever runs a client or relay in that network makes one with chive network anchor; then --anchor FILE."
	case errors.Is(err, errStale):
		return "directory_stale", c.freshnessWords(c.current(), time.Now(), false) + " No relay asked has one: the network is stalled, these relays hold it back, or this clock is fast."
	case errors.Is(err, link.ErrProxy):
		return "no_route", "the proxy that client.upstream names cannot be reached, or is none of its kind. Check that it runs, and what client.upstream says; nothing goes past it."
	case errors.Is(err, link.ErrProxyAuth):
		return "proxy_auth", "the proxy that client.upstream names does not take the user and password. Put them right in client.upstream: http://USER:PASSWORD@HOST:PORT."
	case errors.Is(err, link.ErrProxyDenied):
		return "filtered", "the proxy that client.upstream names does not connect to the ports of relays. Where it permits some only, say which: client.ports = [443]."
	case c.portsShut():
		return "filtered", c.portWords()
	case errors.Is(err, errPorts):
		return "filtered", who + " takes no connections on the ports that client.ports allows. Another one is tried."
	case c.blocked():
		return "filtered", "your network blocks your guards: other relays can be reached, these cannot. Use another connection."
	case errors.Is(err, link.ErrCertificateTime):
		if errors.As(c.clockWrong(time.Now()), &clock) {
			return "clock_skew", clock.Error()
		}
		return "clock_skew", "this clock does not agree with the relay's that was asked. If others say so too, set the clock."
	case errors.Is(err, link.ErrNetworkDown), errors.Is(err, link.ErrUnreachable):
		return "no_route", "this machine has no way to the network. Check its connection."
	case errors.Is(err, link.ErrRefused):
		return "refused", who + " does not accept connections. Another one is tried." + hint
	case errors.Is(err, link.ErrTimeout):
		return "filtered", who + " does not answer. A firewall may drop the connection. Another one is tried." + hint
	case errors.Is(err, link.ErrHandshake):
		return "filtered", who + " did not complete the handshake: it belongs to another network, or something in between interferes."
	case errors.Is(err, dirsync.ErrForged), errors.Is(err, dirsync.ErrOrphan), errors.Is(err, errUnproven):
		return "no_peers", "the relays asked sent lists of relays that do not verify. Others are asked."
	case errors.Is(err, dirsync.ErrBusy), errors.Is(err, dirsync.ErrAbsent):
		return "no_peers", "the relays asked are busy. They are asked again."
	case errors.Is(err, errNoSource):
		return "no_peers", "no relay is known that could be asked for the list of relays. " + peerHint
	case isPathError(err):
		return "no_peers", err.Error()
	case errors.As(err, &f):
		return "no_peers", f.Error()
	}
	return "no_peers", "no guard can be used. They are tried again."
}

// peerHint is the way out when the relays that a client knows are gone.
const peerHint = "If other connections work, those that this client knows may be gone: name one that runs with --peer RID@IP:PORT (its operator reads both from chive status)."

// linkTrouble says in words why there is no link to a guard.
func (c *Client) linkTrouble(err error) string {
	_, text := c.troubleOf(err)
	return text
}
