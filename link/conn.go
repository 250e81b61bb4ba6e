// SPDX-License-Identifier: BSD-3-Clause

package link

import (
	"errors"
	"net"
	"os"
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
	dead     bool
	closeBy  time.Time

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
	return w
}

// Write queues bytes of frames: a header alone, or some or all of a frame's
// data. It waits while limit records wait.
func (w *wire) Write(p []byte) (int, error) {
	left := w.bodyLeft - len(p) // only this goroutine changes bodyLeft
	if w.bodyLeft == 0 {
		h, ok := parseFrame(p)
		if !ok || len(p) != frameHeaderSize {
			return 0, ErrProtocol // the multiplexer writes headers alone
		}
		if left = 0; h.kind == frameData {
			left = int(h.length)
		}
		w.link.sending(h)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	// Until all is queued no other frame may be put in between.
	w.bodyLeft = max(left, 1)
	if err := w.appendLocked(p); err != nil {
		return 0, err
	}
	w.bodyLeft = left
	if w.bodyLeft == 0 {
		w.flushResetsLocked()
		w.work.Signal()
	}
	return len(p), nil
}

func (w *wire) appendLocked(p []byte) error {
	for {
		if w.dead || w.closing {
			return ErrClosed
		}
		p = w.packLocked(p, w.limit)
		if len(p) == 0 {
			return nil
		}
		w.work.Signal()
		w.space.Wait()
	}
}

// packLocked appends to pending, at most max records, and returns what did not fit.
func (w *wire) packLocked(p []byte, max int) []byte {
	for len(p) > 0 {
		if len(w.pending) == 0 || w.fill == RecordData {
			if len(w.pending) >= max*RecordSize {
				return p
			}
			w.pending = grow(w.pending, RecordSize)
			w.fill = 0
		}
		last := w.pending[len(w.pending)-RecordSize:]
		n := copy(last[w.fill:RecordData], p)
		w.fill += n
		p = p[n:]
	}
	return nil
}

// grow lengthens b by n; its memory grows fast, since a second record means a
// busy link.
func grow(b []byte, n int) []byte {
	if len(b)+n > cap(b) {
		size := RecordSize
		if len(b) > 0 {
			size = max(len(b)+n, min(4*len(b), manyRecords*RecordSize))
		}
		b = append(make([]byte, 0, size), b...)
	}
	return b[:len(b)+n]
}

// sendReset queues a reset of a stream. The multiplexer has no call for it, so
// the frame is put between two of its own.
func (w *wire) sendReset(id uint32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.resets = append(w.resets, id)
	if w.bodyLeft == 0 {
		w.flushResetsLocked()
		w.work.Signal()
	}
}

func (w *wire) flushResetsLocked() {
	for _, id := range w.resets {
		w.packLocked(resetFrame(id), len(w.pending)/RecordSize+1)
	}
	w.resets = nil
}

// deliverReset makes our own multiplexer forget a stream.
func (w *wire) deliverReset(id uint32) {
	w.mu.Lock()
	w.inject = append(w.inject, resetFrame(id)...)
	w.kickLocked()
	w.mu.Unlock()
}

// kickLocked wakes the reader from the connection.
func (w *wire) kickLocked() {
	w.kicked = true
	_ = w.conn.SetReadDeadline(longAgo())
}

func longAgo() time.Time { return time.Unix(1, 0) }

// pad queues n padding records.
func (w *wire) pad(n int) {
	w.mu.Lock()
	w.padding = min(maxPadding, w.padding+max(0, n))
	w.work.Signal()
	w.mu.Unlock()
}

// release gives the memory of an idle wire back.
func (w *wire) release() {
	w.mu.Lock()
	if len(w.pending) == 0 {
		w.pending = nil
	}
	w.spare = nil
	if w.large && !w.shrink {
		w.shrink = true
		w.kickLocked()
	}
	w.mu.Unlock()
}

// run writes records until the wire is dead.
func (w *wire) run() {
	for {
		batch, fill, data, ok := w.next()
		if !ok {
			w.conn.Close()
			return
		}
		records := len(batch) / RecordSize
		for i := range records {
			r, n, flags := batch[i*RecordSize:(i+1)*RecordSize], RecordData, uint16(0)
			if i == data-1 {
				n = fill
			} else if i >= data {
				n, flags = 0, flagPadding
			}
			if err := w.seal.seal(r, n, flags); err != nil {
				w.link.fail(err)
				return
			}
		}
		start := time.Now()
		if err := w.flush(batch); err != nil {
			w.link.fail(err)
			w.conn.Close()
			return
		}
		w.mu.Lock()
		w.spare = batch[:0]
		switch took := time.Since(start); {
		case took >= longSend:
			w.limit = max(fewRecords, w.limit/2)
		case took < longSend/2:
			w.limit = min(manyRecords, w.limit+4)
		}
		w.mu.Unlock()
	}
}

// next waits for records to write: data of them with data, the rest padding.
func (w *wire) next() (batch []byte, fill, data int, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.pending) == 0 && w.padding == 0 {
		if w.dead || w.closing {
			return nil, 0, 0, false
		}
		w.work.Wait()
	}
	if w.dead {
		return nil, 0, 0, false
	}
	batch, fill, data = w.pending, w.fill, len(w.pending)/RecordSize
	w.pending, w.spare, w.fill = w.spare, nil, 0
	if n := min(w.padding, max(1, w.limit-data)); n > 0 {
		w.padding -= n
		for range n {
			batch = grow(batch, RecordSize)
		}
	}
	w.space.Signal()
	return batch, fill, data, true
}

