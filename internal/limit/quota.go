// SPDX-License-Identifier: BSD-3-Clause

package limit

import (
	"encoding/binary"
	"errors"
	"time"
)

// Count says which bytes a quota counts.
type Count byte

// Counts.
const (
	CountSum Count = iota // both directions together
	CountOut              // what is sent
	CountMax              // the direction that has more
)

// Accounting says how much a relay may move, and in what period.
type Accounting struct {
	Max   int64  // bytes in a period; 0: no quota
	Each  Period // zero: month
	Start Start  // of the period, UTC
	Count Count  // zero: sum
	Rate  int64  // bytes per second each way to which the Meter is set; 0: none
	Burst int64  // as the Meter's
	// Reserve is what of Max is kept for the end: bytes that pass while the relay
	// lets go of what it carries. The quota is exhausted when no more than that is left.
	Reserve int64
}

// ErrQuotaState is returned for a stored state that cannot be read.
var ErrQuotaState = errors.New("limit: the stored quota cannot be read")

const (
	quotaVersion = 3
	// version, begin (Unix seconds), in, out, declared; then of what the declared rate
	// was made: max, rate, count; then what of in and out was reserved. Version 1 lacks
	// what the declared rate was made of, version 2 what was reserved.
	quotaSize     = secondSize + 8 + 8
	secondVersion = 2
	secondSize    = 1 + 8 + 8 + 8 + 8 + 8 + 8 + 1
	firstVersion  = 1
	firstSize     = 1 + 8 + 8 + 8 + 8

	// saveInterval is how often a state is due where little passes.
	saveInterval = time.Minute
	// leastReserve is reserved where no rate says what a minute can bring.
	leastReserve = 64 << 20
	// idleSeconds and busySeconds of the rate are reserved beside twice the burst: so much
	// that the caller may be 4 s late with a state that is due when half of it has passed,
	// and, while much passes, that none is due more often than each eight.
	idleSeconds, busySeconds = 8, 16
	// A declared rate is lowered in steps, since each change is published: when less
	// than lowerAt of it would last.
	lowerAtNumerator, lowerAtDenominator = 7, 8
)

// Quota counts what has passed in the current period, in such a way that a kill at any
// instant makes it count some seconds' bytes too many and none too few: a stored state
// holds what has passed and, ahead, what can pass until the next one.
//
// It is pure: the caller adds what a Meter counted, about once a second, and stores
// what [Quota.Due] returns. Not safe for concurrent use.
//
// Spec: product §6 (REL-4).
type Quota struct {
	cfg        Accounting
	begin, end time.Time
	in, out    uint64
	savedIn    uint64 // what the stored state says
	savedOut   uint64
	saved      time.Time // when; zero: not yet
	busiestIn  uint64    // of the stretches between two states
	busiestOut uint64
	lastIn     uint64 // at the last state
	lastOut    uint64
	declared   int64 // bytes per second, each way
	fixed      bool  // declared is of this period
	reserved   int64 // of what was used before this start: not known to have passed
}

// NewQuota returns the quota of the period that now is in. state is what Due or Final
// returned before; nil: there is none. If it cannot be read, ErrQuotaState comes with a
// quota that has counted nothing. A state of an earlier period counts for nothing.
func NewQuota(cfg Accounting, state []byte, now time.Time) (*Quota, error) {
	q := &Quota{cfg: cfg}
	q.begin, q.end = cfg.Each.around(cfg.Start, now)
	if len(state) == 0 {
		q.declare(now)
		return q, nil
	}
	first := len(state) == firstSize && state[0] == firstVersion
	second := len(state) == secondSize && state[0] == secondVersion
	if !first && !second && (len(state) != quotaSize || state[0] != quotaVersion) {
		q.declare(now)
		return q, ErrQuotaState
	}
	begin := time.Unix(int64(binary.BigEndian.Uint64(state[1:])), 0).UTC()
	if !begin.Before(q.begin) { // of this period, or a clock that went back
		q.in, q.out = binary.BigEndian.Uint64(state[9:]), binary.BigEndian.Uint64(state[17:])
		q.lastIn, q.lastOut = q.in, q.out
		if !first && !second {
			q.reserved = countedOf(cfg.Count, binary.BigEndian.Uint64(state[secondSize:]), binary.BigEndian.Uint64(state[secondSize+8:]))
		}
		// The clock went back: that period lasts until it is over. A state from further ahead
		// was written under a wrong clock, and its bytes count in the period that is.
		if begin.After(now) && !begin.After(q.end) {
			q.begin, q.end = cfg.Each.around(cfg.Start, begin)
		}
		d := int64(binary.BigEndian.Uint64(state[25:]))
		same := !first && int64(binary.BigEndian.Uint64(state[33:])) == cfg.Max &&
			int64(binary.BigEndian.Uint64(state[41:])) == cfg.Rate && Count(state[49]) == cfg.Count
		if same && d >= 0 && begin.Equal(q.begin) { // else the operator's word is a new start
			q.declared, q.fixed = d, true
		}
	}
	q.declare(now)
	return q, nil
}

