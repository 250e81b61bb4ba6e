// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"errors"
	"sync/atomic"

	"chive/directory/genesis"
	"chive/internal/store"
)

// ledger is the directory's store on disk, of which is known when it, or the one before,
// was lost: then nobody knows what this relay has signed, and it must not sign again
// (KEY-8). A damaged one tells itself. One that is not there, though the relay has run
// before, is told by the relay's mark; and keys that came out of a backup come without one.
type ledger struct {
	*store.Table
	state *State
	doc   *genesis.Document
	note  string // for the operator; empty: all is well
	lost  atomic.Bool
}

// The relay looks whether the file is still there.
var _ interface{ Gone() bool } = (*ledger)(nil)

// lostText says what a lost store means.
const lostText = ": the relay fetches the list of relays anew. If it has a seat in the committee it takes no part until the terms that run now are over, since what it has signed is not known any more."

// openLedger opens the directory's store. The caller holds the lock, and closes it.
func (s *State) openLedger(doc *genesis.Document) (*ledger, error) {
	path := s.path(tableFile)
	mark, err := s.relayMark()
	if err != nil {
		return nil, err
	}
	there, err := exists(path, "directory's store")
	if err != nil {
		return nil, err
	}
	restored, first, err := s.wasRestored() // with an older mark, or none
	if err != nil {
		return nil, err
	}
	if (mark == wordRan || restored) && !there || first {
		mark = wordLost
		if err := s.markRelay(doc, mark); err != nil { // before there is a file again
			return nil, err
		}
		if first {
			if err := s.takeRestored(); err != nil {
				return nil, err
			}
		}
	}
	l := &ledger{state: s, doc: doc}
	if l.Table, err = store.OpenTable(path); err != nil {
		return nil, tableFault(path, err)
	}
	switch {
	case mark == wordLost:
		l.lost.Store(true)
		l.note = "The directory's store " + path + " is missing, though this relay has run before" + lostText
		if restored {
			l.note = "This relay was restored from a backup" + lostText
		}
	case l.Old():
		l.note = "The directory's store " + path + " is an old copy: " + path + store.CountSuffix + " knows of later changes" + lostText + " Never put a copy of it back."
	case l.Table.Damaged():
		where := ""
		if moved := l.MovedTo(); moved != "" {
			where = " and was moved to " + moved
		}
		l.note = "The directory's store " + path + " was damaged" + where + lostText + " Check the disk."
	}
	return l, nil
}

// begin notes that the relay runs.
func (l *ledger) begin() error {
	if l.lost.Load() {
		return nil // until what follows from that is kept
	}
	return l.state.markRelay(l.doc, wordRan)
}

// Damaged implements relay.Store.
func (l *ledger) Damaged() bool { return l.lost.Load() || l.Table.Damaged() }

// Put implements relay.Store. The first one keeps what follows from a loss.
func (l *ledger) Put(writes []store.Write) error {
	err := l.Table.Put(writes)
	if err == nil && l.lost.Load() && l.state.markRelay(l.doc, wordRan) == nil {
		l.lost.Store(false)
	}
	return err
}

// tableFault says why the directory's store cannot be opened.
func tableFault(path string, err error) error {
	if errors.Is(err, store.ErrTableHeld) {
		return fault(Usage, "directory_held", "Stop the process that has it open, or give this one a folder of its own: --state DIR.", "Another process has the directory's store %s open", path)
	}
	return fileFault(path, "directory's store", err)
}
