// SPDX-License-Identifier: BSD-3-Clause

package link

import (
	"math"
	"sync"
	"time"
)

// gate admits at most MaxOutstandingWrites writers to the multiplexer and
// chooses who is next: control traffic in its order, then the stream that sent
// least lately, by an exponentially decayed count of bytes. A writer must not
// hold its place while it waits for a stream's window.
//
// Instead of decaying every count, new bytes weigh more as time goes on: the
// order is the same and the count of a waiting stream stands still. Weights
// start again from 1 every rebaseAfter half-lives.
//
// Spec: protocol §1 (scheduling), security B14
type gate struct {
	halfLife time.Duration

	mu      sync.Mutex
	start   time.Time // when the weight was 1
	epoch   int       // how often the weights started again
	busy    int
	places  int     // at most MaxOutstandingWrites, fewer on a slow link
	control []*turn // first come, first served
	waiting []*turn // heap, lowest count first
	closed  bool
}

const rebaseAfter = 64

// turn is one stream's place at the gate; one writer uses it at a time.
type turn struct {
	count   float64 // decayed bytes, in the weights of epoch
	epoch   int
	granted bool
	alone   bool       // nobody waited when it was let in
	cond    *sync.Cond // of gate.mu, made when first needed
}

func newGate(halfLife time.Duration, now time.Time) *gate {
	return &gate{halfLife: halfLife, start: now, places: MaxOutstandingWrites}
}

// enter waits for a place. It fails when the gate is closed.
func (g *gate) enter(t *turn, control bool) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	if g.busy < g.places {
		g.busy++
		t.alone = g.busy == 1
		return true
	}
	if t.cond == nil {
		t.cond = sync.NewCond(&g.mu)
	}
	t.granted = false
	if control {
		g.control = append(g.control, t)
	} else {
		g.scaleLocked(t)
		g.pushLocked(t)
	}
	for !t.granted && !g.closed {
		t.cond.Wait()
	}
	return !g.closed
}

// leave gives the place back after n bytes were sent.
func (g *gate) leave(t *turn, n int, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	age := float64(now.Sub(g.start)) / float64(g.halfLife)
	if age >= rebaseAfter {
		g.rebaseLocked(age)
		g.start, age = now, 0
	}
	g.scaleLocked(t)
	t.count += float64(n) * math.Exp2(age)
	g.busy--
	g.admitLocked()
}

func (g *gate) admitLocked() {
	for g.busy < g.places {
		var t *turn
		switch {
		case len(g.control) > 0:
			t = g.control[0]
			g.control[0] = nil
			if g.control = g.control[1:]; len(g.control) == 0 {
				g.control = nil
			}
		case len(g.waiting) > 0:
			t = g.popLocked()
		default:
			return
		}
		g.busy++
		t.granted, t.alone = true, g.busy == 1
		t.cond.Signal()
	}
}

// rebaseLocked starts a new epoch. A link that was silent for long may be many
// half-lives late; what is left of the counts then is nothing.
func (g *gate) rebaseLocked(age float64) {
	g.epoch++
	for _, t := range g.waiting {
		t.count *= math.Exp2(-age)
		t.epoch = g.epoch
	}
}

// scaleLocked brings an old count into this epoch's weights. An epoch lasts at
// least rebaseAfter half-lives, so a count two epochs old is nothing.
func (g *gate) scaleLocked(t *turn) {
	if t.epoch != g.epoch {
		t.count *= math.Exp2(-rebaseAfter * float64(g.epoch-t.epoch))
		t.epoch = g.epoch
	}
}

// close lets all writers go, in vain.
func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	for _, t := range g.control {
		t.cond.Signal()
	}
	for _, t := range g.waiting {
		t.cond.Signal()
	}
	g.control, g.waiting = nil, nil
}

func (g *gate) pushLocked(t *turn) {
	g.waiting = append(g.waiting, t)
	for i := len(g.waiting) - 1; i > 0; {
		up := (i - 1) / 2
		if g.waiting[up].count <= g.waiting[i].count {
			break
		}
		g.waiting[up], g.waiting[i] = g.waiting[i], g.waiting[up]
		i = up
	}
}

func (g *gate) popLocked() *turn {
	top, last := g.waiting[0], len(g.waiting)-1
	g.waiting[0] = g.waiting[last]
	g.waiting[last] = nil
	g.waiting = g.waiting[:last]
	for i := 0; ; {
		low := 2*i + 1
		if low >= last {
			break
		}
		if low+1 < last && g.waiting[low+1].count < g.waiting[low].count {
			low++
		}
		if g.waiting[i].count <= g.waiting[low].count {
			break
		}
		g.waiting[i], g.waiting[low] = g.waiting[low], g.waiting[i]
		i = low
	}
	return top
}

// resize changes how many writers may be inside: on a slow link few, since what
// is inside can no longer be scheduled.
func (g *gate) resize(places int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.places = places
	g.admitLocked()
}