// Set changes the configuration; what has passed in the period stays.
func (q *Quota) Set(cfg Accounting, now time.Time) {
	q.cfg = cfg
	begin, end := cfg.Each.around(cfg.Start, now)
	if begin.After(q.begin) && !now.Before(q.end) {
		q.next(begin, end)
	} else {
		q.begin, q.end = begin, end
	}
	q.fixed = false       // the operator's word is a new start
	q.saved = time.Time{} // what is reserved may be too little for another rate
	q.declare(now)
}

// Add counts bytes that have passed since the last call.
func (q *Quota) Add(now time.Time, in, out uint64) {
	q.roll(now)
	q.in += in
	q.out += out
}

// Used returns the bytes of this period, as the quota counts.
func (q *Quota) Used(now time.Time) int64 {
	q.roll(now)
	return countedOf(q.cfg.Count, q.in, q.out)
}

// Reserved returns what of Used at the start was reserved by a process that ended without
// Final: up to so much of it never passed.
func (q *Quota) Reserved() int64 { return q.reserved }

// countedOf is what counts of both directions.
func countedOf(count Count, in, out uint64) int64 {
	var n uint64
	switch count {
	case CountOut:
		n = out
	case CountMax:
		n = max(in, out)
	default:
		n = in + out
	}
	return int64(min(n, 1<<62))
}

// Period returns when the current period began and when the next one begins, UTC.
func (q *Quota) Period(now time.Time) (begin, end time.Time) {
	q.roll(now)
	return q.begin, q.end
}

// Exhausted reports whether nothing is left but the reserve. Without a quota it never is.
func (q *Quota) Exhausted(now time.Time) bool {
	return q.cfg.Max > 0 && q.Used(now) >= q.cfg.Max-q.cfg.Reserve
}

// Left returns what may still pass in each direction, the reserve included, as
// [Meter.Bound] takes it: of a sum, in is what is left for both, and out is 0. Only with a
// quota.
func (q *Quota) Left(now time.Time) (in, out int64) {
	q.roll(now)
	left := func(n uint64) int64 { return max(0, q.cfg.Max-int64(min(n, 1<<62))) }
	switch q.cfg.Count {
	case CountOut:
		return 0, left(q.out)
	case CountMax:
		return left(q.in), left(q.out)
	}
	return left(q.in + q.out), 0
}

// DeclaredRate returns the bytes per second, each way, that a relay declares so that
// the quota lasts until the period's end: set when a period begins, and only lowered
// within it, unless the operator changes what it is made of. 0 means that the quota is exhausted, or that there is neither a quota nor
// a rate. At most Accounting.Rate, if that is set.
func (q *Quota) DeclaredRate(now time.Time) int64 {
	q.roll(now)
	q.declare(now)
	if q.Exhausted(now) {
		return 0
	}
	return q.declared
}

// lasts returns the rate each way at which what is left lasts until the period's end.
func (q *Quota) lasts(now time.Time) int64 {
	left := max(0, q.cfg.Max-q.cfg.Reserve-q.Used(now))
	if q.cfg.Count == CountSum {
		left /= 2
	}
	seconds := max(1, int64(q.end.Sub(now)/time.Second))
	return left / seconds
}

// declare sets the declared rate, or lowers it.
func (q *Quota) declare(now time.Time) {
	rate := q.cfg.Rate
	if q.cfg.Max > 0 {
		if lasts := q.lasts(now); rate == 0 || lasts < rate {
			rate = max(lasts, 1) // 0 is the sign of rest, which Exhausted gives
		}
	}
	switch {
	case !q.fixed:
		q.declared, q.fixed = rate, true
	case rate < q.declared/lowerAtDenominator*lowerAtNumerator:
		q.declared = rate
	}
}

