// SPDX-License-Identifier: BSD-3-Clause

package circuit

import (
	"sync"
	"sync/atomic"

	"chive/circuit/cell"
)

// chunkCells is the number of cells the owner writes at once: what the link lets
// through in one turn where nobody else waits.
const chunkCells = 16

// Chunk is a run of cells ready to be written. It comes from Take, belongs to
// the caller until it goes back through Recycle, and must go back.
type Chunk struct {
	next  *Chunk // in the outbox
	order uint64 // of its first cell; see End.Oldest
	n     int    // cells in it
	acks  int    // ACK messages in them
	kinds [chunkCells]kind
	buf   [chunkCells * cell.Size]byte
}

// Cells returns the chunk's cells, a multiple of cell.Size bytes.
func (c *Chunk) Cells() []byte { return c.buf[:c.n*cell.Size] }

func (c *Chunk) cell(i int) []byte { return c.buf[i*cell.Size : (i+1)*cell.Size] }

// kind says what still has to happen to a queued cell before it is written.
type kind byte

const (
	kindRaw     kind = iota // nothing: CREATE, CREATED, DESTROY
	kindPass                // another hop's cell: add our layer
	kindOwn                 // our messages: seal
	kindCounted             // the same, and the congestion window counts it
)

// Buffers holds memory that no circuit needs right now, so that idle circuits and
// streams hold none. One Buffers is shared by all circuits of a role; it is safe
// for concurrent use. The zero value is ready.
type Buffers struct {
	// Account is told what circuits hold, if it is there before the first circuit.
	Account Account

	order              atomic.Uint64
	pool               sync.Pool // *Chunk
	tiny, small, large sync.Pool // *[tinyReceive]byte and so on
}

// Receive buffers of streams come in three sizes: what one or two cells bring, so
// that a stranger's first byte costs little; what a burst brings; and what credit
// admits at most in a network with the usual parameters.
const (
	tinyReceive  = 4 << 10
	smallReceive = 64 << 10
	largeReceive = 256 << 10
)

// bytes returns an empty slice with room for n bytes.
func (b *Buffers) bytes(n int) []byte {
	switch {
	case n <= tinyReceive:
		if p, ok := b.tiny.Get().(*[tinyReceive]byte); ok {
			return p[:0]
		}
		return make([]byte, 0, tinyReceive)
	case n <= smallReceive:
		if p, ok := b.small.Get().(*[smallReceive]byte); ok {
			return p[:0]
		}
		return make([]byte, 0, smallReceive)
	case n <= largeReceive:
		if p, ok := b.large.Get().(*[largeReceive]byte); ok {
			return p[:0]
		}
		return make([]byte, 0, largeReceive)
	}
	return make([]byte, 0, 2*n)
}

// free takes a slice of bytes back; one of another size is left to the collector.
func (b *Buffers) free(p []byte) {
	switch cap(p) {
	case tinyReceive:
		b.tiny.Put((*[tinyReceive]byte)(p[:tinyReceive]))
	case smallReceive:
		b.small.Put((*[smallReceive]byte)(p[:smallReceive]))
	case largeReceive:
		b.large.Put((*[largeReceive]byte)(p[:largeReceive]))
	}
}

func (b *Buffers) get() *Chunk {
	if c, ok := b.pool.Get().(*Chunk); ok {
		c.next, c.n, c.acks = nil, 0, 0
		return c
	}
	return new(Chunk)
}

func (b *Buffers) put(c *Chunk) { b.pool.Put(c) }

// outbox is the queue of cells that wait to be written, oldest first. The last
// cell may be open: messages are still being packed into it.
type outbox struct {
	buffers     *Buffers
	first, last *Chunk
	cells       int    // in all chunks
	writing     uint64 // order of the chunk that was taken and not recycled; 0: none
	held        int64  // of the account
	settled     bool   // the account is told nothing more
	used        int    // payload bytes used in the open cell; 0: no cell is open
}

// get returns an empty chunk.
func (o *outbox) get() *Chunk {
	ch := o.buffers.get()
	ch.order = o.stamp()
	o.hold(chunkHeld)
	return ch
}

// put takes a chunk back.
func (o *outbox) put(ch *Chunk) {
	o.hold(-chunkHeld)
	o.buffers.put(ch)
}

// push appends an empty cell of the given kind and returns it.
func (o *outbox) push(k kind) []byte {
	switch {
	case o.last == nil:
		o.first = o.get()
		o.last = o.first
	case o.last.n == chunkCells:
		o.last.next = o.get()
		o.last = o.last.next
	}
	ch := o.last
	c := ch.cell(ch.n)
	ch.kinds[ch.n] = k
	ch.n++
	o.cells++
	return c
}

// open returns the open cell and a pointer to its kind, or nil.
func (o *outbox) open() ([]byte, *kind) {
	if o.used == 0 {
		return nil, nil
	}
	return o.last.cell(o.last.n - 1), &o.last.kinds[o.last.n-1]
}

// pop takes the oldest chunk. The caller has closed the open cell if it is in it.
func (o *outbox) pop() *Chunk {
	ch := o.first
	if ch == nil {
		return nil
	}
	o.first = ch.next
	if o.first == nil {
		o.last = nil
	}
	ch.next = nil
	o.cells -= ch.n
	return ch
}
