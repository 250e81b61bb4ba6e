// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"chive/directory"
	"chive/directory/record"
	dirsync "chive/directory/sync"
	"chive/link"
)

// Limits of a relay that is a client of the directory.
const (
	sourcesPerRound = 6                // relays asked one after another
	adoptAfter      = 3                // sources, in as many places, that must say the same
	fetchTimeout    = 2 * time.Minute  // of one source
	firstRetry      = time.Second      // after a round without any answer, then twice as long
	lastRetry       = 10 * time.Minute // and at most an epoch
	maxForgers      = 256              // sources that are not asked again
)

// awayness says whether the relay is to be a client: it is not on the list that it
// knows, or far behind.
type awayness struct {
	now  atomic.Bool
	wake chan struct{}
}

// set is the loop's.
func (a *awayness) set(away bool) {
	if a.now.Swap(away) == away || !away {
		return
	}
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// joiner fetches the agreed table as clients do while the relay is away, and shows it to
// the machine, which then knows whom to call. One goroutine.
// Spec: directory §8, §10 (relay joins or wakes).
type joiner struct {
	d       *replica
	f       *dirsync.Follower
	rand    *rand.Rand
	forgers map[record.RID]bool
	own     atomic.Pointer[dirsync.Final] // the machine's newest, that the loop has left
	trouble atomic.Pointer[string]        // in words; nil: none
	// grounded is f.Grounded, for whoever else asks: f is the goroutine's.
	grounded atomic.Bool
}

// newJoiner goes on from what was stored. Error: the store's.
func newJoiner(d *replica) (*joiner, error) {
	saved, err := get(d.r.store, viewBucket, clientKey)
	if err != nil {
		return nil, err
	}
	var seed [32]byte
	if _, err := io.ReadFull(d.r.cfg.Rand, seed[:]); err != nil {
		return nil, err
	}
	j := &joiner{d: d, rand: rand.New(rand.NewChaCha8(seed)), forgers: map[record.RID]bool{}}
	// What cannot be read is fetched again, from the anchor or the document on.
	if j.f, _ = dirsync.Resume(d.r.genesis, d.r.cfg.Verifier, saved, d.r.cfg.Anchor, d.r.wall()); j.f == nil {
		j.f = dirsync.NewFollower(d.r.genesis, d.r.cfg.Verifier)
	}
	j.grounded.Store(j.f.Grounded())
	return j, nil
}

// run asks for the table again and again while the relay is away.
func (j *joiner) run() {
	t := time.NewTimer(0)
	defer t.Stop()
	half := j.d.r.genesis.Params.EpochLen / 2
	retry := firstRetry
	if j.f.Snapshot().Epoch() > 0 { // fetched before a restart
		j.d.send(input{event: directory.Seen{Snapshot: j.f.Snapshot()}})
	}
	for {
		select {
		case <-j.d.ctx.Done():
			return
		case <-j.d.away.wake:
		case <-t.C:
		}
		if !j.d.away.now.Load() {
			continue // wake tells when it is
		}
		if j.round() {
			retry = firstRetry
			t.Reset(half)
			continue
		}
		t.Reset(min(retry, 2*half))
		retry = min(2*retry, lastRetry)
	}
}

// advance goes on from what the machine has verified, where that is newer: the joiner
// stands still while the relay is on the list and follows.
func (j *joiner) advance() {
	own := j.own.Swap(nil)
	if own == nil || own.Certificate == nil || own.State.Epoch() <= j.f.Anchor().Epoch {
		return
	}
	j.f = dirsync.SeedFollower(j.d.r.genesis, j.d.r.cfg.Verifier, *own)
	j.grounded.Store(j.f.Grounded())
}

// round asks relays until one gives a table that is fresh, and reports whether any
// has answered.
func (j *joiner) round() (answered bool) {
	j.advance()
	tried := map[record.RID]bool{}
	unproven := map[place]bool{}
	said := 0
	var last error
	for range sourcesPerRound {
		s, places, ok := j.choose(tried)
		if !ok {
			break
		}
		tried[s.rid] = true
		result, err := j.fetch(s)
		j.d.r.notePeer(s.rid, err)
		if err != nil {
			last = err
			j.failed(s, err)
			continue
		}
		answered = true
		switch result {
		case dirsync.Newer:
			j.took()
		case dirsync.Unproven:
			said++
			unproven[s.place] = true
			if len(unproven) >= min(adoptAfter, places) && said >= min(adoptAfter, j.d.r.View().Table().Len()) && j.f.Adopt() {
				j.took()
			}
		}
		if dirsync.ServedFresh(j.d.r.genesis.Params, j.f.Snapshot().Epoch(), j.d.r.genesis.EpochAt(j.d.r.wall())) {
			break
		}
	}
	j.say(answered, last)
	return answered
}

// took keeps a newer snapshot and shows it to the machine.
func (j *joiner) took() {
	j.grounded.Store(j.f.Grounded())
	j.d.send(input{client: j.f.Encode()})
	j.d.send(input{event: directory.Seen{Snapshot: j.f.Snapshot()}})
}

// fetch asks one relay over a directory stream.
func (j *joiner) fetch(s source) (dirsync.Result, error) {
	st, err := j.d.openStream(s.rid, s.addrs, link.StreamDirectory)
	if err != nil {
		return 0, err
	}
	defer st.Close()
	ctx, cancel := context.WithTimeout(j.d.ctx, fetchTimeout)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { st.Close() })
	defer stop()
	return j.f.Fetch(st, j.d.r.wall, nil)
}

// failed draws the consequences of what a source has done.
func (j *joiner) failed(s source, err error) {
	if errors.Is(err, dirsync.ErrForged) {
		if len(j.forgers) >= maxForgers {
			clear(j.forgers)
		}
		j.forgers[s.rid] = true
	}
	if errors.Is(err, dirsync.ErrSplit) || errors.Is(err, dirsync.ErrIllegal) {
		j.d.send(input{client: j.f.Encode()})
		for _, e := range j.f.Evidence() {
			if data, err := e.Encode(); err == nil {
				j.d.send(input{event: directory.Evidence{Data: data}})
			}
		}
	}
}

// Troubles of a relay that is a client of the directory, in words.
var (
	troubleSilent = "no relay of the newest list that it knows answers; check that this machine reaches the network, or name a relay that runs (--peer)"
	troubleClock  = "its clock is off, so that it cannot follow the network: set the clock"
	troubleAhead  = "the network's list lies ahead of this machine's clock; set the clock"
	troubleOld    = "what it knows of the network is too old to go on from; a newer release is needed, or an anchor (--anchor FILE): whoever runs a client or relay in that network makes one with chive network anchor"
	troubleForged = "relays answer with lists that do not hold; check the genesis file"
	troubleOrphan = "the network's list does not follow from the one that this relay holds: there are two histories"
)

// say notes what stands in the way.
func (j *joiner) say(answered bool, last error) {
	var words *string
	switch {
	case errors.Is(last, dirsync.ErrAhead):
		words = &troubleAhead
	case errors.Is(last, dirsync.ErrOrphan):
		words = &troubleOrphan
	case answered:
	case errors.Is(last, dirsync.ErrTooOld) || j.f.TooOld(j.d.r.wall()):
		words = &troubleOld
	case errors.Is(last, dirsync.ErrForged):
		words = &troubleForged
	default:
		words = &troubleSilent
	}
	j.trouble.Store(words)
}
