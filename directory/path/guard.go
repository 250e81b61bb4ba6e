// SPDX-License-Identifier: BSD-3-Clause

package path

import (
	"io"
	"slices"
	"time"

	"chive/directory/genesis"
	"chive/directory/record"
	"chive/directory/snapshot"
)

// guardCount is how many guards a client keeps. Spec: directory §9.
const guardCount = 3

// maxGuards bounds the list, those included that were added while others could
// not be reached. A full list gets no new guard until one expires.
const maxGuards = 16

// Report says what a call changed, so that the client can tell its user.
type Report byte

// Reports, one bit each.
const (
	ReportAdded   Report = 1 << iota // a guard was chosen
	ReportRemoved                    // a guard expired, or was away too long
	ReportMoved                      // a guard broke circuits and is now last
)

// Guards are the relays through which a client enters the network: three, drawn
// by weight, in a fixed order, each for months. The first usable one is used.
// They change when their time is over or they leave the table, never because
// the network is down.
//
// The caller reports every link and every circuit, and asks before each path. A
// Guards is used by one goroutine at a time.
// Spec: directory §9 (guards).
type Guards struct {
	p         genesis.Params
	list      []*guard    // in the order they were drawn
	additions []time.Time // of the last GuardNewPer, oldest first
	openLinks int
	lastUp    time.Time // a link was made
	lastAlive time.Time // a link was made or still there
	suspect   *guard    // it fails half of its circuits; others are on trial
	keeping   bool      // new guards wait for Kept
}

// guard is one of them. The first block is kept on disk.
type guard struct {
	rid     record.RID
	expires time.Time
	absent  time.Time // first seen missing or not running; zero: it is there
	last    time.Time // it comes last until then

	unkept   bool      // it waits for Kept
	failures int       // links that failed in a row; 0: not marked
	marked   time.Time // the last of them
	proven   bool      // one failed while links to others did not
	retry    time.Time // not before
	circuits window
	trial    tally
}

// NewGuards returns an empty list. now is the start of the first wait for a link.
func NewGuards(p genesis.Params, now time.Time) *Guards {
	return &Guards{p: p, lastAlive: now}
}

// KeepFirst has guards that are drawn from now on wait for Kept before they are usable: a
// client that is killed in between would draw others. Spec: directory §8.
func (g *Guards) KeepFirst() { g.keeping = true }

// Unkept returns those that wait for Kept. The slice belongs to the caller.
func (g *Guards) Unkept() (out []record.RID) {
	for _, x := range g.list {
		if x.unkept {
			out = append(out, x.rid)
		}
	}
	return out
}

// Kept says that guards which Unkept returned are in what was saved, or never will be.
func (g *Guards) Kept(rids []record.RID) {
	for _, rid := range rids {
		if x := g.find(rid); x != nil {
			x.unkept = false
		}
	}
}

// Update compares the list with a snapshot: guards that expired or were away for
// GuardAbsent are dropped, missing ones are drawn. If no guard can be reached
// although other relays can, one more is drawn, within GuardNew in GuardNewPer.
// Call it with each new snapshot and about once a minute, never with a snapshot
// too old to be used. Error: what reading rand returns.
func (g *Guards) Update(now time.Time, rand io.Reader, s *Selector) (Report, error) {
	var report Report
	g.clearIfDown(now)
	for _, x := range g.list {
		r, there := s.table.Relay(x.rid)
		switch {
		case there && r.Flags&snapshot.FlagRunning != 0:
			x.absent = time.Time{}
		case x.absent.IsZero():
			x.absent = now
		}
	}
	before := len(g.list)
	g.list = slices.DeleteFunc(g.list, func(x *guard) bool {
		gone := !now.Before(x.expires) || (!x.absent.IsZero() && now.Sub(x.absent) >= g.p.GuardAbsent)
		if gone && g.suspect == x {
			g.endTrial()
		}
		return gone
	})
	if len(g.list) < before {
		report |= ReportRemoved
	}
	for len(g.list) < guardCount || g.unreachable() {
		added, err := g.add(now, rand, s)
		if err != nil || !added {
			return report, err
		}
		report |= ReportAdded
	}
	return report, nil
}

// add draws one guard. It reports false when the cap or the table allows none.
func (g *Guards) add(now time.Time, rand io.Reader, s *Selector) (bool, error) {
	if len(g.list) >= maxGuards || g.capped(now) {
		return false, nil
	}
	weights := make([]uint64, s.table.Len())
	for i := range weights {
		if g.find(s.table.At(i).RID) == nil {
			weights[i] = s.weights[Guard].weight(i)
		}
	}
	draw := newSampler(weights)
	if draw.total() == 0 {
		return false, nil
	}
	i, err := draw.draw(rand)
	if err != nil {
		return false, err
	}
	spread, err := below(rand, uint64(g.p.GuardLifeMax-g.p.GuardLifeMin)+1)
	if err != nil {
		return false, err
	}
	life := g.p.GuardLifeMin + time.Duration(spread)
	g.list = append(g.list, &guard{rid: s.table.At(i).RID, expires: g.round(now.Add(life)), unkept: g.keeping})
	if g.p.GuardNew > 0 {
		g.additions = append(g.additions, g.round(now))
	}
	return true, nil
}

