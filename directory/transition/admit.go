// SPDX-License-Identifier: BSD-3-Clause

package transition

import (
	"net/netip"

	"chive/directory/committee"
	"chive/directory/genesis"
	"chive/directory/record"
	"chive/directory/snapshot"
	"chive/directory/sybil"
)

// Slots returns how many relays each lane may still take in the child at an epoch,
// sybil.Unlimited without a quota. Relays that came on the rolling day and are in
// the table count. Spec: directory §7, protocol §7 (ADM-4).
func (s *State) Slots(p genesis.Params, epoch uint64) [3]int {
	slots := sybil.Slots(p, len(s.aux), epoch)
	for i := range s.aux {
		a := &s.aux[i]
		if a.Lane < laneFounder && a.Admitted+uint64(p.Day) > epoch && slots[a.Lane] != sybil.Unlimited {
			slots[a.Lane] = max(0, slots[a.Lane]-1)
		}
	}
	return slots
}

// mayVouch reports whether a relay may vouch on a day.
func mayVouch(p genesis.Params, a *Aux, day int) bool {
	return p.VoucherGap == 0 || a.VoucherDay == noVoucher || day-(int(a.VoucherDay)-1) >= p.VoucherGap
}

// MayVouch reports whether a relay's voucher lets somebody in in the child at an epoch:
// it is eligible and none of its vouchers was used lately. Spec: directory §7.4,
// protocol §7 (TRN-7).
func (s *State) MayVouch(p genesis.Params, epoch uint64, sponsor record.RID) bool {
	i, found := s.snap.Table().Index(sponsor)
	return found && s.Eligible(p, i) && mayVouch(p, &s.aux[i], snapshot.Day(p, epoch))
}

// Unfit is why a relay cannot vouch.
type Unfit uint8

// Reasons, in the order in which they are looked at.
const (
	UnfitNot      Unfit = iota // it may vouch
	UnfitUnlisted              // it is not in the table
	UnfitStopped               // others do not reach it
	UnfitAccused               // on probation, or with a penalty
	UnfitYoung                 // too few days of service, and no founder
	UnfitUptime                // away too often
	UnfitSpent                 // a voucher of its has let somebody in lately
)

// Vouching is MayVouch with the reason against it. day is the day of the network from
// which a relay may vouch again that has vouched (UnfitSpent), and the days of service
// that it needs (UnfitYoung); else 0. Spec: directory §7.4, protocol §7 (TRN-7).
func (s *State) Vouching(p genesis.Params, epoch uint64, sponsor record.RID) (why Unfit, day int) {
	i, found := s.snap.Table().Index(sponsor)
	if !found {
		return UnfitUnlisted, 0
	}
	l, a := &s.snap.Table().At(i).Leaf, &s.aux[i]
	switch {
	case s.Eligible(p, i):
		if !mayVouch(p, a, snapshot.Day(p, epoch)) {
			return UnfitSpent, int(a.VoucherDay) - 1 + p.VoucherGap
		}
		return UnfitNot, 0
	case l.Flags&snapshot.FlagRunning == 0:
		return UnfitStopped, 0
	case l.Flags&snapshot.FlagProbation != 0 || a.PenaltyEnd > s.Epoch():
		return UnfitAccused, 0
	case l.Flags&snapshot.FlagFounder == 0 && s.snap.Day()-int(l.BirthDay) < p.CommitteeAge:
		return UnfitYoung, p.CommitteeAge
	}
	return UnfitUptime, 0
}

// Drawn returns the candidates of an epoch's lotteries, by lane, each in its order. beacon
// is that of sybil.LotteryEpoch. Who returns has a lane of its own, whatever it waits in.
// Who has a voucher of a sponsor that may not vouch now waits in the open lane: nobody has
// asked for a voucher only because there is one. A lane without slots is empty. Spec: directory §7.3, protocol §7 (ADM-3).
func (s *State) Drawn(p genesis.Params, epoch uint64, beacon [32]byte, held *sybil.Pending) [3][]record.RID {
	slots := s.Slots(p, epoch)
	var out [3][]record.RID
	for _, lane := range []sybil.Lane{sybil.LaneVouched, sybil.LaneOpen} {
		for _, rid := range held.Draw(beacon, sybil.HeldBefore(p, epoch), lane) {
			at := lane
			if _, returns := s.Dormant(rid); returns {
				at = sybil.LaneReturning
			} else if lane == sybil.LaneVouched {
				if c, _, _ := held.Get(rid); !s.MayVouch(p, epoch, c.Sponsor) {
					at = sybil.LaneOpen
				}
			}
			if slots[at] > 0 {
				out[at] = append(out[at], rid)
			}
		}
	}
	sybil.Order(beacon, out[sybil.LaneReturning])
	sybil.Order(beacon, out[sybil.LaneOpen])
	return out
}

