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
	spare(w, newcomer)
	// What was spared was the share of some: whoever is left is held to the caps again.
	c.clip(w.Middle, false)
	limitNewcomers(w.Middle, newcomer, p.NewcomerShare)
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
	hi, lo := bits.Mul64(young, uint64(1000-share))
	if most, least := bits.Mul64(old, uint64(share)); hi < most || hi == most && lo <= least {
		return
	}
	limit := mulDiv(old, uint64(share), uint64(1000-share)) // less than young
	for i := range weights {
		if newcomer[i] {
			weights[i] = mulDiv(weights[i], limit, young)
		}
	}
}

// spare keeps guards and exits out of the middle as far as they are scarce: exits
// by max(0, 1 - T/3E), guards by max(0, 1 - T/3G), where T, E and G are the sums of
// the middle, exit and guard weights. Ramps and caps make them look scarcer than they
// are: if that leaves less than a third of what those have who are no newcomers, so much of
// what was taken from each is given back that a third is left.
func spare(w *Weights, newcomer []bool) {
	t, e, g := sum(w.Middle), sum(w.Exit), sum(w.Guard)
	out := make([]uint64, len(w.Middle))
	var before, after uint64
	for i, v := range w.Middle {
		out[i] = v
		if w.Exit[i] > 0 {
			out[i] = scarce(out[i], t, e)
		}
		if w.Guard[i] > 0 {
			out[i] = scarce(out[i], t, g)
		}
		if !newcomer[i] {
			before, after = before+v, after+out[i]
		}
	}
	for i, v := range w.Middle {
		if after < before/3 && !newcomer[i] {
			out[i] += mulDiv(v-out[i], before/3-after, before-after)
		}
	}
	copy(w.Middle, out)
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
