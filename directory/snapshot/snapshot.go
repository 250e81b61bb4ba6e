// SPDX-License-Identifier: BSD-3-Clause

// Package snapshot holds the agreed table of relays: what every client of an
// epoch knows, byte for byte the same. A snapshot is a table of leaves, one per
// relay and sorted by rid, the dictionaries the leaves point into, and a header
// that commits to both.
//
// Leaf, the bytes that are hashed:
//
//	rid 16 | onion 32 | IPv4 4 | port 2 | IPv6 16 | port 2 (both only if flagged)
//	flags 2 | bucket 1 | birth day 2 | group 2 | family 2 | policy 1 | protocol 1
//
// A relay without IPv4 has zeros there. Birth days count from GuardFull days
// before genesis, so that a founder, born on day 0, has the age GuardFull when the
// network begins. Group, family and policy are indices into the dictionaries;
// family 0 and policy 0 mean none.
//
// Trees are those of RFC 6962 with SHA-256. The table of snapshot 0 follows from
// the genesis document alone. What turns one snapshot into the next (votes,
// certificates, the transition, diffs), and the whole of snapshot 0, is built on
// these types and changes none of them. The package fetches nothing and verifies no
// signatures.
//
// Tables, headers and snapshots are immutable and may be read by any number of
// goroutines.
//
// Spec: directory §5.
package snapshot

import (
	"errors"

	"chive/directory/genesis"
	"chive/directory/record"
)

// View is the current agreed table as clients and relays need it. The same view
// never changes; a later epoch is another view. Implementations may be read by
// any number of goroutines.
type View interface {
	// Epoch is the epoch of the snapshot, not of the clock.
	Epoch() uint64
	// Header commits to the table.
	Header() *Header
	// Table lists the relays.
	Table() *Table
	// Day is the network's day at the snapshot, in the count of birth days.
	Day() int
}

// Snapshot is a header with its table. It is the View of that epoch.
type Snapshot struct {
	header *Header
	table  *Table
	day    int
}

// ErrMismatch means a header that does not commit to a table.
var ErrMismatch = errors.New("snapshot: header and table do not fit")

// New joins a header and the table it commits to. Whether the header is to be
// believed is for its certificate to say. Both must not be changed afterwards.
// Error: ErrMismatch.
func New(h *Header, t *Table, p genesis.Params) (*Snapshot, error) {
	if h.LeafCount != uint64(t.Len()) || h.DirRoot != t.DirRoot() || h.DictRoot != t.DictRoot() {
		return nil, ErrMismatch
	}
	return &Snapshot{header: h, table: t, day: Day(p, h.Epoch)}, nil
}

// GenesisHeader returns what the header of snapshot 0 says of the document and the
// table. Roots of lists and of what only relays hold are the transition's to add:
// transition.Genesis makes the whole snapshot.
func GenesisHeader(doc *genesis.Document, table *Table) *Header {
	nid := doc.NetworkID()
	h := &Header{
		Version: HeaderVersion, NetworkID: nid,
		HistoryRoot: History{}.Root(), LeafCount: uint64(table.Len()),
		DirRoot: table.DirRoot(), DictRoot: table.DictRoot(),
		ParamsDigest: doc.ParamsDigest(), Beacon: record.Hash("beacon0", nid[:]),
	}
	if doc.AsmapDigest != nil {
		h.AsmapDigest = *doc.AsmapDigest
	}
	return h
}

// Epoch returns the epoch of the snapshot.
func (s *Snapshot) Epoch() uint64 { return s.header.Epoch }

// Header returns the header. It must not be changed.
func (s *Snapshot) Header() *Header { return s.header }

// Table returns the table.
func (s *Snapshot) Table() *Table { return s.table }

// Day returns the network's day at the snapshot.
func (s *Snapshot) Day() int { return s.day }

// Day returns the network's day at the start of an epoch, in the count of birth
// days: GuardFull on the day of genesis.
func Day(p genesis.Params, epoch uint64) int {
	return p.GuardFull + int(min(epoch/uint64(max(p.Day, 1)), 1<<30))
}
