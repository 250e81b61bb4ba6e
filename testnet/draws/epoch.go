// SPDX-License-Identifier: BSD-3-Clause

package draws

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"time"

	"chive/directory/committee"
	"chive/directory/vote"
	"chive/directory/vrf"
)

// epochs plays epochs against an adversary that has the network in its hand: it knows
// who is away, reaches each member when it likes, and sees the outputs of honest seats
// before it shows its own. What it does, the worst first:
//
//   - with M seats it has what it wants in the table, if the epoch is final at all;
//   - with the lowest output and 2Q-K seats it shows each half of the honest seats
//     another proposal and signs both;
//   - with the lowest output it proposes what lists a vote that nobody gets, so that
//     honest members do not sign: skipped;
//   - where fewer than a quorum of honest seats are there, it does not vote or sign:
//     skipped, or orphaned if it signs for itself and shows the certificate later.
//
// Else the proposal of the lowest honest output is final. It lies with the adversary
// not to spoil and to withhold its output instead: that is counted at the draws.
type epochs struct {
	*seats
	rng    *rand.Rand
	delays [maxSeats]time.Duration
	played int
}

const maxSeats = 96

func newEpochs(s *seats) *epochs {
	return &epochs{seats: s, rng: rand.New(rand.NewPCG(s.Seed, 3))}
}

func (e *epochs) play(l *roster) {
	k := len(l.bad)
	q := committee.Quorum(k)
	var lowest uint64
	bad, any := false, false
	present := 0 // honest
	for seat := range k {
		if !l.bad[seat] {
			if int(e.rng.Uint64N(1000)) < e.Offline {
				continue
			}
			present++
		}
		if u := e.rng.Uint64(); !any || u < lowest {
			lowest, bad, any = u, l.bad[seat], true
		}
	}
	enough := present+l.n >= q // a quorum exists if the adversary wants it
	o := &e.out
	switch {
	case enough && l.n >= committee.Matching(k) && bad:
		o.Inserted++
		o.Final++
	case bad && l.n >= forks(k) && present/2+l.n >= q:
		o.Double++
	case bad:
		o.Spoiled++
	case present < q:
		o.Stalled++
		o.Orphan += one(enough)
	default:
		o.Final++
		o.Inserted += one(l.n >= committee.Matching(k))
		e.time(k, q, present, lowest)
	}
}

// timed is every how many epochs the time to a final snapshot is taken.
const timed = 50

// urgent are quantiles of how long an urgent item takes to a relay, at 0, 50, 90, 99 and
// 100 %. Spec: directory §4.
var urgent = [...]time.Duration{300 * time.Millisecond, 3500 * time.Millisecond, 5500 * time.Millisecond, 7 * time.Second, 15 * time.Second}

// time takes the time from an epoch's start until the last of many relays has the
// certificate: the members sign at T + sign, or when the latest proposal has come;
// a relay has it once a quorum of signatures have come; then it is pushed.
func (e *epochs) time(k, q, present int, lowest uint64) {
	if e.played++; e.played%timed != 0 {
		return
	}
	var output [vrf.OutputSize]byte
	binary.BigEndian.PutUint64(output[:], lowest)
	known := e.p.Propose + vote.HoldOff(e.p, k, output) + urgent[len(urgent)-1]
	signed := max(e.p.Sign, known)
	for i := range present {
		e.delays[i] = delay(e.rng)
	}
	slices.Sort(e.delays[:present])
	at := signed + e.delays[q-1] + urgent[len(urgent)-1]
	e.out.Times = append(e.out.Times, int(at/time.Millisecond))
}

// delay draws one.
func delay(rng *rand.Rand) time.Duration {
	ends := [len(urgent)]int64{0, 500, 900, 990, 1000}
	u := rng.Int64N(1000)
	i := 1
	for u >= ends[i] {
		i++
	}
	return urgent[i-1] + (urgent[i]-urgent[i-1])*time.Duration(u-ends[i-1])/time.Duration(ends[i]-ends[i-1])
}
