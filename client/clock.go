// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"time"

	"chive/directory/record"
	dirsync "chive/directory/sync"
	"chive/link"
)

// What relays tell about the time, and how far it may be believed:
//
// A link certificate is made for at most link.MaxCertificateLife, and no relay shows
// one whose time is over. So a relay's clock lies in the last MaxCertificateLife
// before the end of its certificate. That is one relay's word: it counts when it
// comes from clockVoices relays in different places, and then the median of how far
// this clock lies outside does.
//
// A certified header of epoch e was signed by a quorum after e began, and the genesis
// document by founders when the network began: a clock that shows an earlier time is slow
// for certain, if the list is in use or relays in different places show one (future.go). Such a
// clock stops a client that has circuits, too; by how much it is off is what relays answer when
// they are asked.
//
// Asked (TIME), a relay says what it takes the time for, so that it is known by how much
// this clock is off. It is asked when it has nothing that is fresh by this clock, or
// shows a certificate of another time; then over a link for nothing else. Its word counts
// as a certificate's does. Where relays do not know TIME, a clock that is fast by less than
// certificates last makes the newest list look old, exactly as a network does that agrees
// on no list; the client then says both (bootstrap.go).
//
// Spec: directory §8 (COLD, clock_skew), protocol §7.

const (
	// clockVoices relays in different places are heard before their word counts.
	clockVoices = 3
	// maxReadings bounds what is kept of them; the oldest goes.
	maxReadings = 16
	// readingLife is how long one counts, unless the clock is set before.
	readingLife = 10 * time.Minute
	// clockStep is by how much the clock on the wall may go otherwise than time does: what
	// adjusts it slowly stays below that, and no skew as small matters.
	clockStep = 5 * time.Second
	// anyClock is a skew beyond all: for links that serve to ask for the time.
	anyClock = 100 * 365 * 24 * time.Hour
)

// reading is what one relay said of this clock.
type reading struct {
	at    place
	off   time.Duration // how far this clock is ahead (negative: behind) for certain; 0: it may be right
	told  bool          // the relay was asked: off is what it is, not what it is at least
	heard time.Time     // with the monotonic clock
	wall  time.Time     // the same by the clock on the wall alone
}

// holds reports whether a reading still says something of this clock: it is not too old, and
// the clock was not set since. A machine that slept looks as if it was.
func (r *reading) holds(now time.Time) bool {
	passed := now.Sub(r.heard)
	return passed < readingLife && (now.Round(0).Sub(r.wall)-passed).Abs() < clockStep
}

// clockError says that this clock is wrong.
type clockError struct {
	off  time.Duration // positive: fast
	told bool          // it is that much; else at least
}

func (e *clockError) Error() string {
	way, much, off := "fast", "at least ", e.off.Abs()
	if e.off < 0 {
		way = "slow"
	}
	if e.told {
		much = ""
		if off >= time.Minute {
			off = off.Round(5 * time.Second) // it is known to a second or two: no "59 min"
		}
	}
	return fmt.Sprintf("this clock is %s%s %s. %s", much, roughly(off), way, setClock)
}

// setClock is what to do about it.
const setClock = "Set the clock."

// roughly puts a duration into words a person would use.
func roughly(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%d days", d/(24*time.Hour))
	case d >= time.Hour:
		h, m := d/time.Hour, d%time.Hour/time.Minute
		if m == 0 {
			return fmt.Sprintf("%d h", h)
		}
		return fmt.Sprintf("%d h %d min", h, m)
	case d >= time.Minute:
		return fmt.Sprintf("%d min", d/time.Minute)
	}
	return fmt.Sprintf("%d s", d/time.Second)
}

// heardTime notes what the certificate of the relay at a place says of this clock.
func (c *Client) heardTime(at place, notAfter time.Time) {
	now := time.Now()
	r := reading{at: at, heard: now}
	switch early := notAfter.Add(-link.MaxCertificateLife); {
	case now.Before(early):
		r.off = now.Sub(early)
	case now.After(notAfter):
		r.off = now.Sub(notAfter)
	}
	c.noteReading(r)
}

// askTime asks a relay that was just asked for the list, with fetched coming of it, for
// the time over the same stream: if it answered and there is still nothing fresh, or it
// has a list of the future. It returns by how much this clock is ahead by its word.
func (c *Client) askTime(ctx context.Context, s stream, fetched error) (ahead time.Duration, ok bool) {
	switch {
	case errors.Is(fetched, dirsync.ErrAhead): // whatever is fresh by this clock
	case fetched != nil && !spoke(fetched), errors.Is(fetched, dirsync.ErrForged), c.servedFresh():
		return 0, false
	}
	return c.timeOver(ctx, s)
}

