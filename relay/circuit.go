// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"chive/circuit"
	"chive/circuit/carrier"
	"chive/circuit/cell"
	"chive/circuit/handshake"
	"chive/directory/record"
	"chive/link"
	"chive/relay/exit"
)

// circ is this relay's part in one circuit.
//
// serveCircuit's goroutine owns the client's side and is the only writer towards
// the next relay; backward's goroutine owns the next relay's side. Both touch hop
// only under car's lock.
type circ struct {
	r    *Relay
	from record.RID // the client's side; zero: a client
	prev *link.Stream
	car  *carrier.Carrier
	hop  *circuit.Hop
	exit *exit.Circuit // nil: no exit here

	busy atomic.Bool // cells have passed since the last sweep

	ctx    context.Context // ends with the circuit
	cancel context.CancelFunc
	tasks  sync.WaitGroup
	dirs   chan struct{} // tokens: directory streams

	mu   sync.Mutex
	next *link.Stream // the next relay's side; nil: none
	to   record.RID   // who that is
	lost bool         // the next relay is gone: cells for it are dropped
}

// serveCircuit runs one circuit from its CREATE to its end.
func (r *Relay) serveCircuit(ctx context.Context, l *link.Link, st *link.Stream, admit *rate.Limiter) {
	defer st.Close()
	hop, ok := r.create(ctx, l, st, admit)
	if !ok {
		return
	}
	c := &circ{
		r: r, from: r.peerRID(l), prev: st, hop: hop,
		car:  carrier.New(&hop.End, st),
		dirs: make(chan struct{}, maxDirectoryPerEnd),
	}
	if r.cfg.Exit != nil {
		c.exit = r.cfg.Exit.NewCircuit()
	}
	c.ctx, c.cancel = context.WithCancel(ctx)
	if !r.circuitBegun(c) {
		c.end(circuit.ReasonBusy)
		return
	}
	defer r.circuitEnded(c)
	code := c.forward()
	c.end(code)
}

// end takes the circuit apart: both neighbours hear of it, streams end, and
// every goroutine of the circuit is awaited.
func (c *circ) end(code circuit.Reason) {
	c.cancel()
	c.mu.Lock()
	next := c.next
	c.next = nil
	c.lost = true
	c.mu.Unlock()
	if next != nil {
		var d [cell.Size]byte
		cell.PutDestroy(d[:], byte(circuit.ReasonNone)) // away from the client never why
		next.CloseWith(d[:])
	}
	if code == circuit.ReasonNone {
		c.car.Fail(circuit.EndReset)
	} else {
		c.car.Shut(code, circuit.EndReset)
	}
	c.prev.Close() // frees a goroutine of ours that still writes
	c.awaitTasks()
	c.hop.Wipe()
}

// awaitTasks waits for the circuit's goroutines. Streams whose client had sent all
// it would get a moment to deliver that; then their connections are closed.
func (c *circ) awaitTasks() {
	if c.exit == nil {
		c.tasks.Wait()
		return
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

// forward reads the client's side until it ends and returns the reason to give
// back: ReasonNone if the client's side is gone or said DESTROY itself.
func (c *circ) forward() circuit.Reason {
	for {
		if err := c.prev.WaitCells(); err != nil {
			return circuit.ReasonNone
		}
		buf := c.r.buffer()
		code, done := c.forwardBatch(*buf)
		c.r.release(buf)
		if done {
			return code
		}
	}
}

// forwardBatch takes what has arrived from the client's side.
func (c *circ) forwardBatch(buf []byte) (code circuit.Reason, done bool) {
	c.busy.Store(true)
	cells, err := c.prev.ReadCells(buf)
	if err != nil {
		return circuit.ReasonNone, true
	}
	out := cells[:0] // passed cells move up to the front; none overtakes the reading
	for rest := cells; len(rest) > 0; rest = rest[cell.Size:] {
		one := rest[:cell.Size]
		c.r.observeCell(c.from, true, false, one)
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
			c.tasks.Add(1)
			go func() {
				defer c.tasks.Done()
				j()
			}()
		}
		if pass {
			out = append(out, one...)
		}
	}
	if len(out) > 0 {
		c.mu.Lock()
		next, to := c.next, c.to
		c.mu.Unlock()
		if next == nil {
			return circuit.ReasonNone, done
		}
		for i := 0; i < len(out); i += cell.Size {
			c.r.observeCell(to, false, false, out[i:i+cell.Size])
		}
		if next.WriteCells(out) != nil {
			c.loseNext(next, circuit.ReasonLinkLost)
		}
	}
	c.r.count.forwarded(len(out) / cell.Size)
	return circuit.ReasonNone, done
}

// backward reads the next relay's side until it ends.
func (c *circ) backward(next *link.Stream) {
	for {
		if next.WaitCells() != nil {
			c.loseNext(next, circuit.ReasonLinkLost)
			return
		}
		buf := c.r.buffer()
		done := c.backwardBatch(next, *buf)
		c.r.release(buf)
		if done {
			return
		}
	}
}

func (c *circ) backwardBatch(next *link.Stream, buf []byte) (done bool) {
	c.busy.Store(true)
	cells, err := next.ReadCells(buf)
	if err != nil {
		c.loseNext(next, circuit.ReasonLinkLost)
		return true
	}
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
		c.loseNext(next, code)
	}
	return done
}

