// SPDX-License-Identifier: BSD-3-Clause

package link

import (
	"errors"
	"os"
	"time"
)

// Read hands whole frames to the multiplexer.
func (w *wire) Read(p []byte) (int, error) {
	w.link.ripen(w.frameLeft > 0)
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
		w.holdLocked(size - len(w.buf))
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
	w.holdLocked(smallBuffer - len(w.buf))
	copy(to, w.buf[w.r:w.w])
	copy(to[data:], w.buf[w.c:w.e])
	w.buf = to
	w.r, w.w, w.c, w.e = 0, data, data, data+raw
	w.hungry, w.large = false, false
}
