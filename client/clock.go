// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"crypto/ed25519"
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
// A certified header of epoch e was signed by a quorum after e began: a clock that
// shows an earlier time is slow for certain, whoever passed the header on.
//
// Nothing bounds from above more tightly than link certificates do. A clock that is
// fast by less than they last makes the newest list look old, exactly as a network
// does that agrees on no list; the client then says both (directory.go).
//
// Spec: directory §8 (COLD, clock_skew), protocol §7.

const (
	// clockVoices relays in different places are heard before their word counts.
	clockVoices = 3
	// maxReadings bounds what is kept of them; the oldest goes.
	maxReadings = 16
	// readingLife is how long one counts: the user may set the clock.
	readingLife = 10 * time.Minute
)

// reading is what one relay's certificate said of this clock.
type reading struct {
	at    place
	off   time.Duration // how far this clock is ahead (negative: behind) for certain; 0: it may be right
	heard time.Time     // with the monotonic clock
}

// clockError says that this clock is wrong.
type clockError struct {
	off time.Duration // positive: fast
}

func (e *clockError) Error() string {
	way := "fast"
	if e.off < 0 {
		way = "slow"
	}
	return fmt.Sprintf("this clock is at least %s %s. Set the clock.", roughly(e.off.Abs()), way)
}

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

// heardAhead notes that the relay at a place holds a list of an epoch that by this
// clock is yet to come.
func (c *Client) heardAhead(at place) {
	c.noteReading(reading{at: at, heard: time.Now(), off: -c.doc.Params.ClockClient - time.Second})
}

// noteReading keeps the newest reading of each place.
func (c *Client) noteReading(r reading) {
	now := r.heard
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dir.readings = slices.DeleteFunc(c.dir.readings, func(o reading) bool {
		return o.at == r.at || now.Sub(o.heard) >= readingLife
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

// clockWrong returns a *clockError when this clock is wrong by more than the limit,
// as far as anybody can tell; nil otherwise. A list that is held and fresh by this clock
// was signed by a quorum, and outranks what link certificates say.
func (c *Client) clockWrong(now time.Time) error {
	limit := c.doc.Params.ClockClient
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := c.dir.table; t != nil && t.view.Epoch() > 0 {
		if off := now.Sub(c.doc.EpochStart(t.view.Epoch())); off < -limit {
			return &clockError{off}
		}
		if dirsync.ServedFresh(c.doc.Params, t.view.Epoch(), c.doc.EpochAt(now)) {
			return nil
		}
	}
	var offs []time.Duration
	for _, r := range c.dir.readings {
		if now.Sub(r.heard) < readingLife {
			offs = append(offs, r.off)
		}
	}
	if len(offs) == 0 || len(offs) < min(clockVoices, c.dir.places) {
		return nil
	}
	slices.Sort(offs)
	// Of an even number the middle one that is nearer to right.
	a, b := offs[(len(offs)-1)/2], offs[len(offs)/2]
	if a.Abs() < b.Abs() {
		b = a
	}
	if b.Abs() > limit {
		return &clockError{b}
	}
	return nil
}
