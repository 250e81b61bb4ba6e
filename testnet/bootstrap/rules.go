// SPDX-License-Identifier: BSD-3-Clause

package bootstrap

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"chive/directory/record"
	"chive/directory/snapshot"
	dirsync "chive/directory/sync"
)

// The rules of a client that has nobody yet, as role client has them (fetch.go,
// source.go, clock.go, bootstrap.go there): whom it asks, in which order, when it has
// heard enough, and what it concludes. Spec: directory §8 (COLD, CHAIN).
const (
	voices     = 3  // relays in different places whose word counts together
	maxSources = 12 // relays asked in one round
	// maxRounds bounds the rounds that are simulated; a client has no bound.
	maxRounds = 40
)

var (
	errDead  = errors.New("bootstrap: no link")
	errClock = errors.New("bootstrap: relays say that this clock is wrong")
)

// source is a relay that can be asked; relay is nil if it cannot be linked to.
type source struct {
	rid   record.RID
	addrs []netip.AddrPort
	relay responder
	stale bool          // it serves an old snapshot
	off   time.Duration // what its link certificate says of this clock
}

// place is what sources are told apart by when several are to agree.
type place struct {
	net netip.Prefix
	rid record.RID
}

// client is one that begins.
type client struct {
	f     *dirsync.Follower
	rand  *rand.Rand
	now   time.Time
	world *eclipse
	peers []record.RID

	dropped  map[record.RID]bool
	readings []reading
	places   int
	taken    [][32]byte // digests that it came to hold
	tries    int
	seen     traffic
	missed   bool // a stale source's word was taken for fresh
	met      bool // it has met a stale source
	worried  bool // it was told that its clock is wrong
	warned   bool // it went on with a stale list
}

// reading is what a relay says of this clock.
type reading struct {
	at  place
	off time.Duration
}

func (c *client) placeOf(s source) place {
	if !c.world.doc.Params.PathNetworkRule || len(s.addrs) == 0 {
		return place{rid: s.rid}
	}
	return place{net: record.Network(s.addrs[0].Addr().Unmap())}
}

// sources are configured peers, then relays of the table held, those that run first, each
// kind in a random order; guards it has none. Whoever forged is left out.
func (c *client) sources() []source {
	seen := make(map[record.RID]bool)
	var out []source
	add := func(group []record.RID) {
		c.rand.Shuffle(len(group), func(i, j int) { group[i], group[j] = group[j], group[i] })
		for _, rid := range group {
			if !seen[rid] && !c.dropped[rid] {
				seen[rid] = true
				out = append(out, c.world.source(c, rid))
			}
		}
	}
	add(slices.Clone(c.peers))
	var running, others []record.RID
	all := c.f.Snapshot().Table()
	for i := range all.Len() {
		if r := all.At(i); r.Flags&snapshot.FlagRunning != 0 {
			running = append(running, r.RID)
		} else {
			others = append(others, r.RID)
		}
	}
	add(running)
	add(others)
	return out
}

// hearing gathers what relays answered in one round.
type hearing struct {
	c                *client
	answered         map[place]bool
	unproven, tooOld int
	fresh            bool
}

// round asks sources until one has brought a fresh list or voices of them have none.
// fresh: there is one. Error: errClock.
func (c *client) round() (fresh bool, err error) {
	all := c.sources()
	seen := make(map[place]bool)
	for _, s := range all {
		seen[c.placeOf(s)] = true
	}
	c.places, c.readings = len(seen), nil
	h := &hearing{c: c, answered: make(map[place]bool)}
	asked := 0
	for _, s := range all {
		at := c.placeOf(s)
		if asked >= maxSources {
			break
		}
		if h.answered[at] {
			continue // another one there adds nothing
		}
		asked++
		c.tries++
		result, err := c.fetch(s, at)
		done := h.note(s, at, result, err)
		if s.stale && err == nil {
			c.met = true
			c.missed = c.missed || h.fresh
		}
		if c.clockWrong() {
			c.worried = true
			return c.isFresh(), errClock
		}
		if done {
			break
		}
	}
	h.settle()
	return h.fresh, nil
}

// fetch asks one relay.
func (c *client) fetch(s source, at place) (dirsync.Result, error) {
	if s.relay != nil || s.off != 0 {
		c.read(at, s.off)
	}
	if s.relay == nil {
		return 0, errDead
	}
	t, result, err := refresh(c.f, s.relay, c.now)
	c.seen.add(t)
	c.hold()
	return result, err
}

// hold notes what the client holds now.
func (c *client) hold() {
	digest := c.f.Snapshot().Header().Digest()
	if n := len(c.taken); n == 0 || c.taken[n-1] != digest {
		c.taken = append(c.taken, digest)
	}
}

func (c *client) isFresh() bool {
	return dirsync.ServedFresh(c.world.doc.Params, c.f.Snapshot().Epoch(), c.world.doc.EpochAt(c.now))
}

// note takes what a relay answered and reports whether nobody else need be asked.
func (h *hearing) note(s source, at place, result dirsync.Result, err error) bool {
	c := h.c
	switch {
	case err == nil && result == dirsync.Unproven:
		h.unproven++
	case err == nil:
		h.fresh = c.isFresh()
	case errors.Is(err, dirsync.ErrOrphan):
	case errors.Is(err, dirsync.ErrForged):
		c.dropped[s.rid] = true
		return false
	case errors.Is(err, dirsync.ErrTooOld):
		h.tooOld++
	case errors.Is(err, dirsync.ErrAhead):
		c.read(at, -c.world.doc.Params.ClockClient-time.Second)
		return false
	default:
		return false
	}
	if !h.fresh {
		h.answered[at] = true
	}
	return h.fresh || len(h.answered) >= voices
}

// settle draws the conclusion of a round.
func (h *hearing) settle() {
	c := h.c
	enough := len(h.answered) >= min(voices, c.places)
	if !h.fresh && h.unproven > 0 && h.unproven == len(h.answered) && enough {
		c.f.Adopt()
		c.hold()
		h.fresh = c.isFresh()
	}
	held, now := c.f.Snapshot().Epoch(), c.world.doc.EpochAt(c.now)
	if !h.fresh && len(h.answered) > 0 && dirsync.FreshnessOf(c.world.doc.Params, held, now) != dirsync.Refused {
		c.warned = true
	}
}

// read keeps the newest reading of each place.
func (c *client) read(at place, off time.Duration) {
	c.readings = slices.DeleteFunc(c.readings, func(o reading) bool { return o.at == at })
	c.readings = append(c.readings, reading{at, off})
}

// clockWrong reports whether enough relays say so: the median of what they say.
func (c *client) clockWrong() bool {
	var offs []time.Duration
	for _, r := range c.readings {
		offs = append(offs, r.off)
	}
	if len(offs) == 0 || len(offs) < min(voices, c.places) {
		return false
	}
	slices.Sort(offs)
	a, b := offs[(len(offs)-1)/2], offs[len(offs)/2]
	if a.Abs() < b.Abs() {
		b = a
	}
	return b.Abs() > c.world.doc.Params.ClockClient
}

// begin runs rounds until the list held is fresh. first: the first round was enough.
func (c *client) begin() (done, first bool) {
	for round := range maxRounds {
		fresh, _ := c.round()
		if fresh {
			return true, round == 0
		}
	}
	return false, false
}