func (c *Client) timeOver(ctx context.Context, s stream) (ahead time.Duration, ok bool) {
	rw, stop := patiently(ctx, s)
	defer stop()
	ahead, err := dirsync.FetchTime(rw, time.Now)
	return ahead, err == nil
}

// heardTold notes what the relay at a place said of this clock when it was asked.
func (c *Client) heardTold(at place, ahead time.Duration) {
	c.noteReading(reading{at: at, off: ahead, told: true, heard: time.Now()})
}

// linkForTime links to a relay whose certificate is of another time than this clock's,
// asks it what the time is, and ends the link.
func (c *Client) linkForTime(ctx context.Context, s source, patience time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cfg := c.linkConfig(s.rid)
	cfg.ClockSkew = anyClock
	for _, a := range c.passing(s.addrs) {
		l, err := link.Dial(ctx, c.cfg.Transport, a, cfg)
		if err != nil {
			continue
		}
		if st, err := l.Open(link.StreamDirectory); err == nil {
			if told, ok := c.timeOver(ctx, st); ok {
				c.heardTold(s.of(c), told)
			}
			_ = st.Close()
		}
		_ = l.Close()
		return
	}
}

// noteReading keeps the newest reading of each place; what a relay told when it was asked
// stays, beside what only bounds it.
func (c *Client) noteReading(r reading) {
	now := r.heard
	r.wall = now.Round(0)
	c.mu.Lock()
	defer c.mu.Unlock()
	if !r.told && slices.ContainsFunc(c.dir.readings, func(o reading) bool {
		return o.told && o.at == r.at && o.holds(now)
	}) {
		return
	}
	c.dir.readings = slices.DeleteFunc(c.dir.readings, func(o reading) bool {
		return o.at == r.at || !o.holds(now)
	})
	if len(c.dir.readings) >= maxReadings {
		c.dir.readings = slices.Delete(c.dir.readings, 0, 1)
	}
	c.dir.readings = append(c.dir.readings, r)
}

// certified returns a hook for link.Config: it notes what the relay rid shows, even
// when the handshake then fails because of it. The certificate of another relay than
// the one that was dialled says nothing.
func (c *Client) certified(rid record.RID, at place) func(ed25519.PublicKey, time.Time) {
	return func(id ed25519.PublicKey, notAfter time.Time) {
		if record.NewRID(c.nid, id) == rid {
			c.heardTime(at, notAfter)
		}
	}
}

// behindAt returns by how much this clock is slow for certain, at least; 0: it is not, by
// more than the limit. Under Client.mu. Spec: protocol §7 (BOOT-3).
func (c *Client) behindAt(now time.Time) time.Duration {
	past := c.provenEpoch(now)
	if t := c.dir.table; t != nil {
		past = max(past, t.view.Epoch())
	}
	if off := c.doc.EpochStart(past).Sub(now); off > c.doc.Params.ClockClient {
		return off
	}
	return 0
}

// isBehind reports whether this clock is slow for certain.
func (c *Client) isBehind(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.behindAt(now) > 0
}

// clockWrong returns a *clockError when this clock is wrong by more than the limit,
// as far as anybody can tell; nil otherwise. What is certain comes first. A list that is
// held and fresh by this clock was signed by a quorum, and outranks what link certificates
// say.
func (c *Client) clockWrong(now time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if behind := c.behindAt(now); behind > 0 {
		if err := c.heardAt(now); err != nil && err.told && err.off < 0 {
			return err // by how much it is
		}
		return &clockError{off: -behind}
	}
	if t := c.dir.table; t != nil && t.view.Epoch() > 0 && dirsync.ServedFresh(c.doc.Params, t.view.Epoch(), c.doc.EpochAt(now)) {
		return nil
	}
	if err := c.heardAt(now); err != nil {
		return err
	}
	return nil
}

// heardAt returns what relays in different places say of this clock, in the median; nil:
// they are too few, or it is right within the limit. Under Client.mu.
func (c *Client) heardAt(now time.Time) *clockError {
	var offs []reading
	for _, r := range c.dir.readings {
		if r.holds(now) {
			offs = append(offs, r)
		}
	}
	if len(offs) < c.enoughVoices() {
		return nil
	}
	slices.SortStableFunc(offs, func(a, b reading) int { return cmp.Compare(a.off, b.off) })
	// Of an even number the middle one that is nearer to right.
	a, b := offs[(len(offs)-1)/2], offs[len(offs)/2]
	if a.off.Abs() < b.off.Abs() {
		b = a
	}
	if b.off.Abs() > c.doc.Params.ClockClient {
		return &clockError{off: b.off, told: b.told}
	}
	return nil
}
