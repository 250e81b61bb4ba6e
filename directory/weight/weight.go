// SPDX-License-Identifier: BSD-3-Clause

// Package weight computes how often each relay of a table is to be chosen for each
// position of a circuit. Weights follow from the table and the network's
// parameters alone; they are integers and come out the same on every machine.
// Choosing with them is package path's business.
//
// Weights may be read by any number of goroutines.
//
// Spec: directory §9.
package weight

import (
	"math/bits"

	"chive/directory/genesis"
	"chive/directory/snapshot"
)

// Weights holds one weight per relay of a table, by table index. The slices must
// not be changed. The sum of a slice is below 2^63.
type Weights struct {
	Guard  []uint64
	Middle []uint64
	Exit   []uint64
}

// scale multiplies rates so that ramps and clipping lose little to rounding. A
// table has at most 2^20 relays of less than 2^32 kbit/s each, so that sums stay
// below 2^62.
const scale = 1 << 10

// clipRounds is how often caps are applied in turn. Spec: directory §9.
const clipRounds = 16

// Compute returns the weights for a table on a day of the network
// (snapshot.View.Day).
func Compute(t *snapshot.Table, p genesis.Params, day int) *Weights {
	n := t.Len()
	w := &Weights{Guard: make([]uint64, n), Middle: make([]uint64, n), Exit: make([]uint64, n)}
	newcomer := make([]bool, n)
	for i := range n {
		r := t.At(i)
		if r.Flags&snapshot.FlagRunning == 0 || r.Bucket == 0 {
			continue
		}
		rate := uint64(snapshot.Rate(r.Bucket)) * scale
		age := day - int(r.BirthDay)
		newcomer[i] = age < p.NewcomerUntil || r.Flags&snapshot.FlagProbation != 0
		w.Middle[i] = rate
		if newcomer[i] && r.Flags&snapshot.FlagProbation != 0 {
			continue // on probation a relay weighs as a newcomer: middles only
		}
		if r.Flags&snapshot.FlagGuard != 0 {
			w.Guard[i] = ramp(rate, age, p.GuardFrom, p.GuardFull)
		}
		if r.Flags&snapshot.FlagExit != 0 && age >= p.ExitAge {
			w.Exit[i] = rate
		}
	}
	c := newClipper(t, p)
	c.clip(w.Guard, true)
	c.clip(w.Middle, false)
	c.clip(w.Exit, false)
	limitNewcomers(w.Middle, newcomer, p.NewcomerShare)
	spare(w)
	return w
}

// ramp is 0 below from, full from full on, and linear between.
func ramp(rate uint64, age, from, full int) uint64 {
	switch {
	case age < from || age < 0:
		return 0
	case age >= full:
		return rate
	}
	return mulDiv(rate, uint64(age-from), uint64(full-from))
}

// limitNewcomers scales the weights of all newcomers together down to at most
// share thousandths of the whole; 0 is no limit. Where there are only newcomers
// nothing is scaled.
func limitNewcomers(weights []uint64, newcomer []bool, share int) {
	var young, old uint64
	for i, v := range weights {
		if newcomer[i] {
			young += v
		} else {
			old += v
		}
	}
	if share <= 0 || share >= 1000 || old == 0 {
		return
	}
	// young' / (young' + old) = share / 1000
	limit := mulDiv(old, uint64(share), uint64(1000-share))
	if young <= limit {
		return
	}
	for i := range weights {
		if newcomer[i] {
			weights[i] = mulDiv(weights[i], limit, young)
		}
	}
}

// spare keeps guards and exits out of the middle as far as they are scarce: exits
// by max(0, 1 - T/3E), guards by max(0, 1 - T/3G), where T, E and G are the sums of
// the middle, exit and guard weights. If that leaves nothing, the factors are
// dropped.
func spare(w *Weights) {
	t, e, g := sum(w.Middle), sum(w.Exit), sum(w.Guard)
	out := make([]uint64, len(w.Middle))
	left := false
	for i, v := range w.Middle {
		if w.Exit[i] > 0 {
			v = scarce(v, t, e)
		}
		if w.Guard[i] > 0 {
			v = scarce(v, t, g)
		}
		out[i] = v
		left = left || v > 0
	}
	if left {
		copy(w.Middle, out)
	}
}

// scarce returns v * max(0, 1 - t/3s). Both t and s are below 2^62.
func scarce(v, t, s uint64) uint64 {
	if 3*s <= t {
		return 0
	}
	return mulDiv(v, 3*s-t, 3*s)
}

func sum(weights []uint64) uint64 {
	var s uint64
	for _, v := range weights {
		s += v
	}
	return s
}

// mulDiv returns a * b / c, rounded down. c is positive and the result fits.
func mulDiv(a, b, c uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	q, _ := bits.Div64(hi, lo, c)
	return q
}
