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

// Stream is a stream with blocking methods. It is a net.Conn with half-close.
// One goroutine may read while another writes.
type Stream struct {
	c *Carrier
	s *circuit.Stream

	canRead, canWrite chan struct{}
	onEnd             func() // under the circuit's lock; nil: nobody asked, or told
	drained           bool   // the same; Read or WriteTo has returned the end

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
		st.tell()
	}
	return st
}

// OnEnd has f called, in a goroutine of its own and once, when the stream ends
// before its time, or at once if it has. A stream whose other side has sent all
// it wanted ends for this purpose when Read or WriteTo has returned that, so that
// f cuts nothing short. It is for whoever waits elsewhere on the stream's behalf.
func (s *Stream) OnEnd(f func()) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	s.onEnd = f
	s.tell()
}

// tell calls what OnEnd was given if its time has come. Under the circuit's lock.
func (s *Stream) tell() {
	if s.onEnd == nil || s.s.Err() == nil || s.s.EOF() && !s.drained {
		return
	}
	go s.onEnd()
	s.onEnd = nil
}

// Complete reports whether the other side has sent all it wanted, whatever became
// of the stream since: who passes it on must still deliver all of it.
func (s *Stream) Complete() bool {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return s.s.EOF()
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

// readEnd is ended for those who have taken every byte. Under the circuit's lock.
func (s *Stream) readEnd() error {
	err := s.ended()
	if err == io.EOF {
		s.drained = true
		s.tell()
	}
	return err
}

// Over reports whether both directions have ended: the other side takes no more
// bytes either, or this side has sent its last.
func (s *Stream) Over() bool {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return s.s.Over()
}

// WaitOver blocks until neither direction carries any more: both were ended, the
// other side gave the stream up, or the circuit is gone. Nothing is read
// meanwhile. It fails with ctx.
func (s *Stream) WaitOver(ctx context.Context) error {
	for {
		s.c.mu.Lock()
		over := s.s.Over() || s.c.gone || s.c.closing
		s.c.mu.Unlock()
		if over {
			token(s.canRead) // for whoever reads
			return nil
		}
		if err := s.wait(ctx, s.canRead, time.Time{}); err != nil {
			return err
		}
	}
}

// Discard gives back the memory of what was received and not read. The owner calls it
// when nobody reads any more; until then it is held, for a stream that has ended in order
// can still be read.
func (s *Stream) Discard() {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	s.s.Discard()
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
