// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"fmt"
	"slices"
	"time"

	"chive/directory/record"
	"chive/directory/snapshot"
	dirsync "chive/directory/sync"
)

// fewExits is how many exits that could not be reached one after another count as all, where
// the list has as many.
const fewExits = 3

var (
	// errNoExit says that the list has no exit, whatever the port.
	errNoExit = failure("circuit_failed", "the list of relays has no exit that runs", fixNoExit)
	// errNewExits says that those that run have no weight yet.
	errNewExits = failure("circuit_failed", "the list of relays has no exit that may be used yet: those that run are too new", fixNoExit)
	// errExitsGone says that the list has exits, and circuits to them fail.
	errExitsGone = errCircuitFix("none of the exits that were tried lately could be reached", fixNoExit)
)

// fixNoExit is what to do where no exit is left.
const fixNoExit = "wait until an exit runs again, and try again; chive status says how many run by the list"

// noExitIn says why no exit of a list can be had.
func noExitIn(t *table) *Failure {
	if t.counts().Exits > 0 {
		return errNewExits
	}
	return errNoExit
}

// exitFailed notes that the last hop of a circuit for n could not be had.
func (c *Client) exitFailed(n need, path []*snapshot.Relay, why *circuitError) {
	if n == needDir || why.local || why.hop <= 0 || why.hop != len(path)-1 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	for r, t := range c.exitsFailed {
		if now.Sub(t) > failedLife {
			delete(c.exitsFailed, r)
		}
	}
	if c.exitsFailed == nil {
		c.exitsFailed = make(map[record.RID]time.Time)
	}
	if len(c.exitsFailed) < maxFailed {
		c.exitsFailed[path[why.hop].RID] = now
	}
}

// exitsGone reports whether exits were tried lately, how many, and whether all failed: no circuit
// ends at one, and since the last that did, all exits that run by the list, or a few at
// least, could not be reached.
func (c *Client) exitsGone(now time.Time, running int) (tried int, gone bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range c.exitsFailed {
		if now.Sub(t) <= failedLife {
			tried++
		}
	}
	open := slices.ContainsFunc(c.open, func(q *circ) bool { return !q.retired && q.last().Flags&snapshot.FlagExit != 0 })
	return tried, !open && tried > 0 && tried >= min(fewExits, running)
}

// noExit says that requests find no exit, though all else goes well; empty: they may.
func (c *Client) noExit(t *table, now time.Time) string {
	n := t.counts()
	if n.Listed == 0 || c.freshnessAt(t, now) == dirsync.Refused {
		return ""
	}
	if n.Exits == 0 {
		return "The list of relays in use has no exit that runs: nothing outside the network can be reached until one runs again and is on a newer list."
	}
	tried, gone := c.exitsGone(now, n.Exits)
	if !gone {
		return ""
	}
	which := fmt.Sprintf("None of the %d exits that were tried lately", tried)
	if tried == 1 {
		which = "The only exit that was tried lately"
	}
	verb := "could be reached"
	if tried == 1 {
		verb = "could not be reached"
	}
	return fmt.Sprintf("%s %s, and no circuit ends at one (by the list %d run): requests fail until one can be. They are tried again and again.", which, verb, n.Exits)
}
