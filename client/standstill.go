// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"chive/directory/path"
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
	// no_route, refused, filtered, proxy_auth, no_peers, directory_stale, disk; empty while
	// it goes on. It stays until there is a step forward: that the same is tried again is
	// none. After 100 % it says why no new circuits are made;
	// disk stops nothing: what is learnt is not kept.
	Cause string
	// Text is a sentence for a person, without an address.
	Text string
	// Fix is what to do about the cause; empty: there is none.
	Fix string
	// Stuck says that there was no step forward for 20 s. Spec: product CLI-7.
	Stuck bool

	done int // parts of the list of relays that are there
}

// standstill is after how long without a step forward a client is stuck.
const standstill = 20 * time.Second

// errSlow says that nothing has failed yet, and nothing was reached.
var errSlow = errors.New("client: the relays asked are slow to answer")

// progress reports a step, unless it or a later one was reported before, and forgets
// earlier trouble with it.
func (c *Client) progress(p Progress) {
	c.mu.Lock()
	d := &c.dir
	forward := d.step.Tag == "" || p.Percent > d.step.Percent || p.Percent == d.step.Percent && p.done > d.step.done
	if forward {
		d.step, d.moved, d.setback = p, time.Now(), nil
		c.trouble, c.mend = "", ""
	}
	c.mu.Unlock()
	if !forward {
		return
	}
	if c.cfg.Progress != nil {
		c.cfg.Progress(p)
	}
	c.tell(Event{Kind: EventBootstrap, State: p.Tag})
}

// setback notes what went wrong last on the way to the next step, while something else is
// tried yet.
func (c *Client) setback(err error) {
	c.mu.Lock()
	c.dir.setback = err
	c.mu.Unlock()
}

// watchStart says, until ctx ends, why the bootstrap stands still where a round takes
// longer than that: what failed in it is known before it is over.
// Spec: product CLI-7, SOCKS-11.
func (c *Client) watchStart(ctx context.Context) {
	for {
		now := time.Now()
		c.mu.Lock()
		moved, stuck, err := c.dir.moved, c.dir.step.Stuck, c.dir.setback
		early := c.dir.step.Percent <= 5
		c.mu.Unlock()
		wait := moved.Add(standstill).Sub(now)
		if wait <= 0 {
			if wait = standstill; !stuck {
				switch {
				case err != nil:
				case early:
					err = link.ErrTimeout
				default:
					err = errSlow
				}
				c.stuckSince(err, moved)
			}
		}
		if pause(ctx, wait) != nil {
			return
		}
	}
}

// stuck reports why the bootstrap stands still.
func (c *Client) stuck(err error) { c.stuckSince(err, time.Time{}) }

