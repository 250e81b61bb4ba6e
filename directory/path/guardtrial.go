// SPDX-License-Identifier: BSD-3-Clause

package path

import (
	"time"

	"chive/directory/record"
)

const (
	// windowSize circuits are judged at a time; a guard that failed half of them
	// is suspect. Spec: directory §9.
	windowSize = 100
	// trialSize circuits through another guard decide whether the suspect is to
	// blame or the network behind all guards.
	trialSize = 10
)

// window remembers the outcome of the last windowSize circuits.
type window struct {
	failed [windowSize]bool
	next   int
	count  int
	bad    int
}

// add records one outcome and reports whether half of a full window failed.
func (w *window) add(ok bool) bool {
	if w.failed[w.next] {
		w.bad--
	}
	w.failed[w.next] = !ok
	if !ok {
		w.bad++
	}
	w.next = (w.next + 1) % windowSize
	w.count = min(w.count+1, windowSize)
	return w.count == windowSize && 2*w.bad >= windowSize
}

// tally counts the circuits of one guard during a trial.
type tally struct{ count, bad int }

// Circuit reports the outcome of a circuit that was begun through a guard to which
// the link works. When half of a guard's last 100 circuits failed, the others go
// first until one of them has carried ten. If more than half of those succeed, the
// suspect comes last for GuardLast (ReportMoved); if not, the fault lies elsewhere
// and the suspect starts anew. So it does when it recovers meanwhile. Outcomes of relays that are no guards are ignored.
func (g *Guards) Circuit(now time.Time, rid record.RID, ok bool) Report {
	x := g.find(rid)
	if x == nil {
		return 0
	}
	bad := x.circuits.add(ok)
	switch {
	case g.suspect == nil:
		if bad && !now.Before(x.last) {
			g.suspect = x
		}
		return 0
	case g.suspect == x:
		if !bad {
			g.endTrial()
		}
		return 0
	}
	x.trial.count++
	if !ok {
		x.trial.bad++
	}
	if x.trial.count < trialSize {
		return 0
	}
	moved := 2*x.trial.bad < x.trial.count
	if moved {
		g.suspect.last = g.round(now.Add(g.p.GuardLast))
	}
	g.endTrial()
	if moved {
		return ReportMoved
	}
	return 0
}

// endTrial forgets the suspicion and everything that was counted for it.
func (g *Guards) endTrial() {
	g.suspect.circuits = window{}
	g.suspect = nil
	for _, x := range g.list {
		x.trial = tally{}
	}
}
