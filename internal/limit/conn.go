// SPDX-License-Identifier: BSD-3-Clause

package limit

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// holdTime is how long a turn may be under way: a peer that neither sends nor reads
// must not keep the others' bytes. Who is slower goes on with turns of one byte,
// which wait for the peer at nobody's expense.
const holdTime = 20 * time.Millisecond

// Conn is a connection under a Meter. One goroutine may read and one may write at a
// time; everything else may be called by any.
type Conn struct {
	net.Conn
	in, out side
	once    sync.Once
	closed  chan struct{}
}

// side is one direction of a Conn.
type side struct {
	flow  *flow
	pass  func([]byte) (int, error)
	until func(time.Time) error // sets the deadline below

	// Of the reading or writing goroutine.
	probe  bool // the next turn is of one byte
	narrow bool // hold is set

	mu      sync.Mutex
	user    time.Time     // the caller's deadline; zero: none
	hold    time.Time     // ours; zero: none
	changed chan struct{} // of room 1: the caller's deadline changed
}

// Conn puts c under the meter. c is the connection's afterwards.
func (m *Meter) Conn(c net.Conn) *Conn {
	return &Conn{
		Conn: c, closed: make(chan struct{}),
		in:  side{flow: &m.in, pass: c.Read, until: c.SetReadDeadline, probe: true, changed: make(chan struct{}, 1)},
		out: side{flow: &m.out, pass: c.Write, until: c.SetWriteDeadline, changed: make(chan struct{}, 1)},
	}
}

// CloseWrite says that no more is sent; reading goes on. Where the connection below
// cannot say that the error is errors.ErrUnsupported.
func (c *Conn) CloseWrite() error {
	if h, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return h.CloseWrite()
	}
	return errors.ErrUnsupported
}

// SetLinger with 0 makes Close a reset. Where the connection below cannot do that the
// error is errors.ErrUnsupported.
func (c *Conn) SetLinger(seconds int) error {
	if l, ok := c.Conn.(interface{ SetLinger(int) error }); ok {
		return l.SetLinger(seconds)
	}
	return errors.ErrUnsupported
}

// NetConn returns the connection below, for its socket options.
func (c *Conn) NetConn() net.Conn { return c.Conn }

// Read reads at most what the rate allows now; it waits for at least one byte.
func (c *Conn) Read(b []byte) (int, error) {
	s := &c.in
	for {
		n, full, err := s.turn(b, c.closed)
		ours := err != nil && s.held(err)
		if ours {
			err = nil
		}
		if n > 0 || !ours {
			s.probe = !full // it may have been all that there was
			return n, err
		}
		s.probe = true
	}
}

// Write writes b in as many turns as the rate makes necessary.
func (c *Conn) Write(b []byte) (int, error) {
	s := &c.out
	written := 0
	for {
		n, full, err := s.turn(b[written:], c.closed)
		written += n
		if err != nil && !s.held(err) || written == len(b) {
			return written, err
		}
		s.probe = !full && n == 0
	}
}

// turn passes a part of b, after waiting until it may. full reports that all bytes of
// the turn passed.
func (s *side) turn(b []byte, closed <-chan struct{}) (n int, full bool, err error) {
	limited, quota := s.flow.limited.Load(), s.flow.bound.Load()
	if !limited && quota == nil || len(b) == 0 {
		s.setHold(time.Time{})
		n, err = s.pass(b)
		s.flow.passed(n)
		return n, true, err
	}
	want := int64(len(b))
	if s.probe {
		want = 1
	}
	var granted int64 // by the rate
	if limited {
		if granted, err = s.await(want, closed); err != nil {
			return 0, false, err
		}
		want = granted
	}
	may := min(want, soloTurnSize)
	if quota != nil {
		if may = quota.take(may); may == 0 {
			if limited {
				s.flow.settle(granted, 0)
			}
			return 0, false, ErrSpent
		}
	}
	if s.probe {
		s.setHold(time.Time{})
	} else {
		s.setHold(time.Now().Add(holdTime))
	}
	n, err = s.pass(b[:may])
	if limited {
		s.flow.settle(granted, int64(n))
	} else {
		s.flow.passed(n)
	}
	if quota != nil {
		quota.give(may) // after it is counted
	}
	return n, int64(n) == may, err
}

// await waits for a turn of at most want bytes, the caller's deadline or the end.
func (s *side) await(want int64, closed <-chan struct{}) (int64, error) {
	n, w := s.flow.take(want)
	if w == nil {
		return n, nil
	}
	var timer *time.Timer
	for {
		s.mu.Lock()
		user := s.user
		s.mu.Unlock()
		var late <-chan time.Time
		if !user.IsZero() {
			left := time.Until(user)
			if left <= 0 {
				s.flow.leave(w)
				return 0, os.ErrDeadlineExceeded
			}
			if timer != nil {
				timer.Stop()
			}
			timer = time.NewTimer(left)
			late = timer.C
		}
		select {
		case n := <-w.granted:
			if timer != nil {
				timer.Stop()
			}
			return n, nil
		case <-closed:
			s.flow.leave(w)
			if timer != nil {
				timer.Stop()
			}
			return 0, net.ErrClosed
		case <-s.changed:
		case <-late:
		}
	}
}

// held reports whether err is a deadline of ours and not the caller's.
func (s *side) held(err error) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.hold.IsZero() && (s.user.IsZero() || time.Now().Before(s.user))
}

// setHold sets our own deadline, beside the caller's.
func (s *side) setHold(t time.Time) {
	if !s.narrow && t.IsZero() {
		return
	}
	s.narrow = !t.IsZero()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hold = t
	_ = s.until(earlier(s.user, t)) // closed: the next read or write says so
}

// setUser sets the caller's deadline.
func (s *side) setUser(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.user = t
	select {
	case s.changed <- struct{}{}:
	default:
	}
	return s.until(earlier(t, s.hold))
}

// earlier returns the earlier of two deadlines, of which the zero time is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// SetDeadline sets both deadlines.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.in.setUser(t), c.out.setUser(t))
}

// SetReadDeadline ends pending and later reads at t; the zero time is none.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.in.setUser(t) }

// SetWriteDeadline ends pending and later writes at t; the zero time is none.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.out.setUser(t) }

// Close closes the connection and ends pending reads and writes.
func (c *Conn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}
