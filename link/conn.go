// SPDX-License-Identifier: BSD-3-Clause

package link

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// wire is the connection under the multiplexer: its frames go into records and
// come out of them. Write is called by the multiplexer's one sending goroutine,
// Read by its one receiving goroutine; one goroutine of wire's own writes the
// connection.
//
// Read hands frames over whole: it never blocks inside one, because the
// multiplexer holds a stream's lock while it reads a frame's data.
type wire struct {
	link *Link
	conn net.Conn

	// The sending side, under mu.
	mu       sync.Mutex
	space    sync.Cond // pending shrank, or the wire is dead
	work     sync.Cond // there is something to write, or the wire is dead
	pending  []byte    // records to be sealed; all but the last are full of data
	fill     int       // data in the last one
	spare    []byte    // memory for the next pending
	limit    int       // records that may be pending
	padding  int       // records
	bodyLeft int       // data still to come of the frame being written
	resets   []uint32  // streams to be reset at the next end of a frame
	inject   []byte    // frames for our own multiplexer
	kicked   bool      // the reader was woken on purpose
	shrink   bool      // the reader shall give its buffer back
	large    bool      // the reader's buffer is not a small one
	closing  bool      // write what is pending, then close
	running  bool      // the writing goroutine
	retire   bool      // it shall end when there is nothing to write
	dead     bool
	closeBy  time.Time
	held     int64 // of the account
	settled  bool  // it is told nothing more

	lastOut atomic.Int64 // nanoseconds since link.start
	lastIn  atomic.Int64

	seal *recordCipher // the writer's

	// The receiving side, the reader's.
	open      *recordCipher
	buf       []byte
	r, w      int  // buf[r:w] is data
	c, e      int  // buf[c:e] is undecrypted
	hungry    bool // the last read filled the buffer
	frameLeft int  // bytes of a frame still to be handed over
	skip      int  // bytes to be dropped after it
}

func newWire(l *Link, conn net.Conn, seal, open *recordCipher) *wire {
	w := &wire{link: l, conn: conn, limit: manyRecords, seal: seal, open: open, buf: make([]byte, smallBuffer)}
	w.space.L, w.work.L = &w.mu, &w.mu
	w.holdLocked(linkHeld + smallBuffer) // nobody else has it yet
	return w
}

// kickLocked wakes the reader from the connection.
func (w *wire) kickLocked() {
	w.kicked = true
	_ = w.conn.SetReadDeadline(longAgo())
}

func longAgo() time.Time { return time.Unix(1, 0) }

// release gives the memory of an idle wire back.
func (w *wire) release() {
	w.mu.Lock()
	if len(w.pending) == 0 {
		w.holdLocked(-cap(w.pending))
		w.pending = nil
	}
	w.holdLocked(-cap(w.spare))
	w.spare = nil
	if w.running {
		w.retire = true
		w.work.Signal()
	}
	if w.large && !w.shrink {
		w.shrink = true
		w.kickLocked()
	}
	w.mu.Unlock()
}

// finish ends the wire after what is pending was written, within closeFlush.
func (w *wire) finish() {
	w.mu.Lock()
	w.closing = true
	w.closeBy = time.Now().Add(closeFlush)
	_ = w.conn.SetWriteDeadline(w.closeBy)
	w.kickLocked()
	w.work.Broadcast()
	w.space.Broadcast()
	running := w.running
	w.mu.Unlock()
	if !running {
		w.conn.Close()
	}
}

// kill ends the wire at once.
func (w *wire) kill() {
	w.mu.Lock()
	w.dead = true
	w.work.Broadcast()
	w.space.Broadcast()
	w.mu.Unlock()
	w.conn.Close()
}

// Close is the multiplexer's: by then the link has failed or was closed.
func (w *wire) Close() error {
	w.link.fail(ErrProtocol)
	return nil
}

// LocalAddr and RemoteAddr serve the multiplexer's own messages, which go nowhere.
func (w *wire) LocalAddr() net.Addr  { return w.conn.LocalAddr() }
func (w *wire) RemoteAddr() net.Addr { return w.conn.RemoteAddr() }
