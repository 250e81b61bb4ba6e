// SPDX-License-Identifier: BSD-3-Clause

package carrier

import (
	"context"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"chive/circuit"
	"chive/circuit/cell"
)

// readChunk is what one read from a program is good for: the data of a chunk of
// cells.
const readChunk = 8 * cell.MaxBody

// keepBuffer is the largest receive buffer, in bytes, that a waiting stream
// keeps.
const keepBuffer = 64 << 10

// Stream is a stream with blocking methods. It is a net.Conn with half-close.
// One goroutine may read while another writes.
type Stream struct {
	c *Carrier
	s *circuit.Stream

	canRead, canWrite chan struct{}

	mu            sync.Mutex
	readBy, wrtBy time.Time // deadlines
}

// Wrap returns the blocking face of s, a stream of c's circuit. It is called
// inside Do, once a stream.
func (c *Carrier) Wrap(s *circuit.Stream) *Stream {
	st := &Stream{c: c, s: s, canRead: make(chan struct{}, 1), canWrite: make(chan struct{}, 1)}
	s.Notify = func(readable, writable bool) {
		if readable {
			token(st.canRead)
		}
		if writable {
			token(st.canWrite)
		}
	}
	return st
}

// Machine returns the stream's state machine, for use inside Do only.
func (s *Stream) Machine() *circuit.Stream { return s.s }

// wait blocks until ch has a token. It fails at the deadline or with ctx.
func (s *Stream) wait(ctx context.Context, ch chan struct{}, by time.Time) error {
	var expired <-chan time.Time
	if !by.IsZero() {
		t := time.NewTimer(time.Until(by))
		defer t.Stop()
		expired = t.C
	}
	select {
	case <-ch:
		return nil
	case <-expired:
		return os.ErrDeadlineExceeded
	case <-ctx.Done():
		return ctx.Err()
	}
}

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
			err = s.ended()
			s.s.Swap(keep(s.s.Swap(nil)))
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

// ended returns why no further byte comes, or nil. Under the circuit's lock.
func (s *Stream) ended() error {
	if s.s.EOF() {
		return io.EOF
	}
	if err := s.s.Err(); err != nil {
		return err
	}
	if s.s.Ended() {
		return io.EOF
	}
	if s.c.gone || s.c.closing {
		return ErrClosed
	}
	return nil
}

// Over reports whether both directions have ended: the other side takes no more
// bytes either, or this side has sent its last.
func (s *Stream) Over() bool {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return s.s.Over()
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
			err = s.ended()
			b = keep(s.s.Swap(keep(b)))
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

// keep returns b empty, or nil if b is too large for a stream that waits.
func keep(b []byte) []byte {
	if cap(b) > keepBuffer {
		return nil
	}
	return b[:0]
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

// CloseWrite says that no more bytes follow. What was written still arrives.
func (s *Stream) CloseWrite() error { return s.c.Do(s.s.CloseSend) }

// Close ends both directions. What was written still arrives; what was not read
// is dropped.
func (s *Stream) Close() error { return s.Reset(circuit.EndDone) }

// Reset ends both directions and tells the other side why.
func (s *Stream) Reset(reason circuit.EndReason) error {
	err := s.c.Do(func() error { return s.s.Abandon(reason) })
	if err == ErrClosed {
		return nil
	}
	return err
}

// WaitOpen blocks until the far side has connected, or returns why it did not.
func (s *Stream) WaitOpen(ctx context.Context) error {
	return s.until(ctx, func() (bool, error) { return s.s.Opened(), s.ended() })
}

// WaitAnswer blocks until RESOLVED has come.
func (s *Stream) WaitAnswer(ctx context.Context) (r cell.Resolved, err error) {
	err = s.until(ctx, func() (ok bool, err error) {
		r, ok = s.s.Answer()
		return ok, s.ended()
	})
	return r, err
}

// until waits for a condition that comes with a notification.
func (s *Stream) until(ctx context.Context, f func() (bool, error)) error {
	for {
		s.c.mu.Lock()
		ok, err := f()
		if err == io.EOF {
			// The stream ended without what was waited for.
			if err = s.s.Err(); err == nil {
				err = &circuit.StreamError{Reason: circuit.EndProtocol}
			}
		}
		s.c.mu.Unlock()
		if ok || err != nil {
			token(s.canRead) // what came behind it is somebody else's to read
		}
		if ok {
			return nil
		}
		if err != nil {
			return err
		}
		if err := s.wait(ctx, s.canRead, time.Time{}); err != nil {
			return err
		}
	}
}

// SendDatagram hands a datagram to the association; it may be dropped under
// load, as UDP is.
func (s *Stream) SendDatagram(d cell.Datagram) error {
	return s.c.Do(func() error { return s.s.PutDatagram(time.Now(), d) })
}

// ReceiveDatagram waits for the next datagram. It ends as Read does.
func (s *Stream) ReceiveDatagram(ctx context.Context) (cell.Datagram, error) {
	for {
		s.c.mu.Lock()
		d, ok := s.s.Datagram(time.Now())
		err := s.ended()
		s.c.mu.Unlock()
		if ok || err != nil {
			token(s.canRead) // for whoever else receives
		}
		if ok {
			return d, nil
		}
		if err != nil {
			return cell.Datagram{}, err
		}
		if err := s.wait(ctx, s.canRead, time.Time{}); err != nil {
			return cell.Datagram{}, err
		}
	}
}

// expired reports whether a deadline has passed.
func expired(by time.Time) bool { return !by.IsZero() && !time.Now().Before(by) }

func (s *Stream) readDeadline() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.readBy
}

func (s *Stream) writeDeadline() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wrtBy
}

// SetDeadline sets both deadlines.
func (s *Stream) SetDeadline(t time.Time) error {
	_ = s.SetReadDeadline(t)
	return s.SetWriteDeadline(t)
}

// SetReadDeadline bounds waiting reads, those under way included.
func (s *Stream) SetReadDeadline(t time.Time) error {
	s.mu.Lock()
	s.readBy = t
	s.mu.Unlock()
	token(s.canRead)
	return nil
}

// SetWriteDeadline bounds waiting writes, those under way included.
func (s *Stream) SetWriteDeadline(t time.Time) error {
	s.mu.Lock()
	s.wrtBy = t
	s.mu.Unlock()
	token(s.canWrite)
	return nil
}

// LocalAddr returns an address without meaning: a stream has none here.
func (s *Stream) LocalAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4zero} }

// RemoteAddr returns the address the exit connected to, without a port, if it
// said so.
func (s *Stream) RemoteAddr() net.Addr {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(s.s.RemoteAddr(), 0))
}
