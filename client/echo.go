// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"context"
	"errors"
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
	done         chan struct{}
	asked, heard bool // set before done is closed
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
		s.tried(TryExplained{Phase: phaseConnect, Hop: len(q.path), Relay: relayName(q.last().RID), Took: time.Since(began), Text: text})
	}
	first := min(max(echoAfter, 2*q.took), echoLongest)
	timer := time.AfterFunc(first, func() {
		if fallsSilent(ctx, first, q.ask, note) {
			give(errUnheard)
		}
	})
	defer timer.Stop()
	err := wait(ctx)
	if err != nil && context.Cause(ctx) == errUnheard {
		return errUnheard
	}
	return err
}

// fallsSilent asks a circuit, and again after pauses that grow, until ctx ends or it is silent,
// and reports the latter. note is told what the user should know, each once.
func fallsSilent(ctx context.Context, pauses time.Duration, ask func(context.Context) (asked, heard bool), note func(text string)) (silent bool) {
	note("no answer so far; whether the circuit still carries anything is being asked")
	longest := max(echoAgain, pauses)
	alive := false
	for {
		asked, heard := ask(ctx)
		switch {
		case ctx.Err() != nil:
			return false
		case !asked: // nobody knows
		case !heard:
			return true
		case !alive:
			alive = true
			note("the circuit is alive: the relay has not reached the destination so far")
		}
		if pause(ctx, pauses) != nil {
			return false
		}
		pauses = min(2*pauses, longest)
	}
}

// ask reports whether anything comes back on q within its time. What cannot be asked is
// not judged. Requests that wait at the same time share one question, and who does not
// wait any more, ctx being over, waits for none.
func (q *circ) ask(ctx context.Context) (asked, heard bool) {
	q.mu.Lock()
	e := q.echo
	if e == nil {
		e = &echo{done: make(chan struct{})}
		q.echo = e
		go func() {
			e.asked, e.heard = q.answers()
			q.mu.Lock()
			q.echo = nil
			q.mu.Unlock()
			close(e.done)
		}()
	}
	q.mu.Unlock()
	select {
	case <-e.done:
		return e.asked, e.heard
	case <-ctx.Done():
		return false, false
	}
}

func (q *circ) answers() (asked, heard bool) {
	before := q.heard.Load()
	s, err := q.open(func() (*circuit.Stream, error) {
		return q.o.Resolve(cell.Resolve{Kind: cell.ResolveReverse, Name: echoAddress})
	})
	if err != nil {
		return false, false
	}
	ctx, cancel := context.WithTimeout(context.Background(), min(max(echoPatience, 4*q.took), echoLongest))
	defer cancel()
	_, err = s.WaitAnswer(ctx)
	_ = s.Close()
	return true, err == nil || ctx.Err() == nil || q.heard.Load() != before
}
