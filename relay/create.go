// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"time"

	"chive/circuit"
	"chive/circuit/carrier"
	"chive/circuit/cell"
	"chive/circuit/handshake"
	"chive/link"
)

// serveCircuit answers the CREATE of a circuit's stream. Then the circuit lives
// without a goroutine until cells arrive; its end ends the task.
func (n *neighbour) serveCircuit(st *link.Stream) {
	hop, ok := n.create(st)
	if !ok {
		st.Close()
		n.tasks.Done()
		return
	}
	c := &circ{from: n, r: n.r, prev: st, hop: hop, car: carrier.New(&hop.End, st)}
	if e := n.r.live.exit.Load(); e != nil {
		c.exit = e.NewCircuit()
	}
	if !n.r.circuitBegun(c) {
		c.end(circuit.ReasonBusy)
		return
	}
	n.r.warm.touch(c) // CREATE made it so
	st.Handle((*clientSide)(c))
}

// create answers the stream's CREATE. ok is false when the circuit did not come
// to be; the stream is then of no more use.
func (n *neighbour) create(st *link.Stream) (*circuit.Hop, bool) {
	r := n.r
	// A stream that never says CREATE, or half of it, must not stay.
	patience := time.AfterFunc(createTimeout, func() { st.Close() })
	if err := st.WaitCells(); err != nil {
		patience.Stop()
		return nil, false
	}
	one := r.cell()
	defer r.releaseCell(one)
	cells, err := st.ReadCells(one[:])
	if !patience.Stop() {
		return nil, false
	}
	if err != nil || st.Buffered() > 0 || cell.Command(cells[0]) != cell.Create {
		r.count.violation(circuit.ErrProtocol)
		r.destroy(st, circuit.ReasonProtocol)
		return nil, false
	}
	r.observeCell(n.rid, true, false, cells)
	entered := false
	switch {
	case r.draining():
		r.destroy(st, circuit.ReasonDraining)
		return nil, false
	case !r.memory.admits():
		r.count.refused()
	case !n.mayCreate():
		r.count.tooOften()
	case !r.enterWork(n.ctx):
		r.count.tooMany(time.Now())
	default:
		entered = true
	}
	if !entered {
		r.destroy(st, circuit.ReasonBusy)
		return nil, false
	}
	hop, created, code := r.respond(cells[1:])
	r.leaveWork()
	if code != circuit.ReasonNone {
		r.destroy(st, code)
		return nil, false
	}
	if cell.PutHandshake(one[:], cell.Created, created) != nil || st.WriteControl(one[:]) != nil {
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
	created, keys, err := handshake.Respond(r.cfg.Rand, r.rid, r.onionKeys(), create, circuit.Negotiate)
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

// destroy ends a circuit's stream with DESTROY. It does not wait: a peer that does
// not read must not hold a goroutine of ours.
func (r *Relay) destroy(st *link.Stream, code circuit.Reason) {
	d := r.cell()
	defer r.releaseCell(d)
	cell.PutDestroy(d[:], byte(code))
	st.CloseWith(d[:])
}
