// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"slices"
	"time"

	"chive/directory/record"
)

// A client that runs, and whose guards bring it nothing fresh, asks relays that are no
// guards over links. It keeps to the same few of them: while a network makes no lists
// the rounds go on, and with new ones in each every relay would come to know every
// client. Spec: protocol §7 (BOOT-5).

const (
	// strangersEpochs is how long the same ones are kept: in a public network a day.
	strangersEpochs = 24
	// strangerFailures in a row have one replaced, but no more than one in an epoch.
	strangerFailures = 3
)

// stranger is one of them.
type stranger struct {
	source
	failures int
}

// strangerSources returns those that are kept, voices of them in different places; some
// are drawn where they are too few.
func (c *Client) strangerSources(now time.Time) []source {
	epoch := c.doc.Params.EpochLen
	all := c.sources() // in a random order, without those that forged
	guards := c.Guards()
	c.mu.Lock()
	defer c.mu.Unlock()
	d := &c.dir
	since := now.Round(0).Sub(d.renewed)
	if len(d.strangers) > 0 && since >= strangersEpochs*epoch {
		d.strangers = nil
	}
	free := len(d.strangers) == 0
	keep := slices.DeleteFunc(slices.Clone(d.strangers), func(s stranger) bool {
		gone := slices.Contains(guards, s.rid) || !slices.ContainsFunc(all, func(o source) bool { return o.rid == s.rid })
		if since >= epoch && s.failures >= strangerFailures && !free {
			free, gone = true, true // one at a time
			return true
		}
		return gone
	})
	for _, s := range all {
		if len(keep) >= voices || !free && len(keep) >= len(d.strangers) && len(d.strangers) > 0 {
			break
		}
		taken := func(o stranger) bool { return o.rid == s.rid || o.of(c) == s.of(c) }
		was := func(o stranger) bool { return o.rid == s.rid }
		if slices.Contains(guards, s.rid) || slices.ContainsFunc(keep, taken) || slices.ContainsFunc(d.strangers, was) {
			continue
		}
		keep = append(keep, stranger{source: s})
		d.renewed = now.Round(0)
	}
	d.strangers = keep
	var out []source
	for _, s := range keep {
		out = append(out, s.source)
	}
	return out
}

// strangerAnswered notes whether a stranger could be linked to.
func (c *Client) strangerAnswered(rid record.RID, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.dir.strangers {
		if s := &c.dir.strangers[i]; s.rid == rid {
			if s.failures++; ok {
				s.failures = 0
			}
		}
	}
}
