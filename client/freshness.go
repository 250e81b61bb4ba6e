// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"fmt"
	"time"

	"chive/directory/committee"
	dirsync "chive/directory/sync"
)

// Below these a committee is whoever happens to be there. Spec: directory §6 (young).
const (
	youngEligible = 300
	youngGroups   = 60
)

// freshnessAt says how old the list of relays is by this clock.
func (c *Client) freshnessAt(t *table, now time.Time) dirsync.Freshness {
	return dirsync.FreshnessOf(c.doc.Params, t.view.Epoch(), c.doc.EpochAt(now))
}

// ageAt returns how many epochs old the list of relays is by this clock.
func (c *Client) ageAt(t *table, now time.Time) uint64 {
	held, current := t.view.Epoch(), c.doc.EpochAt(now)
	return current - min(held, current)
}

// refusesAt reports whether the list of relays is too old for new circuits, or this clock
// slow for certain. Spec: directory §8 (REFUSE), protocol §7 (BOOT-3).
func (c *Client) refusesAt(now time.Time) bool {
	return c.isBehind(now) || c.freshnessAt(c.current(), now) == dirsync.Refused
}

// stateAt returns the state: what the clock makes of a list comes before what was
// done last. Under Client.mu.
func (c *Client) stateAt(now time.Time) State {
	d := &c.dir
	if d.state != StateReady {
		return d.state
	}
	switch t := d.table; {
	case c.freshnessAt(t, now) == dirsync.Refused, c.behindAt(now) > 0:
		return StateRefused
	case c.downAt(now):
		return StateDown
	case d.lagging, c.ageAt(t, now) > 2*uint64(c.doc.Params.Fresh):
		return StateStale
	}
	return StateReady
}

// freshnessWords says how old the list of relays is and what follows. lags: the last
// round of asking found none as new as it should be.
func (c *Client) freshnessWords(t *table, now time.Time, lags bool) string {
	age := c.ageAt(t, now)
	text := "The list of relays is of this epoch"
	switch {
	case age == 1:
		text = "The list of relays is one epoch old"
	case age > 1:
		text = fmt.Sprintf("The list of relays is %d epochs (%s) old", age, roughly(time.Duration(min(age, 1<<20))*c.doc.Params.EpochLen))
	}
	switch c.freshnessAt(t, now) {
	case dirsync.Fresh:
		if lags {
			return text + ", and no relay asked has a newer one that is due; asked again until one comes."
		}
		return text + ": fresh."
	case dirsync.Outdated:
		return text + fmt.Sprintf(": very old. Many of its relays may be gone, and whoever holds newer lists back gains by it. A newer one is looked for; no new circuits are made "+
			"when this one is older than %d epochs (%s).", c.doc.Params.Refuse, roughly(time.Duration(c.doc.Params.Refuse)*c.doc.Params.EpochLen))
	case dirsync.Refused:
		return text + ": too old. No new circuits are made until a newer one is found."
	}
	return text + ": stale. Relays may have come and gone; a newer one is looked for."
}

// committeeStatus says who agrees on the list. seats is the K of the list that signs
// now, 0 where it is not known.
func committeeStatus(seats, eligible, groups int) CommitteeStatus {
	s := CommitteeStatus{K: seats, Eligible: eligible, Groups: groups}
	if seats > 0 {
		s.M, s.Q = committee.Matching(seats), committee.Quorum(seats)
	}
	if s.Young = eligible < youngEligible || groups < youngGroups; s.Young {
		s.Text = fmt.Sprintf("This network is young: its relay list is agreed by %d relays in %d networks, and %d of them acting "+
			"together decide what is on it. Do not rely on it for protection.", s.K, min(groups, max(seats, 1)), s.M)
	}
	return s
}

// notes says in sentences what a user of this network should know.
func (s *Status) notes() []string {
	var out []string
	if s.Committee.Young {
		out = append(out, s.Committee.Text)
	}
	if s.Unmeasured {
		out = append(out, "This network is unmeasured: how fast its relays are is their own word.")
	}
	if s.Stalled && s.Clock == "" {
		out = append(out, "This network is stalled: relays in different places have no newer list either. Or this clock is fast.")
	}
	if s.Stalled && s.Clock != "" {
		out = append(out, "Relays in different places have no newer list, and say that this clock is wrong. If it is right, this network is stalled.")
	}
	if s.Forked {
		out = append(out, "This network is forked: a relay had a history that the list used here is no part of. It is not followed; the certificates of both are kept.")
	}
	if s.NoExit != "" {
		out = append(out, s.NoExit)
	}
	if s.Unasked {
		out = append(out, "No relay could be asked which list it holds, several times in a row: nobody has confirmed that this list is everybody's. The guards may keep others from answering.")
	}
	return out
}
