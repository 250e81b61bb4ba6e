// SPDX-License-Identifier: BSD-3-Clause

package circuit

import (
	"encoding/binary"
	"math/rand/v2"
	"time"

	"chive/circuit/cell"
)

// How messages become cells: what is sent is packed into the open cell, which is
// closed when it is full or when it is taken.

// Pending reports whether Take would return cells.
func (e *End) Pending() bool { return e.out.cells > 0 }

// Full reports whether a passed cell or stream data has to wait until cells
// were taken.
func (e *End) Full() bool { return e.out.cells >= dataCells }

// Take returns the oldest queued cells, sealed in order, or nil. now is when they
// leave. The chunk goes back through Recycle.
func (e *End) Take(now time.Time) *Chunk {
	if e.out.cells == 0 {
		return nil
	}
	if e.out.first == e.out.last {
		e.close()
	}
	ch := e.out.pop()
	e.out.writing = ch.order
	e.acker.left(ch.acks)
	for i := range ch.n {
		c := ch.cell(i)
		switch ch.kinds[i] {
		case kindPass:
			e.pass(c)
		case kindOwn:
			e.seal(c)
		case kindCounted:
			e.window.sealed(now, e.seal(c))
		}
	}
	return ch
}

// Recycle gives a chunk back and wakes what waited for room.
func (e *End) Recycle(now time.Time, c *Chunk) {
	e.out.writing = 0
	e.out.put(c)
	e.wake(now)
}

// Drop gives back everything queued; the circuit is over.
func (e *End) Drop() {
	for {
		ch := e.out.pop()
		if ch == nil {
			e.out.used = 0
			return
		}
		e.out.put(ch)
	}
}

// close fills the rest of the open cell; nothing more goes into it.
func (e *End) close() {
	c, _ := e.out.open()
	if c == nil {
		return
	}
	p := cell.Payload(c)
	if rest := p[e.out.used:]; len(rest) > 0 {
		rest[0] = byte(cell.TypeNone)
		e.fill(rest[1:])
	}
	e.out.used = 0
}

// fill writes padding. A relay that is not the end of the circuit sees none of
// it, and it carries nothing.
func (e *End) fill(b []byte) {
	if e.pad == nil {
		e.pad = rand.NewChaCha8(e.seed)
	}
	for len(b) >= 8 {
		binary.LittleEndian.PutUint64(b, e.pad.Uint64())
		b = b[8:]
	}
	if len(b) > 0 {
		var last [8]byte
		binary.LittleEndian.PutUint64(last[:], e.pad.Uint64())
		copy(b, last[:])
	}
}

// shrink drops the source of padding; the next one begins where no other did.
func (e *End) shrink() {
	if e.pad != nil {
		_, _ = e.pad.Read(e.seed[:])
		e.pad = nil
	}
}

// raw queues a cell that travels as it is and returns it to be filled in.
func (e *End) raw() []byte {
	e.close()
	return e.out.push(kindRaw)
}

// send queues one message of at most cell.MaxBody bytes that the windows do not
// bound: everything but DATA and DATAGRAM. What does not fit was owed to the
// other side, so the circuit is over even if the owner takes no notice.
func (e *End) send(t cell.Type, stream uint16, body []byte) error {
	if len(body) > cell.MaxBody {
		return ErrState
	}
	if !e.fits(len(body), maxQueuedCells) {
		e.broken = ErrOverflow
		return ErrOverflow
	}
	if c, _ := e.out.open(); c == nil || cell.PayloadSize-e.out.used < cell.HeaderSize+len(body) {
		e.close()
		e.begin(cell.Relay, kindOwn)
	}
	e.put(t, stream, body)
	return nil
}

// fits reports whether a message of n bytes goes into the open cell or into a
// new one without the outbox passing most cells.
func (e *End) fits(n, most int) bool {
	c, _ := e.out.open()
	return e.out.cells < most || c != nil && cell.PayloadSize-e.out.used >= cell.HeaderSize+n
}

// sendEarly queues one message in a RELAY_EARLY cell of its own.
func (e *End) sendEarly(t cell.Type, stream uint16, body []byte) error {
	e.close()
	if e.out.cells >= maxQueuedCells {
		return ErrOverflow
	}
	e.begin(cell.RelayEarly, kindOwn)
	e.put(t, stream, body)
	e.close()
	return nil
}

// begin opens a new cell.
func (e *End) begin(cmd cell.Command, k kind) {
	c := e.out.push(k)
	c[0] = byte(cmd)
	e.out.used = 0
}

// put appends a message to the cell begun last; it fits.
func (e *End) put(t cell.Type, stream uint16, body []byte) {
	ch := e.out.last
	if t == cell.TypeAck {
		ch.acks++
	}
	p := cell.Payload(ch.cell(ch.n - 1))[e.out.used:]
	cell.PutHeader(p, t, false, stream, len(body))
	n := copy(p[cell.HeaderSize:], body)
	e.out.used += cell.HeaderSize + n
	if cell.PayloadSize-e.out.used < minSpace {
		e.close()
	}
}

// minSpace is the least space worth a further message in a cell.
const minSpace = cell.HeaderSize + 16

// countedRoom returns how many body bytes a DATA or DATAGRAM message may have
// now, and 0 if it has to wait for the window or the outbox.
func (e *End) countedRoom() int {
	if c, k := e.out.open(); c != nil {
		if *k == kindCounted || e.window.room() {
			return cell.PayloadSize - e.out.used - cell.HeaderSize
		}
		return 0
	}
	if e.Full() || !e.window.room() {
		return 0
	}
	return cell.MaxBody
}

// sendCounted queues a DATA or DATAGRAM message that countedRoom admitted, or
// one that needs a cell of its own and may have it.
func (e *End) sendCounted(t cell.Type, stream uint16, body []byte) {
	c, k := e.out.open()
	switch {
	case c == nil || cell.PayloadSize-e.out.used < cell.HeaderSize+len(body):
		e.close()
		e.begin(cell.Relay, kindCounted)
		e.window.begin()
	case *k != kindCounted:
		*k = kindCounted
		e.window.begin()
	}
	e.put(t, stream, body)
}

// Destroy queues a DESTROY cell after everything that is queued.
func (e *End) Destroy(r Reason) { cell.PutDestroy(e.raw(), byte(r)) }
