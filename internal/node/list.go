// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"encoding/hex"
	"time"

	"chive/directory/record"
	"chive/directory/snapshot"
	"chive/internal/control"
)

// List implements control.Lister: the client's list of relays, or that of the first
// relay.
func (s *Sources) List() *control.Relays {
	relays := s.relays()
	var view snapshot.View
	switch {
	case s.Client != nil:
		view = s.Client.View()
	case len(relays) > 0:
		view = relays[0].now().View()
	default:
		return nil
	}
	out := listPart(view, daySeconds(s.Document), time.Now())
	if len(relays) > 0 {
		markPenalties(out, view.Table(), relays[0].now().Penalties())
	}
	if len(relays) > 0 {
		for i := range out.Relays {
			out.Relays[i].Nickname = s.nickname(view.Table().At(i).RID)
		}
	}
	return out
}

// markPenalties says of the relays of a list that are shut out until when.
func markPenalties(out *control.Relays, t *snapshot.Table, ends map[record.RID]time.Time) {
	for rid, end := range ends {
		if i, listed := t.Index(rid); listed && i < len(out.Relays) {
			out.Relays[i].Penalty = utc(end)
		}
	}
}

// listPart shows a list of relays.
func listPart(view snapshot.View, day float64, now time.Time) *control.Relays {
	t := view.Table()
	out := &control.Relays{Time: now.UTC().Truncate(time.Second), Epoch: view.Epoch(), Day: day, Relays: []control.ListedRelay{}}
	total := runningRate(t)
	for i := range min(t.Len(), control.MaxListed) {
		r := t.At(i)
		one := control.ListedRelay{
			RID: hex.EncodeToString(r.RID[:]), Addresses: []string{}, Running: r.Flags&snapshot.FlagRunning != 0, Flags: []string{}, Exit: "off",
			AgeDays: max(0, view.Day()-int(r.BirthDay)), Rate: uint64(snapshot.Rate(r.Bucket)) * 125,
		}
		for _, a := range r.Addresses {
			one.Addresses = append(one.Addresses, a.String())
		}
		for _, f := range flagWords {
			if r.Flags&f.flag != 0 {
				one.Flags = append(one.Flags, f.word)
			}
		}
		if r.Flags&snapshot.FlagExit != 0 {
			one.Exit = describePolicy(r.Policy)
		}
		one.Share = share(r, total)
		out.Relays = append(out.Relays, one)
	}
	out.Left = t.Len() - len(out.Relays)
	return out
}

// flagWords name what the list says of a relay, in the order in which it is shown.
var flagWords = []struct {
	flag snapshot.Flags
	word string
}{
	{snapshot.FlagGuard, "guard"}, {snapshot.FlagExit, "exit"}, {snapshot.FlagHSDir, "hsdir"}, {snapshot.FlagRendezvous, "rendezvous"},
	{snapshot.FlagMailbox, "mailbox"}, {snapshot.FlagFounder, "founder"}, {snapshot.FlagProbation, "probation"}, {snapshot.FlagMeasured, "measured"},
}

// runningRate is the sum of what the list gives to running relays, in kbit/s.
func runningRate(t *snapshot.Table) (total uint64) {
	for i := range t.Len() {
		if r := t.At(i); r.Flags&snapshot.FlagRunning != 0 {
			total += uint64(snapshot.Rate(r.Bucket))
		}
	}
	return total
}

// share is a running relay's part of that sum.
func share(r *snapshot.Relay, total uint64) float64 {
	if total == 0 || r.Flags&snapshot.FlagRunning == 0 {
		return 0
	}
	return float64(snapshot.Rate(r.Bucket)) / float64(total)
}

// weightPart says how much a relay is chosen for; nil: it is not on the list.
func weightPart(t *snapshot.Table, rid record.RID) *control.Weight {
	r, listed := t.Relay(rid)
	if !listed {
		return nil
	}
	return &control.Weight{Share: share(r, runningRate(t)), Why: weightWords(r)}
}

// weightWords says why a relay of the list is chosen as much as it is.
func weightWords(r *snapshot.Relay) string {
	switch {
	case r.Flags&snapshot.FlagRunning == 0:
		return "The list does not call it running, so nobody chooses it."
	case r.Flags&snapshot.FlagProbation != 0:
		return "It is on probation, so it is chosen for little, whatever it declares."
	case r.Bucket == 0:
		return "On this list it declares a rate of 0, so it is hardly chosen: as a relay does that drains for long or rests on its quota. A later list has what it declares after that."
	}
	return "It follows from the rate that the relay declares, which nobody measures, and from its age: a young relay is chosen less, as guard and exit above all."
}
