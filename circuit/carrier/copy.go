// SPDX-License-Identifier: BSD-3-Clause

package carrier

import (
	"context"
	"io"
	"os"

	"chive/circuit/cell"
)

// readChunk is what one read from a program is good for: the data of a chunk of
// cells.
const readChunk = 16 * cell.MaxBody

// Read takes received bytes. After the other side's END it returns io.EOF, or
// the *circuit.StreamError that ended the stream; bytes received before come
// first.
func (s *Stream) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		by := s.readDeadline()
		if expired(by) {
			return 0, os.ErrDeadlineExceeded
		}
		s.c.mu.Lock()
		n, err := s.s.Read(p)
		if n == 0 {
			err = s.readEnd()
		}
		more := s.s.Buffered() > 0
		s.c.kick()
		s.c.mu.Unlock()
		if n > 0 || err != nil {
			if more || n == 0 {
				token(s.canRead) // for whoever else reads
			}
			return n, err
		}
		if err := s.wait(context.Background(), s.canRead, by); err != nil {
			return 0, err
		}
	}
}

// WriteTo writes everything received to w until the other side ends. The bytes
// of a write stay out of the sender's credit until w has taken them.
func (s *Stream) WriteTo(w io.Writer) (total int64, err error) {
	var spare []byte
	for {
		by := s.readDeadline()
		if expired(by) {
			return total, os.ErrDeadlineExceeded
		}
		s.c.mu.Lock()
		b := s.s.Swap(spare)
		if len(b) == 0 {
			err = s.readEnd()
		}
		s.c.mu.Unlock()
		spare = b
		if len(b) == 0 {
			if err != nil {
				token(s.canRead) // for whoever else reads
			}
			if err == io.EOF {
				return total, nil
			}
			if err == nil {
				err = s.wait(context.Background(), s.canRead, by)
			}
			if err != nil {
				return total, err
			}
			continue
		}
		n, err := w.Write(b)
		total += int64(n)
		if err == nil && n < len(b) {
			err = io.ErrShortWrite
		}
		if err != nil {
			return total, err
		}
		s.c.mu.Lock()
		err = s.s.Consumed(n)
		s.c.kick()
		s.c.mu.Unlock()
		if err != nil {
			return total, err
		}
	}
}

// Write sends p, blocking while the window, the stream's credit or the link are
// used up. It writes to the link itself, unless a deadline forbids to wait for
// a link that stands still.
func (s *Stream) Write(p []byte) (n int, err error) {
	for {
		by := s.writeDeadline()
		if expired(by) {
			return n, os.ErrDeadlineExceeded
		}
		k, err := s.put(p[n:], by.IsZero())
		n += k
		if err != nil || n == len(p) {
			token(s.canWrite) // for whoever else writes
			return n, err
		}
		if err := s.wait(context.Background(), s.canWrite, by); err != nil {
			return n, err
		}
	}
}

// put queues what there is room for and has it written.
func (s *Stream) put(p []byte, flush bool) (n int, err error) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if s.c.gone || s.c.closing {
		if err := s.s.Err(); err != nil {
			return 0, err
		}
		return 0, ErrClosed
	}
	n, err = s.s.Put(p)
	if !flush {
		s.c.kick()
	} else if !s.c.flushing && s.c.end.Pending() {
		s.c.flushing = true
		s.c.flush(flushTurns)
	}
	return n, err
}

// ReadFrom sends what r yields until its end, in pieces that fill whole cells
// where r has that much.
func (s *Stream) ReadFrom(r io.Reader) (total int64, err error) {
	buf := make([]byte, readChunk)
	for {
		n, err := r.Read(buf)
		if n > 0 {
			k, werr := s.Write(buf[:n])
			total += int64(k)
			if werr != nil {
				return total, werr
			}
		}
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}