// flush writes b; each WriteTimeout must bring some progress.
func (w *wire) flush(b []byte) error {
	for len(b) > 0 {
		w.mu.Lock()
		by := w.closeBy
		if !w.closing {
			by = time.Now().Add(WriteTimeout)
		}
		_ = w.conn.SetWriteDeadline(by)
		w.mu.Unlock()
		n, err := w.conn.Write(b)
		b = b[n:]
		switch {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded):
			if n == 0 {
				return ErrStalled
			}
		default:
			return ErrPeerClosed
		}
	}
	w.lastOut.Store(int64(time.Since(w.link.start)))
	return nil
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
	w.mu.Unlock()
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

// Read hands whole frames to the multiplexer.
func (w *wire) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		if w.frameLeft > 0 {
			k := copy(p[n:min(len(p), n+w.frameLeft)], w.buf[w.r:w.w])
			w.r += k
			n += k
			if w.frameLeft -= k; w.frameLeft == 0 {
				w.r += w.skip
				w.skip = 0
			}
			continue
		}
		more, err := w.nextFrame(p[n:], n == 0)
		n += more
		if err != nil {
			if n > 0 {
				break // the error is sticky
			}
			return 0, err
		}
		if more == 0 && w.frameLeft == 0 {
			break // only if n > 0
		}
	}
	return n, nil
}

// nextFrame makes the next frame ready to be handed over, or copies injected
// frames to p. If it may not wait it may do neither.
func (w *wire) nextFrame(p []byte, wait bool) (copied int, err error) {
	for {
		w.mu.Lock()
		if len(w.inject) > 0 && len(p) >= frameHeaderSize {
			n := copy(p[:len(p)-len(p)%frameHeaderSize], w.inject)
			w.inject = w.inject[n:]
			w.mu.Unlock()
			return n, nil
		}
		ended := w.dead || w.closing
		w.mu.Unlock()
		if ended {
			return 0, ErrClosed
		}
		if h, ok := parseFrame(w.buf[w.r:w.w]); ok {
			size, err := h.check()
			if err != nil {
				w.link.fail(err)
				return 0, err
			}
			if w.w-w.r >= size {
				var first byte
				if size > frameHeaderSize {
					first = w.buf[w.r+frameHeaderSize]
				}
				verdict, err := w.link.receiving(h, first)
				if err != nil {
					w.link.fail(err)
					return 0, err
				}
				switch verdict {
				case deliver:
					w.frameLeft = size
				case deliverFlags:
					clear(w.buf[w.r+8 : w.r+frameHeaderSize]) // length 0
					w.frameLeft, w.skip = frameHeaderSize, size-frameHeaderSize
				default:
					w.r += size
					continue
				}
				return 0, nil
			}
		}
		if w.e-w.c < RecordSize && !wait {
			return 0, nil
		}
		if err := w.more(); err != nil {
			w.link.fail(err)
			return 0, err
		}
	}
}

// more opens the next record, or reads from the connection until there is one.
func (w *wire) more() error {
	if w.e-w.c >= RecordSize {
		data, err := w.open.open(w.buf[w.c : w.c+RecordSize])
		if err != nil {
			return err
		}
		if w.c != w.w {
			copy(w.buf[w.w:], data)
		}
		w.w += len(data)
		w.c += RecordSize
		return nil
	}
	// Move what is left to the front, the undecrypted bytes behind the data.
	w.makeRoom()
	n, err := w.conn.Read(w.buf[w.e:])
	if n > 0 {
		w.e += n
		w.hungry = w.e == len(w.buf)
		w.lastIn.Store(int64(time.Since(w.link.start)))
		return nil
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		w.mu.Lock()
		kicked := w.kicked
		if kicked {
			w.kicked = false
			_ = w.conn.SetReadDeadline(time.Time{})
		}
		if w.shrink {
			w.shrink = false
			w.shrinkBuffer()
		}
		w.mu.Unlock()
		if kicked {
			return nil
		}
	}
	if err == nil {
		return nil
	}
	return ErrPeerClosed
}

// makeRoom makes space for at least the rest of a record.
func (w *wire) makeRoom() {
	data, raw := w.w-w.r, w.e-w.c
	size := len(w.buf)
	for size < data+RecordSize || (w.hungry && size < largeBuffer) {
		size = min(4*size, largeBuffer)
		w.hungry = false
	}
	to := w.buf
	if size != len(w.buf) {
		to = make([]byte, size)
		w.mu.Lock()
		w.large = true
		w.mu.Unlock()
	}
	if w.r > 0 || size != len(w.buf) {
		copy(to, w.buf[w.r:w.w])
	}
	copy(to[data:], w.buf[w.c:w.e])
	w.buf = to
	w.r, w.w, w.c, w.e = 0, data, data, data+raw
}

func (w *wire) shrinkBuffer() {
	data, raw := w.w-w.r, w.e-w.c
	if len(w.buf) == smallBuffer || data+RecordSize > smallBuffer {
		return
	}
	to := make([]byte, smallBuffer)
	copy(to, w.buf[w.r:w.w])
	copy(to[data:], w.buf[w.c:w.e])
	w.buf = to
	w.r, w.w, w.c, w.e = 0, data, data, data+raw
	w.hungry, w.large = false, false
}
