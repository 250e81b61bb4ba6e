// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"cmp"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"chive/directory"
	"chive/relay/exit"
)

// live is what of a Config may change while the relay runs.
type live struct {
	changing sync.Mutex            // of about, by whoever changes it
	about    atomic.Pointer[About] // never nil; what it points to is not changed
	exit     atomic.Pointer[exit.Exit]
	drain    atomic.Int64 // DrainTimeout
	rate     atomic.Int64 // kbit/s, plus 1, that the newest descriptor of this run says; 0: there is none
}

// begin takes what a Config says.
func (l *live) begin(c *Config) {
	about := c.About
	l.about.Store(&about)
	l.exit.Store(c.Exit)
	l.drain.Store(int64(cmp.Or(c.DrainTimeout, defaultDrain)))
}

// CheckAbout reports whether a descriptor can say a: nil, or ErrAbout with the fault
// joined to it.
func (r *Relay) CheckAbout(a About) error {
	err := a.check(r.identityKey())
	if err == nil && r.cfg.Certified != nil {
		err = a.checkRoom(r.identityKey())
	}
	if err != nil {
		return errors.Join(ErrAbout, err)
	}
	return nil
}

// ChangeAbout changes what the descriptor says: change gets a copy of what it says now,
// and must not change what that points to. A new descriptor is published as soon as the
// directory takes one; new addresses are tested first (REACH-4). Nothing changes on ErrAbout. It does not wait, and may be called
// at any time.
//
// Spec: product CFG-4.
func (r *Relay) ChangeAbout(change func(*About)) error {
	r.live.changing.Lock()
	defer r.live.changing.Unlock()
	was := r.live.about.Load()
	next := *was
	change(&next)
	if r.leaves.Load() {
		next.Rate = 0
	}
	if err := r.CheckAbout(next); err != nil {
		return err
	}
	r.live.about.Store(&next)
	if !slices.Equal(was.Addresses, next.Addresses) {
		r.newAddresses()
	}
	if d := r.replica.Load(); d != nil {
		d.keeper.leave(func() {})
	}
	return nil
}

// SetRate changes the rate that the descriptor says, in kbit/s; 0: the relay rests. A new
// descriptor follows as with ChangeAbout, none if that is what it says now.
//
// Spec: product §6 (REL-4).
func (r *Relay) SetRate(kbit uint32) error {
	if r.about().Rate == kbit || r.leaves.Load() {
		return nil
	}
	return r.ChangeAbout(func(a *About) { a.Rate = kbit })
}

// Rate is what the descriptor says, or will as soon as there is another one, in kbit/s.
func (r *Relay) Rate() uint32 { return r.about().Rate }

// Declares reports whether the newest descriptor, made in this run, says a rate in kbit/s.
func (r *Relay) Declares(kbit uint32) bool { return r.live.rate.Load() == int64(kbit)+1 }

// SetExit replaces what connects circuits to destinations; nil: the relay is no exit any
// more. Circuits that are open keep what they began with: streams of theirs go on, and
// what that Exit's policy forbids by then is not begun on them.
func (r *Relay) SetExit(e *exit.Exit) { r.live.exit.Store(e) }

// SetDrainTimeout is Config.DrainTimeout for a drain that has not begun.
func (r *Relay) SetDrainTimeout(d time.Duration) {
	r.live.drain.Store(int64(cmp.Or(d, defaultDrain)))
}

// about returns what the descriptor says. It is not changed.
func (r *Relay) about() *About { return r.live.about.Load() }

// changed has a new descriptor made if what it says has changed. It is called by the
// keeper's goroutine.
func (k *keeper) changed() {
	about := k.d.r.about()
	if about != k.said && k.d.send(input{event: directory.Renew{}}) {
		k.said = about
	}
}
