// SPDX-License-Identifier: BSD-3-Clause

package link

import "time"

// Account is told of every byte that links take and give back: what arrived and was not
// read, and buffers. It must not block, and must be safe for concurrent use.
//
// Spec: product §6 (REL-5), security B12.
type Account interface {
	// Add takes bytes, or gives them back if they are below 0.
	Add(bytes int64)
}

const (
	// linkHeld is what a link counts as beside its buffers: the multiplexer's session,
	// two goroutines, keys.
	linkHeld = 24 << 10
	// perUnread is what a byte counts as that arrived and was not read: the
	// multiplexer's buffer doubles when it is full.
	perUnread = 2
)

// admit counts n bytes that are on their way to the multiplexer. It reports false for a
// stream that was closed, which takes none.
func (s *Stream) admit(n int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.received.Add(int64(n))
	if a := s.link.cfg.Account; a != nil && !s.ownerless {
		s.unread.Add(int64(n))
		a.Add(perUnread * int64(n))
	}
	return true
}

// unownedLocked reports whether nobody has been given the stream: nobody closes it. The
// link's lock is held.
func (s *Stream) unownedLocked() bool { return s.mux == nil || !s.outgoing && !s.taken }

// disown gives back what a stream holds that nobody was given and nobody will be, since
// it or its link is over. The account is told nothing more of it.
func (s *Stream) disown() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ownerless = true
	s.settleLocked()
}

// took gives n bytes that were read back to the account, unless settle has.
func (s *Stream) took(n int) {
	s.consumed.Add(int64(n))
	a := s.link.cfg.Account
	if a == nil {
		return
	}
	for {
		has := s.unread.Load()
		k := min(has, int64(n))
		if k <= 0 {
			return
		}
		if s.unread.CompareAndSwap(has, has-k) {
			a.Add(-perUnread * k)
			return
		}
	}
}

// settleLocked gives back what a stream that is being closed has not read.
func (s *Stream) settleLocked() {
	if a := s.link.cfg.Account; a != nil {
		if n := s.unread.Swap(0); n != 0 {
			a.Add(-perUnread * n)
		}
	}
}

// Held returns what the stream counts as in the link's account.
func (s *Stream) Held() int64 { return perUnread * s.unread.Load() }

// holdLocked tells the account what the wire's buffers take. Behind settle it is told
// nothing more.
func (w *wire) holdLocked(n int) {
	a := w.link.cfg.Account
	if n == 0 || a == nil || w.settled {
		return
	}
	w.held += int64(n)
	a.Add(int64(n))
}

// settle gives back all that the wire holds: the link has ended.
func (w *wire) settle() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.holdLocked(-int(w.held))
	w.settled = true
}

// Shrink gives the buffers of a link back that has moved nothing since the last call.
func (l *Link) Shrink() {
	if moved := l.moved.Load(); moved == l.movedAtShrink.Swap(moved) {
		l.wire.release()
	}
}

// Shrink gives back the buffers of links that have moved nothing since the last call,
// and closes links of clients that have had no streams for idle.
func (l *Listener) Shrink(idle time.Duration) {
	l.mu.Lock()
	links := make([]*Link, 0, len(l.links))
	for link := range l.links {
		links = append(links, link)
	}
	l.mu.Unlock()
	for _, link := range links {
		open, since := link.Streams()
		if open == 0 && !link.known.Load() && time.Since(since) >= idle {
			_ = link.Close()
			continue
		}
		link.Shrink()
	}
}
