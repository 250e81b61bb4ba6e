// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"chive/circuit"
	"chive/circuit/cell"
)

// A request that waits does not tell whether the destination is slow or a relay of the
// circuit has stopped. After a while the last relay is asked something that it answers at
// once: if that does not come back either, the request goes to another circuit. How long
// is a while follows from how long the circuit took to build, which is about three
// round trips to its end. As long as the request waits it is asked again, since a relay may
// stop at any time, and what could not be asked, the circuit being full, may be later.
const (
	echoAfter    = 2 * time.Second // at the least
	echoAgain    = 4 * time.Second // the longest pause between two, unless the first was longer
	echoPatience = 4 * time.Second // at the least
	echoLongest  = 10 * time.Second
)

// echoAddress is what is asked for: names of an address that no exit ever asks about.
// Spec: protocol §6 (a look-up of an address that is not public is refused unasked).
const echoAddress = "0.0.0.0"

// errUnheard is the cause of a wait that ends because its circuit is silent.
var errUnheard = errors.New("client: the circuit does not answer")

// echo is a question to the last relay of a circuit.
type echo struct {
	done chan struct{}
	echoed
}

// echoed is what came of it; set before done is closed.
type echoed struct {
	asked bool
	heard bool // something came back on the circuit
	hangs bool // nothing came over the link to the guard, though that was asked, too
}

// await waits for the answer to a request on q as wait does, at most for patience, and
// tells the story if that takes long. Errors: wait's; errUnheard if the circuit is silent.
func (q *circ) await(ctx context.Context, s *story, patience time.Duration, wait func(context.Context) error) error {
	ctx, give := context.WithCancelCause(ctx)
	defer give(nil)
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	began := time.Now()
	note := func(text string) {
		s.tried(TryExplained{Phase: phaseConnect, Hop: len(q.path), Relay: relayName(q.last().RID), Took: time.Since(began), Reason: reasonWaiting, Text: text})
	}
	first := min(max(echoAfter, 2*q.took), echoLongest)
	timer := time.AfterFunc(first, func() {
		switch silent, hangs := fallsSilent(ctx, first, q.ask, note); {
		case hangs:
			give(errGuardUnheard)
		case silent:
			give(errUnheard)
		}
	})
	defer timer.Stop()
	err := wait(ctx)
	if cause := context.Cause(ctx); err != nil && errors.Is(cause, errUnheard) {
		return cause
	}
	return err
}

// fallsSilent asks a circuit, and again after pauses that grow, until ctx ends or it is silent,
// and reports the latter, and whether its guard hangs. note is told what the user should know, each once.
func fallsSilent(ctx context.Context, pauses time.Duration, ask func(context.Context) echoed, note func(text string)) (silent, hangs bool) {
	note("no answer so far; whether the circuit still carries anything is being asked")
	longest := max(echoAgain, pauses)
	alive := false
	for {
		got := ask(ctx)
		switch {
		case ctx.Err() != nil:
			return false, false
		case !got.asked: // nobody knows
		case !got.heard:
			return true, got.hangs
		case !alive:
			alive = true
			note("the circuit is alive: the relay has not reached the destination so far")
		}
		if pause(ctx, pauses) != nil {
			return false, false
		}
		pauses = min(2*pauses, longest)
	}
}

// ask reports whether anything comes back on q within its time. What cannot be asked is
// not judged. Requests that wait at the same time share one question, and who does not
// wait any more, ctx being over, waits for none.
func (q *circ) ask(ctx context.Context) echoed {
	q.mu.Lock()
	e := q.echo
	if e == nil {
		e = &echo{done: make(chan struct{})}
		q.echo = e
		go func() {
			e.echoed = q.answers()
			q.mu.Lock()
			q.echo = nil
			q.mu.Unlock()
			close(e.done)
		}()
	}
	q.mu.Unlock()
	select {
	case <-e.done:
		return e.echoed
	case <-ctx.Done():
		return echoed{}
	}
}

func (q *circ) answers() echoed {
	before, began := q.heard.Load(), time.Now()
	s, err := q.open(func() (*circuit.Stream, error) {
		return q.o.Resolve(cell.Resolve{Kind: cell.ResolveReverse, Name: echoAddress})
	})
	if err != nil {
		return echoed{}
	}
	patience := min(max(echoPatience, 4*q.took), echoLongest)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var guardAsked atomic.Bool
	half := time.AfterFunc(patience/2, func() { q.askGuard(ctx, func() { guardAsked.Store(true) }) })
	_, err = s.WaitAnswer(ctx)
	half.Stop()
	_ = s.Close()
	out := echoed{asked: true, heard: err == nil || ctx.Err() == nil || q.heard.Load() != before}
	if out.hangs = !out.heard && guardAsked.Load() && q.link.Quiet() >= time.Since(began); out.hangs {
		q.c.guardHangs(q.path[0].RID, q.link)
	}
	return out
}
