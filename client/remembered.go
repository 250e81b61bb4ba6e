// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"errors"
	"time"

	"chive/directory/genesis"
	"chive/directory/path"
	"chive/directory/snapshot"
	dirsync "chive/directory/sync"
	"chive/directory/vote"
)

// Remembered are the relays that a client has met before, and begins with.
type Remembered struct {
	Guards []Peer // those that can be used, the first one first
	// Listed are the relays of the saved list that ran, in the list's order. None where
	// there are guards: a client shows itself to as few others as it can.
	Listed []Peer
}

// Remember reads what a client has saved, without changing it: guards and directory are its
// Config.Store and Config.Directory. Nothing saved is nothing remembered, and so is a list
// that cannot be used, since the client fetches another. Errors: ErrState, with ErrStore
// beside it where the store failed.
func Remember(doc *genesis.Document, guards, directory Store, now time.Time) (out Remembered, err error) {
	state, err := guards.Load()
	if err != nil {
		return out, &storeError{err}
	}
	chosen := path.NewGuards(doc.Params, now)
	if state != nil {
		if chosen, err = path.LoadGuards(state, doc.Params, now); err != nil {
			return out, errors.Join(ErrState, err)
		}
	}
	f := dirsync.NewFollower(doc, vote.Plain{})
	if saved, err := directory.Load(); err == nil && saved != nil {
		if held, err := dirsync.LoadFollower(doc, vote.Plain{}, saved); err == nil {
			f = held
		}
	}
	t := f.Snapshot().Table()
	for _, rid := range chosen.Usable(now) {
		if r, listed := t.Relay(rid); listed {
			out.Guards = append(out.Guards, Peer{r.RID, r.Addresses})
		}
	}
	if len(out.Guards) > 0 || f.Certificate() == nil { // else the founders' list, which nobody has to remember
		return out, nil
	}
	for i := range t.Len() {
		if r := t.At(i); r.Flags&snapshot.FlagRunning != 0 {
			out.Listed = append(out.Listed, Peer{r.RID, r.Addresses})
		}
	}
	return out, nil
}
