// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"errors"
	"io"
	"math/rand/v2"

	"chive/directory"
	"chive/directory/genesis"
	"chive/directory/record"
	dirsync "chive/directory/sync"
	"chive/directory/vote"
	"chive/internal/redact"
)

// Anchor makes an anchor file of the newest final list that this relay holds.
// Error: dirsync.ErrAnchor while that is the genesis document's.
func (r *Relay) Anchor() (*dirsync.AnchorFile, error) {
	final := r.final.Load()
	if final == nil {
		return nil, dirsync.ErrAnchor
	}
	return final.AnchorFile()
}

// StoredAnchor is Anchor of a relay that does not run, from its store, which is only
// read. Errors: dirsync.ErrAnchor, ErrStore, and rand's.
func StoredAnchor(doc *genesis.Document, s Store, random io.Reader) (*dirsync.AnchorFile, error) {
	var seed [32]byte
	if _, err := io.ReadFull(random, seed[:]); err != nil {
		return nil, err
	}
	var unread error
	m, err := directory.New(directory.Config{
		Document: doc, RID: record.RID{}, Rand: rand.NewChaCha8(seed), Verifier: vote.Plain{}, Saved: saved(s, &unread),
	})
	if err = errors.Join(err, unread); err != nil {
		return nil, errors.Join(ErrStore, redact.Classify(err))
	}
	v := m.Head()
	return dirsync.Final{State: v.State, Certificate: v.Certificate, Steps: v.Steps}.AnchorFile()
}
