// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"chive/circuit"
	"chive/circuit/carrier"
	"chive/circuit/cell"
	"chive/directory/record"
	"chive/link"
	"chive/relay/exit"
)

// circ is this relay's part in one circuit.
//
// Idle, it has no goroutine. What arrives from the client's side is taken by
// clientSide, which is the only writer towards the next relay and runs the
// circuit's end; what arrives from the next relay is taken by nextSide. A link runs
// each of them at most once at a time (link.Handler). Both touch hop only under
// car's lock.
type circ struct {
	r    *Relay
	from *neighbour // the client's side
	prev *link.Stream
	car  *carrier.Carrier
	hop  *circuit.Hop
	exit *exit.Circuit // nil: no exit here
	dirs *ration       // of the directory; clientSide's, nil before the first

	warmth warmth
	tasks  sync.WaitGroup // jobs
	// Orders of the cells that are being passed on, of clientSide and nextSide; 0: none.
	reads  [2]atomic.Uint64
	killed atomic.Bool // for memory

	mu      sync.Mutex
	next    *link.Stream       // the next relay's side; nil: none yet
	to      record.RID         // who that is
	lost    bool               // the next relay is gone, or the circuit: cells for it are dropped
	over    bool               // end was called
	running int                // jobs
	ctx     context.Context    // of the jobs; there while one runs
	cancel  context.CancelFunc // of ctx
	hurry   *time.Timer        // frees clientSide after the client's end
}

// clientSide and nextSide are a circuit as the two links see it.
type (
	clientSide circ
	nextSide   circ
)

// Arrived takes what has arrived from the client's side, and ends the circuit behind
// the last of it.
func (s *clientSide) Arrived() (done bool) {
	c := (*circ)(s)
	buf := c.r.buffer()
	code, done := c.forward(*buf)
	c.r.release(buf)
	if done {
		c.end(code)
	}
	return done
}

// Ended sees to it that the client's end is reached: clientSide may wait for a next
// relay that does not read.
func (s *clientSide) Ended() {
	c := (*circ)(s)
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.over {
		c.hurry = time.AfterFunc(deliverGrace, c.free)
	}
}

// free lets go whoever writes to the next relay.
func (c *circ) free() {
	c.mu.Lock()
	next := c.next
	c.mu.Unlock()
	if next != nil {
		next.Close()
	}
}

// Arrived takes what has arrived from the next relay's side.
func (s *nextSide) Arrived() (done bool) {
	c := (*circ)(s)
	buf := c.r.buffer()
	defer c.r.release(buf)
	if !c.backward(*buf) {
		return false
	}
	c.mu.Lock()
	c.next = nil // its buffers need not wait for the client's end
	c.mu.Unlock()
	return true
}

// Ended has nothing to do: nextSide waits for the client's side alone.
func (s *nextSide) Ended() {}

// end takes the circuit apart: both neighbours hear of it, streams end, and
// every goroutine of the circuit is awaited. It is called once, by clientSide.
func (c *circ) end(code circuit.Reason) {
	c.mu.Lock()
	next, lost := c.next, c.lost
	c.lost, c.over = true, true
	cancel, hurry := c.cancel, c.hurry
	c.mu.Unlock()
	if hurry != nil {
		hurry.Stop()
	}
	if cancel != nil {
		cancel()
	}
	if next != nil && !lost {
		c.r.destroy(next, circuit.ReasonNone) // away from the client never why
	}
	switch {
	case c.killed.Load():
		c.car.Fail(circuit.EndReset)
		c.r.destroy(c.prev, circuit.ReasonBusy)
	case code == circuit.ReasonNone:
		c.car.Fail(circuit.EndReset)
	default:

		c.car.Shut(code, circuit.EndReset)
	}
	c.prev.Close() // frees a goroutine of ours that still writes
	c.awaitTasks()
	if next != nil {
		next.Join()
	}
	c.car.Settle()
	c.hop.Wipe()
	c.r.circuitEnded(c)
	c.from.tasks.Done()
}