// admitAll takes relays in, in the order of their cut keys: where a cap leaves room
// for some only, nobody can have made a name that comes first. Error: ErrMissing.
func (w *work) admitAll(ops []Op) error {
	if len(ops) == 0 {
		return nil
	}
	slots := w.parent.Slots(w.p, w.in.Epoch)
	sortByCut(w.beacon, ops, func(o Op) record.RID { return o.RID })
	taken := make(map[record.RID]bool, len(ops))
	for _, o := range ops {
		if taken[o.RID] || slots[o.Lane] == 0 || len(w.leaves)+len(w.added) >= snapshot.MaxLeafCount {
			continue
		}
		done, err := w.admit(o)
		if err != nil {
			return err
		}
		if done {
			taken[o.RID] = true
			slots[o.Lane]--
		}
	}
	return nil
}

// admit takes one relay in, unless a rule stands against it. Spec: directory §7.4.
func (w *work) admit(o Op) (bool, error) {
	if _, found := w.parent.snap.Table().Index(o.RID); found {
		return false, nil
	}
	was, dormant := w.parent.Dormant(o.RID)
	if dormant != (o.Lane == LaneReturning) {
		return false, nil
	}
	if dormant && w.day-int(was.Since) > dormantLife { // forgotten by this change of day
		return false, nil
	}
	if o.Lane == LaneVouched && !w.sponsors(int(o.Sponsor)) {
		return false, nil
	}
	d, err := w.lookUp(o.RID, o.Body)
	if err != nil {
		return false, err
	}
	l := snapshot.Leaf{RID: o.RID, Flags: snapshot.FlagRunning, BirthDay: day16(w.day)}
	derive(&l, d.Descriptor)
	if !reachable(w.doc, d.Descriptor) || !w.room(&l, nil) || !w.numbering().assign(&l, nil, wantedBy(&l, d.Descriptor)) {
		return false, nil
	}
	a := Aux{
		Body: d.body, VRF: d.VRF, Target: target(w.p, d.Descriptor), Uptime: maxUptime, Admitted: w.in.Epoch, Lane: o.Lane,
		Committee: recordKeys(nil, d.Committee, TermAt(w.p, committee.A, w.in.Epoch)),
	}
	l.Bucket = w.start(a.Target)
	if dormant {
		earned, absent := int(was.Since)-int(was.Birth), w.day-int(was.Since)
		l.BirthDay = day16(w.day - max(0, earned-absent))
		a.VoucherDay, a.PenaltyEnd, a.ProbationEnd = was.VoucherDay, was.PenaltyEnd, was.ProbationEnd
		if int(was.Since) == w.p.GuardFull { // the day of the heirs, who have to wait for their turn
			absent = max(0, absent-sybil.HeirsEnd)
		}
		a.Uptime = uptimeAfter(was.Uptime, absent*w.p.Day)
		if w.returned == nil {
			w.returned = map[record.RID]bool{}
		}
		w.returned[o.RID] = true
	}
	if o.Lane == LaneVouched {
		w.aux[o.Sponsor].VoucherDay = day16(w.day + 1)
	}
	w.addresses.Add(addressesOf(&l))
	w.added = append(w.added, entry{l, a})
	return true, nil
}

// sponsors reports whether the relay at the parent's index may vouch now.
func (w *work) sponsors(i int) bool {
	return !w.gone[i] && w.parent.Eligible(w.p, i) && mayVouch(w.p, &w.aux[i], w.day)
}

// room reports whether the address caps leave room for a leaf instead of another,
// nil for a new one. Spec: protocol §7 (ADM-5).
func (w *work) room(l, old *snapshot.Leaf) bool {
	if w.addresses == nil {
		w.addresses = sybil.NewAddresses(w.p)
		for i := range w.leaves {
			if !w.gone[i] {
				w.addresses.Add(addressesOf(&w.leaves[i]))
			}
		}
	}
	if old == nil {
		return w.addresses.Fits(addressesOf(l))
	}
	return w.addresses.FitsInstead(addressesOf(old), addressesOf(l))
}

// addressesOf returns the addresses of a leaf, by which it counts.
func addressesOf(l *snapshot.Leaf) []netip.AddrPort {
	out := make([]netip.AddrPort, 0, 2)
	for _, a := range []netip.AddrPort{l.IPv4, l.IPv6} {
		if a.IsValid() {
			out = append(out, a)
		}
	}
	return out
}
