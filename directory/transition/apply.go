// SPDX-License-Identifier: BSD-3-Clause

package transition

import (
	"chive/directory/committee"
	"chive/directory/record"
	"chive/directory/snapshot"
)

// Days of what Penalty says. Spec: directory §3 (order), §5 (PEN).
const (
	penaltyDays   = 90
	probationDays = 7
)

// apply applies ops, which are canonical and agreed, by number. Error: ErrMissing.
func (w *work) apply(ops []Op) error {
	byCode := make([][]Op, len(opSizes))
	for _, o := range ops {
		if o.Code == Add || !w.gone[o.Index] {
			byCode[o.Code] = append(byCode[o.Code], o)
		}
	}
	w.drop(byCode[Drop])
	for _, o := range byCode[Update] {
		if err := w.update(o); err != nil {
			return err
		}
	}
	if err := w.admitAll(byCode[Add]); err != nil {
		return err
	}
	w.reach(byCode[Down], byCode[Up])
	w.penalise(byCode[Penalty])
	return nil
}

// drop takes relays out. One that runs counts as stopped.
func (w *work) drop(ops []Op) {
	var running []int
	for _, o := range ops {
		if w.leaves[o.Index].Flags&snapshot.FlagRunning != 0 {
			running = append(running, int(o.Index))
		}
	}
	may := w.choose(running)
	for _, o := range ops {
		i := int(o.Index)
		if w.leaves[i].Flags&snapshot.FlagRunning == 0 || may[i] {
			w.leave(i, o.Reason != DropRevoked)
		}
	}
}

// update derives a leaf anew. An address that is full keeps the old leaf.
func (w *work) update(o Op) error {
	i := int(o.Index)
	if w.gone[i] {
		return nil
	}
	d, err := w.lookUp(w.leaves[i].RID, o.Body)
	if err != nil {
		return err
	}
	old, l, a := w.leaves[i], w.leaves[i], &w.aux[i]
	derive(&l, d.Descriptor)
	if !reachable(w.doc, d.Descriptor) || !w.room(&l, &old) || !w.numbering().assign(&l, &old, wantedBy(&l, d.Descriptor)) {
		return nil
	}
	w.addresses.Remove(addressesOf(&old))
	w.addresses.Add(addressesOf(&l))
	a.Body, a.VRF, a.Target = d.body, d.VRF, target(w.p, d.Descriptor)
	a.Committee = recordKeys(a.Committee, d.Committee, TermAt(w.p, committee.A, w.in.Epoch))
	l.Bucket = min(l.Bucket, a.Target)
	if w.p.BWStep == 0 {
		l.Bucket = a.Target
	}
	w.leaves[i] = l
	return nil
}

// reach counts snapshots in a row: two with DOWN stop a relay that runs, two with UP
// start one that does not. Who has to wait for the stop-running cap stays one DOWN
// away. Spec: directory §5 (reach).
func (w *work) reach(down, up []Op) {
	said := make([]bool, len(w.leaves))
	var stopping, missed []int
	for _, o := range down {
		i := int(o.Index)
		if w.gone[i] || w.leaves[i].Flags&snapshot.FlagRunning == 0 {
			continue
		}
		said[i] = true
		if w.aux[i].Reach == 1 {
			stopping = append(stopping, i)
		} else {
			missed = append(missed, i)
		}
	}
	for _, o := range up {
		i := int(o.Index)
		if w.gone[i] || w.leaves[i].Flags&snapshot.FlagRunning != 0 {
			continue
		}
		said[i] = true
		if w.aux[i].Reach == 1 {
			w.leaves[i].Flags |= snapshot.FlagRunning
			said[i] = false
		}
	}
	for i, may := range w.choose(stopping) {
		if may {
			w.leaves[i].Flags &^= snapshot.FlagRunning
			said[i] = false
		}
	}
	w.miss(missed)
	for i := range w.aux {
		w.aux[i].Reach = 0
		if said[i] {
			w.aux[i].Reach = 1
		}
	}
}

// miss has relays that run lose this snapshot's uptime and its part of the day, which
// they were not reached in for the first time. Votes can do that to no more of the
// guard weight than they could stop in one snapshot: else who has M of them could wear
// out everybody's uptime faster than he may stop relays. Spec: protocol §7 (TRN-4, TRN-6).
func (w *work) miss(indices []int) {
	if len(indices) == 0 {
		return
	}
	caps := *w.stopCaps()
	caps.spent, caps.today, caps.first = 0, caps.total, true
	w.absent = map[record.RID]bool{}
	for i, passes := range w.pass(&caps, indices) {
		if passes {
			w.absent[w.leaves[i].RID] = true
		}
	}
}

// penalise applies Penalty. Probation of a relay that runs takes guard weight out of
// use and counts as stopping it.
func (w *work) penalise(ops []Op) {
	end := func(days int) uint64 { return w.in.Epoch + uint64(days)*uint64(w.p.Day) }
	var weighing []int
	for _, o := range ops {
		i := int(o.Index)
		if w.gone[i] {
			continue
		}
		if o.Reason == PenaltySeat {
			w.aux[i].PenaltyEnd = max(w.aux[i].PenaltyEnd, end(penaltyDays))
			continue
		}
		// Who was stopped by this very transition is paid for.
		if w.leaves[i].Flags&snapshot.FlagRunning != 0 && w.leaves[i].Flags&snapshot.FlagProbation == 0 {
			weighing = append(weighing, i)
		} else {
			w.aux[i].ProbationEnd = max(w.aux[i].ProbationEnd, end(probationDays))
		}
	}
	for i, may := range w.choose(weighing) {
		if may {
			w.aux[i].ProbationEnd = max(w.aux[i].ProbationEnd, end(probationDays))
		}
	}
}