// awaitTasks waits for the circuit's goroutines. Streams whose client had sent all
// it would get a moment to deliver that; then their connections are closed.
func (c *circ) awaitTasks() {
	if c.exit == nil {
		c.tasks.Wait()
		return
	}
	if c.killed.Load() {
		c.exit.Close()
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.tasks.Wait()
	}()
	grace := time.NewTimer(deliverGrace)
	defer grace.Stop()
	select {
	case <-done:
	case <-grace.C:
	}
	c.exit.Close()
	<-done
}

// deliverGrace is how long the last bytes of a circuit that has ended may take to
// their destinations.
const deliverGrace = 5 * time.Second

// shrink gives back what an idle circuit can do without.
func (c *circ) shrink() {
	_ = c.car.Do(func() error {
		c.hop.Shrink()
		return nil
	})
	c.prev.Shrink()
	c.mu.Lock()
	next := c.next
	c.mu.Unlock()
	if next != nil {
		next.Shrink()
	}
}

// forward takes what has arrived from the client's side. When the circuit is over it
// returns the reason to give back: ReasonNone if the client's side is gone or said
// DESTROY itself.
func (c *circ) forward(buf []byte) (code circuit.Reason, done bool) {
	if c.killed.Load() {
		return circuit.ReasonBusy, true
	}
	c.r.warm.touch(c)
	cells, err := c.prev.ReadCells(buf)
	if err != nil {
		return circuit.ReasonNone, true
	}
	c.reads[0].Store(c.r.buffers.Order())
	defer c.reads[0].Store(0)
	out := cells[:0] // passed cells move up to the front; none overtakes the reading
	for rest := cells; len(rest) > 0; rest = rest[cell.Size:] {
		one := rest[:cell.Size]
		c.r.observeCell(c.from.rid, true, false, one)
		if cell.Command(one[0]) == cell.Destroy {
			done = true // what came before it still goes on
			break
		}
		if !c.car.Enter() {
			return circuit.ReasonInternal, true
		}
		pass, err := c.hop.Forward(time.Now(), one)
		events := c.hop.Events()
		var jobs []job
		if len(events) > 0 {
			jobs = c.jobs(events)
		}
		c.car.Leave()
		if err != nil {
			c.r.count.violation(err)
			return circuit.ReasonOf(err), true
		}
		for _, j := range jobs {
			c.start(j)
		}
		if pass {
			out = append(out, one...)
		}
	}
	if len(out) > 0 {
		c.mu.Lock()
		next, to, lost := c.next, c.to, c.lost
		c.mu.Unlock()
		if next == nil || lost {
			return circuit.ReasonNone, done
		}
		for i := 0; i < len(out); i += cell.Size {
			c.r.observeCell(to, false, false, out[i:i+cell.Size])
		}
		if next.WriteCells(out) != nil {
			c.loseNext(circuit.ReasonLinkLost)
		}
	}
	c.r.count.forwarded(len(out) / cell.Size)
	return circuit.ReasonNone, done
}

// backward takes what has arrived from the next relay, and reports whether that was
// the last.
func (c *circ) backward(buf []byte) (done bool) {
	c.r.warm.touch(c)
	cells, err := c.next.ReadCells(buf) // nobody but Arrived changes next any more
	if err != nil {
		c.loseNext(circuit.ReasonLinkLost)
		return true
	}
	c.reads[1].Store(c.r.buffers.Order())
	defer c.reads[1].Store(0)
	end, code := len(cells), circuit.ReasonNone
	for i := 0; i < end; i += cell.Size {
		c.r.observeCell(c.to, true, true, cells[i:i+cell.Size])
		if cell.Command(cells[i]) == cell.Destroy {
			code = circuit.Reason(cells[i+1])
			end, done = i, true
		}
	}
	if err := c.car.Pass(cells[:end], c.hop.Backward); err != nil {
		code, done = circuit.ReasonProtocol, true
	}
	c.r.count.forwarded(end / cell.Size)
	if done {
		c.loseNext(code)
	}
	return done
}

// loseNext says TRUNCATED to the client, once.
func (c *circ) loseNext(code circuit.Reason) {
	c.mu.Lock()
	next, lost := c.next, c.lost
	c.lost = true
	c.mu.Unlock()
	if lost {
		return
	}
	_ = c.car.Do(func() error { return c.hop.Truncated(code) })
	next.Close()
}