// capped forgets old additions and reports whether there were as many as allowed.
func (g *Guards) capped(now time.Time) bool {
	g.additions = slices.DeleteFunc(g.additions, func(t time.Time) bool {
		return now.Sub(t) >= g.p.GuardNewPer+g.grain()
	})
	return g.p.GuardNew > 0 && len(g.additions) >= g.p.GuardNew
}

// unreachable reports whether every guard is marked although the network was there then,
// and a link to some other relay was made after the last mark: the network is there and
// the guards are not. Marks of a short outage alone, in which Down is not true yet, say
// nothing, whoever is reached first after it.
func (g *Guards) unreachable() bool {
	for _, x := range g.list {
		if x.absent.IsZero() && (x.failures == 0 || !x.proven || !g.lastUp.After(x.marked)) {
			return false
		}
	}
	return true
}

// Usable returns the guards that a path may begin with, best first. While the
// network is down these are all. The slice belongs to the caller.
func (g *Guards) Usable(now time.Time) []record.RID {
	g.clearIfDown(now)
	var first, last []record.RID
	for _, x := range g.list {
		switch {
		case x.unkept, !x.absent.IsZero(), now.Before(x.retry), !now.Before(x.expires):
		case x == g.suspect, now.Before(x.last):
			last = append(last, x.rid)
		default:
			first = append(first, x.rid)
		}
	}
	return append(first, last...)
}

// NextRetry returns the moment at which a guard that could not be reached is to be
// tried again; false when none waits.
func (g *Guards) NextRetry(now time.Time) (time.Time, bool) {
	var next time.Time
	for _, x := range g.list {
		if now.Before(x.retry) && (next.IsZero() || x.retry.Before(next)) {
			next = x.retry
		}
	}
	return next, !next.IsZero()
}

// Blocked reports whether the list may not grow although no guard can be reached
// and other relays can: the user's network blocks the guards.
func (g *Guards) Blocked(now time.Time) bool {
	return len(g.list) > 0 && g.unreachable() && (len(g.list) >= maxGuards || g.capped(now))
}

// LinkUp reports that a link to a relay, guard or not, was made.
func (g *Guards) LinkUp(now time.Time, rid record.RID) {
	g.openLinks++
	g.lastUp, g.lastAlive = now, now
	if x := g.find(rid); x != nil {
		x.unmark()
	}
}

// LinkLost reports that a link which LinkUp reported has ended, for any reason.
func (g *Guards) LinkLost(now time.Time) {
	g.openLinks = max(g.openLinks-1, 0)
	g.lastAlive = now
}

// LinkFailed reports that no link to a relay could be made. A guard is then left
// alone for GuardRetryMin, and twice as long each time, up to GuardRetryMax. While
// the network is down nothing is marked.
func (g *Guards) LinkFailed(now time.Time, rid record.RID) {
	x := g.find(rid)
	if g.clearIfDown(now) || x == nil {
		return
	}
	wait := g.p.GuardRetryMin
	for range x.failures {
		if wait = 2 * wait; wait >= g.p.GuardRetryMax {
			wait = g.p.GuardRetryMax
			break
		}
	}
	x.failures++
	x.marked, x.retry = now, now.Add(wait)
}

// Proven reports that links to these relays failed between two links to other relays
// that were made: the network was there. Those that are no marked guards are passed over.
func (g *Guards) Proven(rids []record.RID) {
	for _, rid := range rids {
		if x := g.find(rid); x != nil && x.failures > 0 {
			x.proven = true
		}
	}
}

// Down reports whether the network is down: no link is open, and none was for
// GuardDownAfter.
func (g *Guards) Down(now time.Time) bool {
	return g.openLinks == 0 && now.Sub(g.lastAlive) >= g.p.GuardDownAfter
}

// clearIfDown takes all marks back while the network is down: whatever failed
// said nothing about the guards.
func (g *Guards) clearIfDown(now time.Time) bool {
	if !g.Down(now) {
		return false
	}
	for _, x := range g.list {
		x.unmark()
	}
	return true
}

func (x *guard) unmark() {
	x.failures, x.marked, x.retry, x.proven = 0, time.Time{}, time.Time{}, false
}

func (g *Guards) find(rid record.RID) *guard {
	for _, x := range g.list {
		if x.rid == rid {
			return x
		}
	}
	return nil
}

// GuardStatus is what a client may show of one guard.
type GuardStatus struct {
	RID         record.RID
	Expires     time.Time
	Absent      bool // not in the table, or not running
	Unreachable bool // the last link failed
	Proven      bool // likewise, while links to others did not
	Last        bool // it broke circuits
}

// List returns the guards in the order they were drawn.
func (g *Guards) List(now time.Time) []GuardStatus {
	out := make([]GuardStatus, 0, len(g.list))
	for _, x := range g.list {
		out = append(out, GuardStatus{
			RID: x.rid, Expires: x.expires, Absent: !x.absent.IsZero(),
			Unreachable: x.failures > 0, Proven: x.proven, Last: now.Before(x.last),
		})
	}
	return out
}
