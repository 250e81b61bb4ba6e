// SPDX-License-Identifier: BSD-3-Clause

package sybil

import (
	"bytes"
	"math"
	"slices"

	"chive/directory/genesis"
	"chive/directory/record"
)

// Lane is a way onto the list.
type Lane uint8

// Spec: directory §5 (op ADD).
const (
	LaneOpen      Lane = 0
	LaneVouched   Lane = 1
	LaneReturning Lane = 2 // a dormant relay comes back
	laneCount          = 3
)

// returnRate is the part of the table that may return in a day, in thousandths.
// Spec: directory §5 (validity).
const returnRate = 20

// How all relays of a predecessor may return to its successor: in so many days, while
// the network is that young. Afterwards the lane would let others in in masses, who left
// later, and heirs that have been sold meanwhile. Spec: protocol §7 (DIR-16).
const heirDays = 7

// HeirsEnd is the first day of a successor on which the relays that it took over are like
// any others that return. Spec: protocol §7 (DIR-16).
const HeirsEnd = 30

// Unlimited is the number of slots where a network sets no quota.
const Unlimited = math.MaxInt

// Slots returns how many relays each lane admits in the rolling day that ends with an
// epoch, at a table of n relays. Slots are not transferable between lanes. Of an odd number the open lane
// has one more. Where admit_rate and admit_floor are both 0 every lane is
// Unlimited; elsewhere at least one relay a day may return, so that a network of
// any size heals, and in a young successor a part of the heirs. Spec: directory §7,
// protocol §7 (ADM-4, DIR-16).
func Slots(p genesis.Params, n int, epoch uint64) [laneCount]int {
	if p.AdmitRate == 0 && p.AdmitFloor == 0 {
		return [laneCount]int{Unlimited, Unlimited, Unlimited}
	}
	total := max(p.AdmitFloor, n*p.AdmitRate/1000)
	vouched := total * p.VoucherShare / 1000
	returning := max(1, n*returnRate/1000)
	if epoch/uint64(max(p.Day, 1)) < HeirsEnd {
		returning = max(returning, (p.Heirs+heirDays-1)/heirDays)
	}
	return [laneCount]int{LaneOpen: total - vouched, LaneVouched: vouched, LaneReturning: returning}
}

// Window counts admissions of a rolling day: the day epochs that end with the
// current one. The zero value is empty. It holds at most one entry an epoch.
type Window struct{ epochs []admitted }

type admitted struct {
	epoch uint64
	count [laneCount]int
}

// Add counts one admission. Epochs must not go down; other lanes than the three
// are not counted. Entries of more than a day ago are dropped.
func (w *Window) Add(p genesis.Params, epoch uint64, lane Lane) {
	if lane >= laneCount {
		return
	}
	w.epochs = slices.DeleteFunc(w.epochs, func(a admitted) bool { return !within(p, a.epoch, epoch) })
	if n := len(w.epochs); n == 0 || w.epochs[n-1].epoch != epoch {
		w.epochs = append(w.epochs, admitted{epoch: epoch})
	}
	w.epochs[len(w.epochs)-1].count[lane]++
}

// Left returns the slots that each lane still has in an epoch, at a table of n
// relays. Spec: protocol §7 (ADM-4).
func (w *Window) Left(p genesis.Params, n int, epoch uint64) [laneCount]int {
	left := Slots(p, n, epoch)
	for _, a := range w.epochs {
		if !within(p, a.epoch, epoch) {
			continue
		}
		for lane := range left {
			if left[lane] != Unlimited {
				left[lane] = max(0, left[lane]-a.count[lane])
			}
		}
	}
	return left
}

// Clone returns a copy that shares nothing.
func (w *Window) Clone() Window { return Window{slices.Clone(w.epochs)} }

// within reports whether an epoch is in the rolling day that ends with now.
func within(p genesis.Params, epoch, now uint64) bool {
	return epoch <= now && now-epoch < uint64(max(p.Day, 1))
}

// LotteryEpoch returns the epoch whose beacon orders the candidates of an epoch: the
// last of the previous day, on the first day 0. If that epoch was skipped the
// newest final snapshot before it counts. Spec: protocol §7 (ADM-3).
func LotteryEpoch(p genesis.Params, epoch uint64) uint64 {
	day := uint64(max(p.Day, 1))
	return max(epoch/day*day, 1) - 1
}

// HeldBefore returns the epoch before which a member must have received a candidate
// to vote for it in an epoch: that of the lottery's beacon, which therefore could
// not be ground for, and a day earlier for each day of admit_hold beyond the first.
// Where admit_hold is 0 every candidate counts. Spec: protocol §7 (ADM-3).
func HeldBefore(p genesis.Params, epoch uint64) uint64 {
	if p.AdmitHold <= 0 {
		return math.MaxUint64
	}
	beacon, more := LotteryEpoch(p, epoch), uint64(p.AdmitHold-1)*uint64(max(p.Day, 1))
	return beacon - min(beacon, more)
}

// Ticket is a relay's place in the lottery of a beacon; the lowest goes first.
// Spec: protocol §7 (ADM-3).
func Ticket(beacon [32]byte, rid record.RID) [32]byte {
	return record.Hash("lottery", beacon[:], rid[:])
}

// Order sorts relays by their tickets, in place.
func Order(beacon [32]byte, rids []record.RID) {
	tickets := make(map[record.RID][32]byte, len(rids))
	for _, rid := range rids {
		tickets[rid] = Ticket(beacon, rid)
	}
	slices.SortFunc(rids, func(a, b record.RID) int {
		x, y := tickets[a], tickets[b]
		return bytes.Compare(x[:], y[:])
	})
}
