// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"errors"
	"slices"
	"strings"
	"time"

	"chive/directory/path"
	"chive/directory/snapshot"
	"chive/internal/redact"
)

// outage is what keeps a client that was ready from having any circuit. The zero value:
// nothing does.
type outage struct {
	since            time.Time // a guard could not be reached while no circuit was open
	cause, text, fix string    // of the last guard that could not be
	err              error     // the same
	told             bool
}

// another is what is said of a guard that failed while others are left.
const another = " Another one is tried."

// noCircuit notes that there is no link to a guard, where no circuit is open that would
// do. Spec: product CLI-6, CLI-7.
func (c *Client) noCircuit(err error) {
	cause, text := c.troubleOf(err)
	fix := c.troubleFix(err, cause)
	if cause == "refused" {
		fix = fixRefused
	}
	text = "no circuit can be made: " + strings.Replace(text, another, " All guards are tried again.", 1)
	now := time.Now()
	c.mu.Lock()
	if slices.ContainsFunc(c.open, func(q *circ) bool { return !q.retired }) {
		c.mu.Unlock()
		return
	}
	o := &c.outage
	if o.since.IsZero() {
		o.since = now
	}
	o.cause, o.text, o.fix, o.err = cause, text, fix, err
	c.mu.Unlock()
	c.tellOutage()
}

// downAt reports whether no circuit could be had for so long that the client is of no use.
// Under Client.mu.
func (c *Client) downAt(now time.Time) bool {
	return !c.outage.since.IsZero() && now.Sub(c.outage.since) >= standstill
}

// withOutage gives a step the cause why there is no circuit. Under Client.mu.
func (c *Client) withOutage(p Progress) Progress {
	o := &c.outage
	p.Cause, p.Text, p.Fix, p.Stuck = o.cause, o.text, o.fix, true
	return p
}

// tellOutage says once that the client is down.
func (c *Client) tellOutage() {
	now := time.Now()
	c.mu.Lock()
	if c.stateAt(now) != StateDown || c.outage.told {
		c.mu.Unlock()
		return
	}
	c.outage.told = true
	p := c.withOutage(c.dir.step)
	c.mu.Unlock()
	c.cfg.Log.Warn().EmbedObject(redact.RoleClient).EmbedObject(redact.Event("down")).
		Msg("no circuit can be made: no guard can be reached; they are tried again; see the client's status")
	if c.cfg.Progress != nil {
		c.cfg.Progress(p)
	}
	c.tell(Event{Kind: EventBootstrap, State: p.Cause})
}

// outageOver forgets what was noted: a circuit is open, or it is not for want of a guard
// that one fails.
func (c *Client) outageOver() {
	c.mu.Lock()
	told := c.outage.told
	c.outage = outage{}
	p := c.withUnsaved(c.dir.step)
	c.mu.Unlock()
	if !told {
		return
	}
	c.cfg.Log.Info().EmbedObject(redact.RoleClient).EmbedObject(redact.Event("up")).Msg("a guard can be reached again")
	if c.cfg.Progress != nil {
		c.cfg.Progress(p)
	}
	c.tell(Event{Kind: EventBootstrap, State: p.Tag})
}

// errNoGuards says that no circuit can begin: links to all guards failed a moment ago, with
// what the last one failed with where no circuit is open besides. Spec: product §4.6, CLI-7.
func (c *Client) errNoGuards() *Failure {
	c.mu.Lock()
	err := c.outage.err
	c.mu.Unlock()
	if err == nil {
		return failure("network_down", "the network cannot be reached: no guard accepts connections", fixGuards)
	}
	if cause, _ := c.troubleOf(err); cause == "refused" {
		return failure("network_down", "the network cannot be reached: no guard accepts connections", fixRefused+"; "+fixGuards)
	}
	f := *c.errDown(c.linkTrouble(err), err)
	f.fix += "; " + fixGuards
	return &f
}

// fixGuards is where more is said of guards that cannot be reached.
const fixGuards = "chive status says what becomes of each guard; they are tried again and again"

// explainChoice says that no path was to be had, as a step of a story.
func (c *Client) explainChoice(err error, took time.Duration) TryExplained {
	t := TryExplained{Phase: phaseCircuit, Took: took}
	var f *Failure
	if errors.As(err, &f) {
		t.Reason, t.Text = f.reason, f.text
	}
	var rule *path.RuleError
	if errors.As(err, &rule) && rule.Rule == path.RuleGuards {
		t.Hop = 1
		c.mu.Lock()
		if c.outage.cause != "" {
			t.Reason = c.outage.cause
		}
		c.mu.Unlock()
	}
	return t
}

// guardLinked reports whether there is a link to a guard.
func (c *Client) guardLinked() bool {
	return slices.ContainsFunc(c.usableGuards(), func(r *snapshot.Relay) bool { return c.links.Lookup(r.RID) != nil })
}
