// SPDX-License-Identifier: BSD-3-Clause

package link

import (
	"errors"
	"os"
	"time"
)

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
		w.wakeLocked()
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
		w.wakeLocked()
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
			had := cap(w.pending)
			w.pending = grow(w.pending, RecordSize)
			w.holdLocked(cap(w.pending) - had)
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
		w.wakeLocked()
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

// pad queues n padding records.
func (w *wire) pad(n int) {
	w.mu.Lock()
	w.padding = min(maxPadding, w.padding+max(0, n))
	w.wakeLocked()
	w.mu.Unlock()
}

// wakeLocked has what is pending written. The writing goroutine is there while
// the link is in use.
func (w *wire) wakeLocked() {
	switch {
	case w.running:
		w.work.Signal()
	case !w.dead && !w.closing:
		w.running = true
		go w.run()
	}
}

// run writes records until the wire is dead or idle.
func (w *wire) run() {
	for {
		batch, fill, data, ok := w.next()
		if !ok {
			if w.link.Err() != nil {
				w.conn.Close()
			}
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
			w.conn.Close() // fail does nothing on a link that is closing
			return
		}
		w.mu.Lock()
		w.spare = batch[:0]
		old := w.limit
		switch took := time.Since(start); {
		case took >= longSend:
			w.limit = max(fewRecords, w.limit/2)
		case took < longSend/4 && records >= w.limit:
			w.limit = min(manyRecords, w.limit+1)
		}
		limit := w.limit
		w.mu.Unlock()
		if limit != old {
			w.link.gate.resize(max(2, limit*MaxOutstandingWrites/manyRecords))
		}
	}
}

// next waits for records to write: data of them with data, the rest padding.
// It is not ok when the writer shall end.
func (w *wire) next() (batch []byte, fill, data int, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.pending) == 0 && w.padding == 0 || w.dead {
		switch {
		case w.dead, w.closing:
			w.running = false
			return nil, 0, 0, false
		case w.retire:
			w.running, w.retire = false, false
			w.holdLocked(-cap(w.pending) - cap(w.spare))
			w.pending, w.spare = nil, nil
			return nil, 0, 0, false
		}
		w.work.Wait()
	}
	batch, fill, data = w.pending, w.fill, len(w.pending)/RecordSize
	w.pending, w.spare, w.fill = w.spare, nil, 0
	if n := min(w.padding, max(1, w.limit-data)); n > 0 {
		w.padding -= n
		had := cap(batch)
		for range n {
			batch = grow(batch, RecordSize)
		}
		w.holdLocked(cap(batch) - had)
	}
	w.space.Signal()
	return batch, fill, data, true
}

// flush writes b. WriteTimeout without any progress is the end; it is measured
// in parts, since a write does not tell when its bytes went.
func (w *wire) flush(b []byte) error {
	const parts = 4
	for still := 0; len(b) > 0; {
		w.mu.Lock()
		by := w.closeBy
		if !w.closing {
			by = time.Now().Add(WriteTimeout / parts)
		}
		_ = w.conn.SetWriteDeadline(by)
		w.mu.Unlock()
		n, err := w.conn.Write(b)
		b = b[n:]
		switch {
		case err == nil:
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return ErrPeerClosed
		case n > 0:
			still = 0
		default:
			if still++; still == parts || w.late(by) {
				return ErrStalled
			}
		}
	}
	w.lastOut.Store(int64(time.Since(w.link.start)))
	return nil
}

// late reports whether the time to finish is over.
func (w *wire) late(by time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.closing && !by.Before(w.closeBy)
}
