// SPDX-License-Identifier: BSD-3-Clause

package transition

import (
	"bytes"
	"cmp"
	"slices"

	"chive/directory/genesis"
	"chive/directory/record"
	"chive/directory/snapshot"
)

// Observations are what a member knows as of the cut-off. Everything in them was
// verified before.
type Observations struct {
	// Descriptors are the newest valid ones, by relay. Those of relays that are not
	// in the table are not looked at.
	Descriptors map[record.RID]Seen
	// Reached says of a relay whether it was reached or was not; relays that are not
	// here were not probed.
	Reached map[record.RID]bool
	// Gone are relays whose time is over, and why: DropRevoked, DropExpired,
	// DropEvidence.
	Gone map[record.RID]uint8
	// Candidates are those that were held and probed in time, in the order of their
	// lottery. A dormant relay's lane does not matter: it returns.
	Candidates []Candidate
	// Evidence against relays, each once.
	Evidence []Evidence
}

// Seen is a descriptor with its body digest.
type Seen struct {
	Body       [32]byte
	Descriptor *record.Descriptor
}

// Candidate is a relay that wants to be in the table.
type Candidate struct {
	RID     record.RID
	Seen    Seen
	Lane    uint8      // LaneOpen or LaneVouched
	Sponsor record.RID // in LaneVouched
}

// Evidence is what two signed payloads prove about a relay.
type Evidence struct {
	RID    record.RID
	Reason uint8    // PenaltySeat or PenaltyProbation
	Digest [32]byte // item digest of the evidence
}

// Propose returns what an honest member votes for the child at an epoch, in
// canonical order, cut to the size of a vote. Spec: directory §5, §6, §7, protocol §7
// (TRN-10).
func Propose(doc *genesis.Document, parent *State, epoch uint64, seen *Observations) []Op {
	var ops []Op
	table := parent.snap.Table()
	for i := range table.Len() {
		r := table.At(i)
		at := uint32(i)
		if reason := seen.Gone[r.RID]; reason != 0 {
			ops = append(ops, Op{Code: Drop, Index: at, Reason: reason})
			continue
		}
		if s, has := seen.Descriptors[r.RID]; has && s.Descriptor != nil && s.Body != parent.aux[i].Body && reachable(doc, s.Descriptor) {
			ops = append(ops, Op{Code: Update, Index: at, Body: [16]byte(s.Body[:16])})
		}
		running := r.Flags&snapshot.FlagRunning != 0
		if reached, probed := seen.Reached[r.RID]; probed && reached != running {
			code := Up
			if running {
				code = Down
			}
			ops = append(ops, Op{Code: code, Index: at})
		}
	}
	ops = append(ops, accusations(parent, epoch, seen)...)
	ops = append(ops, admissions(doc, parent, epoch, seen)...)
	slices.SortFunc(ops, Op.Compare)
	return Truncate(parent.snap, ops, MaxOpsSize(len(parent.aux)))
}

// accusations returns a Penalty for each relay that evidence is about and that does
// not have it yet; of several the one of the lowest digest, the heavier first.
func accusations(parent *State, epoch uint64, seen *Observations) []Op {
	var ops []Op
	for _, e := range seen.Evidence {
		i, found := parent.snap.Table().Index(e.RID)
		if !found || seen.Gone[e.RID] != 0 {
			continue
		}
		a := &parent.aux[i]
		if (e.Reason == PenaltySeat && a.PenaltyEnd > epoch) || (e.Reason == PenaltyProbation && a.ProbationEnd > epoch) {
			continue
		}
		ops = append(ops, Op{Code: Penalty, Index: uint32(i), Reason: e.Reason, Evidence: [16]byte(e.Digest[:16])})
	}
	slices.SortFunc(ops, comparePenalties)
	return slices.CompactFunc(ops, func(a, b Op) bool { return a.Index == b.Index })
}

// admissions returns an Add for the first candidates of each lane, as many as slots
// remain, and passes over those whom a rule would keep out.
func admissions(doc *genesis.Document, parent *State, epoch uint64, seen *Observations) []Op {
	if len(seen.Candidates) == 0 {
		return nil
	}
	room := parent.Room(doc, epoch)
	var ops []Op
	for _, c := range seen.Candidates {
		if o, ok := room.take(c); ok {
			ops = append(ops, o)
		}
	}
	return ops
}

func comparePenalties(a, b Op) int {
	return cmp.Or(cmp.Compare(a.Index, b.Index), cmp.Compare(a.Reason, b.Reason), bytes.Compare(a.Evidence[:], b.Evidence[:]))
}
