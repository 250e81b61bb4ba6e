// SPDX-License-Identifier: BSD-3-Clause

package transition

import (
	"encoding/binary"
	"errors"
	"slices"

	"chive/directory/genesis"
	"chive/directory/record"
	"chive/directory/snapshot"
	"chive/directory/sybil"
	"chive/directory/vrf"
)

var (
	// ErrEpoch means an epoch that does not come after the parent's.
	ErrEpoch = errors.New("transition: not a later epoch")
	// ErrVotes means votes that no proposal may list: fewer than the quorum, a seat
	// that the owner list does not have, or one seat twice.
	ErrVotes = errors.New("transition: bad votes")
	// ErrProof means a proof that does not give the output.
	ErrProof = errors.New("transition: proof and output do not fit")
)

// Vote is what one seat wants changed. A vote whose ops are not canonical over the
// parent's table, or whose seat is ignored, is listed and changes nothing.
type Vote struct {
	Seat int
	Ops  []Op
}

// Input is what a proposal adds to the parent. The order of votes makes no
// difference. Whether votes and proof are signed by whom they name was checked
// before.
type Input struct {
	Epoch       uint64
	Seat        int // proposer's
	Proof       [vrf.ProofSize]byte
	Output      [vrf.OutputSize]byte
	VotesDigest [32]byte
	Votes       []Vote
	// Descriptor returns the descriptor of a relay whose body digest begins so, nil:
	// not at hand. It is only read.
	Descriptor func(rid record.RID, body [16]byte) *record.Descriptor
}

// work is a child in the making.
type work struct {
	doc    *genesis.Document
	p      genesis.Params
	nid    [32]byte
	parent *State
	in     *Input
	day    int
	beacon [32]byte // the parent's

	leaves   []snapshot.Leaf // by the parent's index
	aux      []Aux
	gone     []bool
	added    []entry
	dormant  []Dormant
	returned map[record.RID]bool // nil: nobody
	absent   map[record.RID]bool // same: not reached, and called running still
	counters counters

	numbers   *numbering       // nil until needed
	addresses *sybil.Addresses // same
	stops     *stops           // same
}

type entry struct {
	leaf snapshot.Leaf
	aux  Aux
}

// Next returns the child of a parent. It is the same function of its arguments
// everywhere: change of day, ops by number, caps, derived columns, draw, beacon,
// roots. Time is linear in the table. Errors: ErrEpoch, ErrVotes, ErrProof,
// *MissingError. Spec: directory §5 (transition), protocol §7 (TRN-1).
func Next(doc *genesis.Document, parent *State, in Input) (*State, error) {
	if in.Epoch <= parent.Epoch() {
		return nil, ErrEpoch
	}
	ops, err := agreed(doc, parent, &in)
	if err != nil {
		return nil, err
	}
	if out, err := vrf.ProofToHash(in.Proof); err != nil || out != in.Output {
		return nil, ErrProof
	}
	w := &work{
		doc: doc, p: doc.Params, nid: doc.NetworkID(), parent: parent, in: &in,
		day: snapshot.Day(doc.Params, in.Epoch), beacon: parent.snap.Header().Beacon,
		leaves: make([]snapshot.Leaf, len(parent.aux)), aux: slices.Clone(parent.aux), gone: make([]bool, len(parent.aux)),
		dormant: slices.Clone(parent.dormant), counters: parent.counters,
	}
	for i := range w.leaves {
		w.leaves[i] = parent.snap.Table().At(i).Leaf
	}
	w.changeDay()
	if err := w.apply(ops); err != nil {
		return nil, w.missing(ops)
	}
	return w.finish(), nil
}

// numbering returns the dictionaries' indices in use.
func (w *work) numbering() *numbering {
	if w.numbers == nil {
		w.numbers = newNumbering(w.parent.snap.Table())
	}
	return w.numbers
}

// finish computes the derived columns, lists, beacon and roots.
func (w *work) finish() *State {
	leaves := make([]snapshot.Leaf, 0, len(w.leaves)+len(w.added))
	aux := make([]Aux, 0, cap(leaves))
	slices.SortFunc(w.added, func(a, b entry) int { return a.leaf.RID.Compare(b.leaf.RID) })
	added := w.added
	for i := range w.leaves {
		for len(added) > 0 && added[0].leaf.RID.Compare(w.leaves[i].RID) < 0 {
			leaves, aux, added = append(leaves, added[0].leaf), append(aux, added[0].aux), added[1:]
		}
		if !w.gone[i] {
			leaves, aux = append(leaves, w.leaves[i]), append(aux, w.aux[i])
		}
	}
	for i := range added {
		leaves, aux = append(leaves, added[i].leaf), append(aux, added[i].aux)
	}
	for i := range leaves {
		tick(&leaves[i], &aux[i], w.in.Epoch, w.absent[leaves[i].RID])
	}
	dict := w.parent.snap.Table().Dictionaries()
	if w.numbers != nil {
		dict = w.numbers.dictionaries()
	}
	table := must(w.parent.snap.Table().Next(leaves, dict)) // sorted, in bounds, numbered
	w.settleReturned()
	if w.stops != nil {
		w.counters.stopped = add32(w.counters.stopped, w.stops.millionths())
	}
	w.counters.snapshots = inc16(w.counters.snapshots)
	old := w.parent.snap.Header()
	h := &snapshot.Header{
		Version: snapshot.HeaderVersion, NetworkID: w.nid, Epoch: w.in.Epoch, Parent: w.parent.digest,
		ParamsDigest: old.ParamsDigest, AsmapDigest: old.AsmapDigest, Beacon: nextBeacon(old.Beacon, w.in.Epoch, w.in.Output),
		ProposerSeat: uint64(w.in.Seat), VRFProof: w.in.Proof, VotesDigest: w.in.VotesDigest,
	}
	return newState(w.p, h, table, State{
		aux: aux, dormant: settleDormants(w.dormant), counters: w.counters,
		history: w.parent.history.Append(w.parent.digest), lists: w.parent.advance(w.doc, w.in.Epoch),
	})
}

// settleReturned takes those who returned off the dormant relays, in one pass over these
// however many return.
func (w *work) settleReturned() {
	if len(w.returned) > 0 {
		w.dormant = slices.DeleteFunc(w.dormant, func(d Dormant) bool { return w.returned[d.RID] })
	}
}

// tick is what a snapshot does to every relay: probation that is over or has begun,
// uptime, the day's count. One that runs was there unless this very snapshot says that
// it was not reached.
func tick(l *snapshot.Leaf, a *Aux, epoch uint64, absent bool) {
	l.Flags &^= snapshot.FlagProbation
	if a.ProbationEnd > epoch {
		l.Flags |= snapshot.FlagProbation
	}
	there := l.Flags&snapshot.FlagRunning != 0 && !absent
	a.Uptime = tickUptime(a.Uptime, there)
	if there {
		a.DayRunning = inc16(a.DayRunning)
	}
}

// nextBeacon returns H("beacon", parent beacon, epoch, VRF output).
// Spec: directory §6.
func nextBeacon(parent [32]byte, epoch uint64, output [vrf.OutputSize]byte) [32]byte {
	return record.Hash("beacon", parent[:], binary.BigEndian.AppendUint64(nil, epoch), output[:])
}