// stuckSince is stuck, unless there was a step forward after moved; zero: whatever there
// was.
func (c *Client) stuckSince(err error, moved time.Time) {
	cause, text := c.troubleOf(err)
	now := time.Now()
	c.mu.Lock()
	d := &c.dir
	if !moved.IsZero() && !d.moved.Equal(moved) {
		c.mu.Unlock()
		return
	}
	c.trouble, c.mend, d.setback = text, c.troubleFix(err, cause), err
	d.step.Cause, d.step.Text, d.step.Fix = cause, text, c.mend
	d.step.Stuck = !now.Before(d.moved.Add(standstill))
	if errors.Is(err, errStale) || errors.Is(err, errAnchor) {
		d.state = StateRefused
	}
	p := d.step
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
	var answer *link.ProxyAnswer
	var rule *path.RuleError
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
		return "no_route", "the proxy that client.upstream names cannot be reached, or is none of its kind." + sayProxy
	case c.proxySilent(err):
		return "no_route", "nothing comes back in time through the proxy that client.upstream names: it takes connections and stays silent, or the relay that was asked is gone." + sayProxy
	case errors.Is(err, link.ErrProxyAuth):
		return "proxy_auth", "the proxy that client.upstream names does not take the user and password. Put them right in client.upstream: USER:PASSWORD@ stands before its host."
	case errors.Is(err, link.ErrProxyDenied):
		return "filtered", "the proxy that client.upstream names does not connect to the ports of relays. Where it permits some only, say which: client.ports = [443]."
	case errors.As(err, &answer):
		return "no_route", proxyAnswered(answer) + sayProxyAsks
	case c.portsShut():
		return "filtered", c.portWords()
	case errors.Is(err, errPorts):
		return "filtered", who + " takes no connections on the ports that client.ports allows." + another
	case c.blocked():
		return "filtered", "your network blocks your guards: other relays can be reached, these cannot. Use another connection."
	case errors.Is(err, link.ErrCertificateTime):
		if errors.As(c.clockWrong(time.Now()), &clock) {
			return "clock_skew", clock.Error()
		}
		return "clock_skew", "this clock does not agree with the relay's that was asked. If others say so too, set the clock."
	case errors.Is(err, dirsync.ErrAhead):
		return "clock_skew", "the relay that was asked has a list of relays that by this clock is yet to come: this clock is slow, or keys of that network were taken. If it is slow, set it."
	case errors.Is(err, link.ErrNetworkDown), errors.Is(err, link.ErrUnreachable):
		return "no_route", "this machine has no way to the network. Check its connection."
	case errors.Is(err, link.ErrRefused):
		return "refused", who + " does not accept connections." + another + hint
	case errors.Is(err, link.ErrTimeout):
		return "filtered", who + " does not answer. A firewall may drop the connection." + another + hint
	case errors.Is(err, link.ErrHandshake):
		return "filtered", who + " did not complete the handshake: it belongs to another network, or something in between interferes."
	case errors.Is(err, errSlow):
		return "no_peers", "the relays asked are slow to answer. They and others are asked again."
	case errors.Is(err, dirsync.ErrForged), errors.Is(err, dirsync.ErrOrphan), errors.Is(err, errUnproven):
		return "no_peers", "the relays asked sent lists of relays that do not verify. Others are asked."
	case errors.Is(err, dirsync.ErrBusy), errors.Is(err, dirsync.ErrAbsent):
		return "no_peers", "the relays asked are busy. They are asked again."
	case errors.Is(err, errNoSource):
		return "no_peers", "no relay is known that could be asked for the list of relays. " + peerHint
	case errors.As(err, &f):
		return "no_peers", f.Error()
	case errors.As(err, &rule):
		return "no_peers", pathWords(rule)
	}
	return "no_peers", "no guard can be used. They are tried again."
}

// sayProxy ends what is said where the proxy on the way is in the way: fixProxy says the same
// to whom has a place of its own for it.
const sayProxy = " Check that it runs, and what client.upstream says; nothing goes past it."

// sayProxyAsks is sayProxy for a proxy that answers.
const sayProxyAsks = " Ask who runs the proxy, and see what client.upstream says; nothing goes past it."

// proxyAnswered says what the proxy on the way has answered. Whether it lets nothing
// through or the relay is gone only whoever runs it can tell, or that all relays fail so.
func proxyAnswered(a *link.ProxyAnswer) string {
	switch a.Status {
	case 0:
		return "the proxy that client.upstream names says that it has no way to the relay that was asked."
	case http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return fmt.Sprintf("the proxy that client.upstream names answered %d: it does not let connections through (CONNECT).", a.Status)
	}
	return fmt.Sprintf("the proxy that client.upstream names answered %d and does not let the connection through, or the relay that was asked is gone.", a.Status)
}

// peerHint is the way out when the relays that a client knows are gone.
const peerHint = "If other connections work, those that this client knows may be gone: name one that runs with --peer RID@IP:PORT (its operator reads both from chive status)."

// linkTrouble says in words why there is no link to a guard.
func (c *Client) linkTrouble(err error) string {
	_, text := c.troubleOf(err)
	return strings.Replace(text, another, "", 1) // none is, any more
}
