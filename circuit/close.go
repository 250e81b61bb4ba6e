// SPDX-License-Identifier: BSD-3-Clause

package circuit

import "chive/circuit/cell"

// How a stream ends. Each side says END once for its sending (direction 1), and
// may say END once more (direction 2) to take nothing either; it may also say
// only the second. A side that hears the second owes an END of its own unless it
// has said one. A stream leaves the table when this side has both said and heard
// END, so a second END may still be on its way then.

// CloseSend says that nothing more is sent; what was Put still goes out before.
// Datagrams that wait are dropped.
func (s *Stream) CloseSend() error {
	if s.sendEnded {
		return nil
	}
	s.stopSending()
	err := s.sendEnd(cell.EndSending, EndDone)
	s.both()
	s.forget()
	return err
}

// Abandon ends both directions: nothing more is sent or taken. What was Put
// before still goes out; received bytes that wait are dropped. At a Hop it
// answers RESOLVE with r; at an Origin nothing ends a question but its answer.
func (s *Stream) Abandon(r EndReason) error {
	if s.abandoned || s.Over() {
		s.drop()
		return nil
	}
	if s.kind == StreamResolve && !s.end.asks {
		return s.Resolved(cell.Resolved{Reason: byte(r)})
	}
	s.abandoned = true
	s.stopSending()
	s.drop()
	if s.err == nil {
		s.err = &StreamError{Reason: r}
	}
	var err error
	if s.kind != StreamResolve {
		err = s.sendEnd(cell.EndBoth, r)
	}
	s.both()
	s.forget()
	return err
}

// ended takes END.
func (s *Stream) ended(b []byte) error {
	m, err := cell.ParseEnd(b)
	if err != nil {
		return ErrProtocol
	}
	reason := endReasonOf(m.Reason)
	both := m.Direction == cell.EndBoth || reason != EndDone
	if s.recvEnded && (!both || s.recvBoth) {
		return ErrProtocol
	}
	if !s.recvEnded {
		s.recvEnded = true
		s.complete = reason == EndDone
	}
	if both {
		s.recvBoth = true
		if s.err == nil && !s.abandoned {
			switch {
			case reason != EndDone:
				s.err = &StreamError{Reason: reason, Remote: true}
			case !s.sendEnded: // they take no more although we are not through
				s.err = &StreamError{Reason: EndReset, Remote: true}
			}
		}
		if !s.sendEnded {
			s.stopSending()
			err = s.sendEnd(cell.EndBoth, EndDone)
		}
	}
	s.both()
	s.forget()
	return err
}

// fail ends the stream here and now: its circuit is gone.
func (s *Stream) fail(err error) {
	if s.err == nil {
		s.err = err
	}
	s.recvEnded, s.sendEnded, s.waiting = true, true, false
	s.outq = nil
	s.recount()
	s.both()
}

// stopSending bars everything after END.
func (s *Stream) stopSending() {
	s.sendEnded = true
	s.outq = nil
	s.recount()
	s.end.unwait(s)
}

func (s *Stream) sendEnd(direction byte, r EndReason) error {
	var b [2]byte
	return s.end.send(cell.TypeEnd, s.id, cell.End{Direction: direction, Reason: byte(r)}.Append(b[:0]))
}

// forget takes the stream out of the table once both sides have said END.
func (s *Stream) forget() {
	if s.Over() && s.end.table[s.id] == s {
		delete(s.end.table, s.id)
	}
}
