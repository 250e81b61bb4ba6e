// SPDX-License-Identifier: BSD-3-Clause

package circuit

import "chive/circuit/cell"

// Account is told of every byte that circuits take and give back: queued cells,
// received data that nobody has read, datagrams. It must not block, and must be safe
// for concurrent use.
//
// Spec: product §6 (REL-5), security B12.
type Account interface {
	// Add takes bytes, or gives them back if they are below 0.
	Add(bytes int64)
}

const (
	// chunkHeld is what a Chunk counts as.
	chunkHeld = chunkCells*(cell.Size+1) + 64
	// datagramHeld is what a queued datagram counts as beyond its bytes.
	datagramHeld = 96
)

// Order returns a number higher than all before, for whoever holds cells of a circuit
// between two queues: see End.Oldest.
func (b *Buffers) Order() uint64 { return b.order.Add(1) }

// hold tells the account. Behind settle it is told nothing more.
func (o *outbox) hold(n int) {
	if n == 0 || o.buffers.Account == nil || o.settled {
		return
	}
	o.held += int64(n)
	o.buffers.Account.Add(int64(n))
}

// Settle gives back to the account all that is still held here: the circuit is over.
// The account is told nothing more.
func (e *End) Settle() { e.out.settle() }

// Accounted returns what the account has of this end.
func (e *End) Accounted() int64 { return e.out.held }

// settle gives back all that is still held: the circuit is over.
func (o *outbox) settle() {
	if o.held != 0 {
		o.buffers.Account.Add(-o.held)
	}
	o.held, o.settled = 0, true
}

// stamp is the order of what is queued now, 0 without an account.
func (o *outbox) stamp() uint64 {
	if o.buffers.Account == nil {
		return 0
	}
	return o.buffers.Order()
}

// Oldest returns the order of what has waited longest at this end: cells that are
// queued or being written, and received bytes that nobody has taken or passed on. The
// lower it is, the longer that has been; orders of all circuits with the same Buffers
// compare. 0: nothing waits, or there is no account.
func (e *End) Oldest() uint64 {
	oldest := e.out.writing
	if oldest == 0 && e.out.first != nil {
		oldest = e.out.first.order
	}
	for _, s := range e.table {
		if s.hand > 0 {
			oldest = older(oldest, s.handSince)
		}
		if s.Buffered() > 0 {
			oldest = older(oldest, s.since)
		}
	}
	return oldest
}

// older returns the lower order; 0 is none.
func older(a, b uint64) uint64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// recount tells the account what the queues of an association hold now.
func (s *Stream) recount() {
	if s.kind != StreamUDP || s.end.out.buffers.Account == nil {
		return
	}
	n := 0
	for _, q := range s.in {
		n += len(q.d.Payload) + datagramHeld
	}
	for _, q := range s.outq {
		n += len(q.d.Payload) + datagramHeld
	}
	s.end.out.hold(n - s.queued)
	s.queued = n
}