// roll begins a new period if now is in one.
func (q *Quota) roll(now time.Time) {
	if now.Before(q.end) {
		return
	}
	q.next(q.cfg.Each.around(q.cfg.Start, now))
	q.declare(now)
}

func (q *Quota) next(begin, end time.Time) {
	q.begin, q.end = begin, end
	q.in, q.out, q.lastIn, q.lastOut, q.savedIn, q.savedOut = 0, 0, 0, 0, 0, 0
	q.saved, q.fixed = time.Time{}, false
}

// Due returns the state to be stored now, or false. It is due at once after the start,
// after Set and when a period begins, then once a minute, and when half of what was
// reserved has passed. With Accounting.Rate 0 nothing bounds what passes between two
// calls: then the promise holds as long as that is less than the other half.
//
// A caller must not let bytes pass before the first state is on disk.
func (q *Quota) Due(now time.Time) (state []byte, due bool) {
	q.roll(now)
	early := q.half(q.in, q.savedIn, q.lastIn) || q.half(q.out, q.savedOut, q.lastOut)
	if !q.saved.IsZero() && now.Sub(q.saved) < saveInterval && !early {
		return nil, false
	}
	passedIn, passedOut := q.in-q.lastIn, q.out-q.lastOut
	q.busiestIn, q.busiestOut = max(q.busiestIn, passedIn), max(q.busiestOut, passedOut)
	q.lastIn, q.lastOut, q.saved = q.in, q.out, now
	q.savedIn, q.savedOut = q.ahead(passedIn, passedOut)
	return q.encode(q.savedIn, q.savedOut), true
}

// Unsaved says that the state that Due returned could not be stored: it is due again at
// once.
func (q *Quota) Unsaved() { q.saved = time.Time{} }

// ahead returns what may have passed when the next state is stored. No more than the
// quota passes, whatever the rate. passed is what did since the last one.
func (q *Quota) ahead(passedIn, passedOut uint64) (in, out uint64) {
	moreIn, moreOut := q.reserve(passedIn, q.busiestIn), q.reserve(passedOut, q.busiestOut)
	if q.cfg.Max > 0 {
		most := uint64(q.cfg.Max)
		left := func(n uint64) uint64 { return most - min(n, most) }
		switch q.cfg.Count {
		case CountOut:
			moreOut = min(moreOut, left(q.out))
		case CountMax:
			moreIn, moreOut = min(moreIn, left(q.in)), min(moreOut, left(q.out))
		default:
			moreIn = min(moreIn, left(q.in+q.out))
			moreOut = min(moreOut, left(q.in+q.out+moreIn))
		}
	}
	return q.in + moreIn, q.out + moreOut
}

// half reports whether half of what was reserved has passed.
func (q *Quota) half(used, saved, last uint64) bool { return used-last > (saved-last)/2 }

// reserve is what may pass in one direction until the next state. When half of it has, as
// much as a burst and 4 s of the rate bring is left until that is on disk.
func (q *Quota) reserve(passed, busiest uint64) uint64 {
	if q.cfg.Rate > 0 {
		rate, burst := uint64(q.cfg.Rate), uint64(q.cfg.Burst)
		if q.cfg.Burst <= 0 {
			burst = rate
		}
		return 2*burst + min(busySeconds*rate, max(idleSeconds*rate, 2*passed))
	}
	return max(2*busiest, leastReserve)
}

// Final returns the state without anything reserved: for a clean end, when nothing
// passes any more.
func (q *Quota) Final(now time.Time) []byte {
	q.roll(now)
	return q.encode(q.in, q.out)
}

func (q *Quota) encode(in, out uint64) []byte {
	b := make([]byte, 0, quotaSize)
	b = append(b, quotaVersion)
	b = binary.BigEndian.AppendUint64(b, uint64(q.begin.Unix()))
	b = binary.BigEndian.AppendUint64(b, in)
	b = binary.BigEndian.AppendUint64(b, out)
	b = binary.BigEndian.AppendUint64(b, uint64(q.declared))
	b = binary.BigEndian.AppendUint64(b, uint64(q.cfg.Max))
	b = binary.BigEndian.AppendUint64(b, uint64(q.cfg.Rate))
	b = append(b, byte(q.cfg.Count))
	b = binary.BigEndian.AppendUint64(b, in-q.in)
	return binary.BigEndian.AppendUint64(b, out-q.out)
}
