// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"io"

	"chive/directory/genesis"
	dirsync "chive/directory/sync"
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
	v, err := stored(doc, s, random)
	if err != nil {
		return nil, err
	}
	return dirsync.Final{State: v.State, Certificate: v.Certificate, Steps: v.Steps}.AnchorFile()
}
