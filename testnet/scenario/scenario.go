// SPDX-License-Identifier: BSD-3-Clause

// Package scenario is what a named experiment on a simulated network is, and what it
// returns: the seam between the command that lists and runs experiments and the
// packages that contain them (model, draws). It holds no network and no clock.
//
// The unit of a figure is the seed: a metric is computed within each run, and a row
// shows its mean over the seeds with the 95 % interval of Student's t. Fewer than three
// seeds have no interval.
//
// Values are safe for concurrent use as long as nobody changes them.
//
// Spec: testnet §3 (SCN-4), §5 (statistics).
package scenario

import (
	"context"
	"fmt"
	"time"
)

// Scenario is a named experiment.
type Scenario struct {
	Name string // what `chive testnet run` calls it: lower case, one word
	Goal string // of directory §14, such as G1; empty: none
	Text string // one sentence without a full stop: what is done and what is measured
	// Run runs all seeds, one after another in one goroutine, until they are done or
	// ctx ends. progress takes one line at a time and may be called often; it is not nil.
	// A Result comes beside a Breach too: what was measured until then.
	// Errors: a *Breach, ErrOption, what ctx says.
	Run func(ctx context.Context, o Options, progress func(string)) (*Result, error)
}

// Options are what a run may be told. The zero value is a run as the scenario is meant.
type Options struct {
	Seeds  []uint64 // none: the scenario's own
	Relays int      // 0: the scenario's own number
	Short  bool     // about a tenth of the size and time: for tests
	Out    string   // folder for files beside the table; empty: none are written
}

// Verdict is how a row stands to its goal.
type Verdict string

// Verdicts.
const (
	Shown  Verdict = ""       // no goal: only shown
	Met    Verdict = "met"    // the value, or its whole interval, satisfies the goal
	Missed Verdict = "missed" // it does not
)

// Row is one metric over all seeds.
type Row struct {
	Metric    string  `json:"metric"`
	Value     float64 `json:"value"` // mean over the seeds
	Low, High float64 `json:"-"`     // 95 % interval; both equal Value where there is none
	Interval  bool    `json:"-"`     // three seeds or more
	Unit      string  `json:"unit,omitempty"`
	Goal      string  `json:"goal,omitempty"` // as written: "<= 15"
	Verdict   Verdict `json:"verdict,omitempty"`
}

// Result is what a scenario found.
type Result struct {
	Rows      []Row
	Seeds     []uint64
	TraceHash string   // SHA-256 over the traces of all seeds, in hex; empty: not traced
	Notes     []string // what a reader has to know: sizes that were reached, what differs from a public network
}

// Missed reports whether any row misses its goal.
func (r *Result) Missed() bool {
	for i := range r.Rows {
		if r.Rows[i].Verdict == Missed {
			return true
		}
	}
	return false
}

// Breach is an invariant that did not hold. The run has ended there.
type Breach struct {
	Invariant string        // of directory §13, such as I3
	Text      string        // what was seen, without a full stop
	Seed      uint64        //
	At        time.Duration // after genesis, in virtual time
	Replay    string        // the command that shows it again
}

// Error says all of it.
func (b *Breach) Error() string {
	return fmt.Sprintf("scenario: %s does not hold at %v with seed %d: %s; again: %s", b.Invariant, b.At, b.Seed, b.Text, b.Replay)
}