// loseNext says TRUNCATED to the client, once.
func (c *circ) loseNext(next *link.Stream, code circuit.Reason) {
	c.mu.Lock()
	first := c.next == next
	if first {
		c.next, c.lost = nil, true
	}
	c.mu.Unlock()
	if !first {
		return
	}
	_ = c.car.Do(func() error { return c.hop.Truncated(code) })
	next.Close()
}

// create answers the stream's CREATE. ok is false when the circuit did not come
// to be; the stream is then of no more use.
func (r *Relay) create(ctx context.Context, l *link.Link, st *link.Stream, admit *rate.Limiter) (*circuit.Hop, bool) {
	// A stream that never says CREATE must not stay.
	patience := time.AfterFunc(createTimeout, func() { st.Close() })
	err := st.WaitCells()
	if !patience.Stop() || err != nil {
		return nil, false
	}
	buf := r.buffer()
	defer r.release(buf)
	cells, err := st.ReadCells(*buf)
	if err != nil || len(cells) != cell.Size || cell.Command(cells[0]) != cell.Create {
		r.count.violation(circuit.ErrProtocol)
		r.refuse(st, circuit.ReasonProtocol)
		return nil, false
	}
	r.observeCell(r.peerRID(l), true, false, cells)
	switch {
	case r.draining():
		r.refuse(st, circuit.ReasonDraining)
		return nil, false
	case !admit.Allow(), !r.enterWork(ctx):
		r.count.refused()
		r.refuse(st, circuit.ReasonBusy)
		return nil, false
	}
	hop, created, code := r.respond(cells[1:])
	r.leaveWork()
	if code != circuit.ReasonNone {
		r.refuse(st, code)
		return nil, false
	}
	var out [cell.Size]byte
	if cell.PutHandshake(out[:], cell.Created, created) != nil || st.WriteControl(out[:]) != nil {
		return nil, false
	}
	r.count.created()
	return hop, true
}

// respond computes the relay's side of the handshake.
func (r *Relay) respond(body []byte) (*circuit.Hop, []byte, circuit.Reason) {
	create := body[:handshake.CreateSize]
	for _, b := range body[handshake.CreateSize:] {
		if b != 0 {
			return nil, nil, circuit.ReasonProtocol
		}
	}
	if r.replayed(create, false) {
		return nil, nil, circuit.ReasonProtocol
	}
	created, keys, err := handshake.Respond(r.cfg.Rand, r.rid, r.cfg.Onion, create, circuit.Negotiate)
	switch err {
	case nil:
	case handshake.ErrUnknownKey:
		return nil, nil, circuit.ReasonUnknownKey
	default:
		r.count.violation(circuit.ErrProtocol)
		return nil, nil, circuit.ReasonProtocol
	}
	defer keys.Wipe()
	// Only what proved good is remembered, so that garbage cannot fill the filter.
	if r.replayed(create, true) {
		return nil, nil, circuit.ReasonProtocol
	}
	hop, err := circuit.NewHop(keys, r.params, &r.buffers, r.cfg.Rand)
	if err != nil {
		return nil, nil, circuit.ReasonInternal
	}
	return hop, created, circuit.ReasonNone
}

// replayed reports whether a CREATE was answered before, and counts that. remember
// adds it to those that were.
func (r *Relay) replayed(create []byte, remember bool) bool {
	r.mu.Lock()
	seen := r.seen.Seen(create)
	if remember && !seen {
		seen = !r.seen.Add(create)
	}
	r.mu.Unlock()
	if seen {
		r.count.replayed()
	}
	return seen
}

// refuse answers a stream with DESTROY.
func (r *Relay) refuse(st *link.Stream, code circuit.Reason) {
	var d [cell.Size]byte
	cell.PutDestroy(d[:], byte(code))
	st.CloseWith(d[:]) // a peer that does not read must not hold this goroutine
}
