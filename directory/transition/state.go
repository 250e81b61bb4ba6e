// SPDX-License-Identifier: BSD-3-Clause

package transition

import (
	"slices"

	"chive/directory/committee"
	"chive/directory/genesis"
	"chive/directory/record"
	"chive/directory/snapshot"
)

// State is a snapshot with everything that the next one follows from. It is
// immutable and may be read by any number of goroutines; states of neighbouring
// epochs share what did not change.
type State struct {
	snap     *snapshot.Snapshot
	aux      []Aux     // by table index
	dormant  []Dormant // by rid
	counters counters
	history  snapshot.History // ancestors, without this snapshot itself
	lists    lists
	auxTiles [][32]byte
	digest   [32]byte // of the header
}

// Snapshot returns the header and table. They must not be changed.
func (s *State) Snapshot() *snapshot.Snapshot { return s.snap }

// Epoch returns the snapshot's epoch.
func (s *State) Epoch() uint64 { return s.snap.Epoch() }

// Digest returns the digest of the snapshot's header.
func (s *State) Digest() [32]byte { return s.digest }

// Aux returns what relays hold of the relay at table index i. It must not be
// changed.
func (s *State) Aux(i int) *Aux { return &s.aux[i] }

// Dormants returns the relays that left and are remembered, by rid. The slice must
// not be changed.
func (s *State) Dormants() []Dormant { return s.dormant }

// Dormant returns a dormant relay by name.
func (s *State) Dormant(rid record.RID) (Dormant, bool) {
	i, found := slices.BinarySearchFunc(s.dormant, rid, func(d Dormant, id record.RID) int { return d.RID.Compare(id) })
	if !found {
		return Dormant{}, false
	}
	return s.dormant[i], true
}

// Lists returns the lists that the header commits to: A, next A, B, next B; nil:
// none drawn.
func (s *State) Lists() [4]*List {
	return [4]*List{s.lists.now[listA], s.lists.next[listA], s.lists.now[listB], s.lists.next[listB]}
}

// History returns the tree over the snapshot's ancestors.
func (s *State) History() snapshot.History { return s.history }

// DaySnapshots returns how many snapshots this day has so far, this one included.
func (s *State) DaySnapshots() int { return int(s.counters.snapshots) }

// StoppedToday returns how much guard weight this day's snapshots have taken out of
// use, in millionths of the whole.
func (s *State) StoppedToday() int { return int(s.counters.stopped) }

// Eligible reports whether the relay at table index i may sit on a committee of
// this snapshot's time, a key for the term apart, or vouch. Spec: directory §6
// (eligible).
func (s *State) Eligible(p genesis.Params, i int) bool {
	return eligible(p, &s.snap.Table().At(i).Leaf, &s.aux[i], s.snap.Day(), s.Epoch())
}

func eligible(p genesis.Params, l *snapshot.Leaf, a *Aux, day int, epoch uint64) bool {
	return l.Flags&snapshot.FlagRunning != 0 && l.Flags&snapshot.FlagProbation == 0 && a.PenaltyEnd <= epoch &&
		(l.Flags&snapshot.FlagFounder != 0 || day-int(l.BirthDay) >= p.CommitteeAge) && a.Uptime >= uptimeThreshold(p)
}

// Ignored reports whether a seat's votes and signatures do not count in the child:
// its relay has left the table or has a penalty. Spec: directory §5 (PEN).
func (s *State) Ignored(seat *committee.Seat) bool {
	i, found := s.snap.Table().Index(seat.RID)
	return !found || s.aux[i].PenaltyEnd > s.Epoch()
}

// newState puts a state together and fills in the header's roots. h has everything
// that does not follow from the other arguments.
func newState(p genesis.Params, h *snapshot.Header, t *snapshot.Table, s State) *State {
	s.counters.dormants = uint32(len(s.dormant))
	s.auxTiles = s.hashAux()
	h.LeafCount, h.DirRoot, h.DictRoot = uint64(t.Len()), t.DirRoot(), t.DictRoot()
	h.HistorySize, h.HistoryRoot = s.history.Size(), s.history.Root()
	h.AuxRoot = snapshot.TreeRoot(s.auxTiles)
	h.ListA, h.NextA, h.ListB, h.NextB = s.lists.roots()
	s.snap, s.digest = must(snapshot.New(h, t, p)), h.Digest()
	return &s
}

// Genesis returns snapshot 0 with all that follows from the document: founders with
// their keys, term 0 of both lists drawn from them, no history. It needs no
// certificate. Spec: directory §2, protocol §7 (DIR-9, TRN-1).
func Genesis(doc *genesis.Document) *State {
	table := snapshot.FromGenesis(doc)
	nid := doc.NetworkID()
	s := State{aux: make([]Aux, table.Len()), counters: counters{snapshots: 1}}
	for _, f := range doc.Founders {
		i, _ := table.Index(record.NewRID(nid, f.Identity)) // every founder is there
		s.aux[i] = Aux{
			VRF: f.VRF, Target: table.At(i).Bucket, Uptime: maxUptime, DayRunning: 1, Lane: laneFounder,
			Committee: []record.CommitteeKey{
				{Term: 0, Key: slices.Clone(f.Committee[0][:])}, {Term: 1, Key: slices.Clone(f.Committee[1][:])},
			},
		}
	}
	for _, h := range doc.Heirs {
		s.dormant = append(s.dormant, Dormant{
			RID: record.NewRID(nid, h.Identity), Since: day16(doc.Params.GuardFull), Birth: day16(doc.Params.GuardFull - h.Age), Uptime: maxUptime,
		})
	}
	s.dormant = settleDormants(s.dormant)
	h := snapshot.GenesisHeader(doc, table)
	// The draw reads a snapshot: that of the table, before its lists are known.
	bare := newState(doc.Params, snapshot.GenesisHeader(doc, table), table, s)
	s.lists.now[listA] = bare.draw(doc, committee.A, 0)
	s.lists.now[listB] = bare.draw(doc, committee.B, 0)
	return newState(doc.Params, h, table, s)
}
