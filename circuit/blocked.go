// SPDX-License-Identifier: BSD-3-Clause

package circuit

import (
	"slices"
	"time"
)

// Streams that found no room in the window or the outbox wait in one of two
// queues: blocked holds the writers, who are told to try again; datagrams holds
// the associations, whose own queues are sent from. Whoever ends leaves, so that
// neither queue is longer than the circuit's table.

// wait puts s into its queue.
func (e *End) wait(s *Stream) {
	if s.waiting {
		return
	}
	s.waiting = true
	if s.kind == StreamUDP {
		e.datagrams = append(e.datagrams, s)
	} else {
		e.blocked = append(e.blocked, s)
	}
}

// unwait takes s out of its queue.
func (e *End) unwait(s *Stream) {
	if !s.waiting {
		return
	}
	s.waiting = false
	q := &e.blocked
	if s.kind == StreamUDP {
		q = &e.datagrams
	}
	if i := slices.Index(*q, s); i >= 0 {
		*q = slices.Delete(*q, i, i+1)
	}
}

// wake uses the room that an acknowledgement or the writing of cells has made.
func (e *End) wake(now time.Time) {
	e.sendDatagrams(now)
	if len(e.blocked) == 0 || e.Full() || e.window.inflight >= e.window.size {
		return
	}
	list := e.blocked
	e.blocked = nil
	for _, s := range list {
		s.waiting = false
		s.writable()
	}
}

// sendDatagrams lets the waiting associations send, one datagram at a time in
// turns, as far as there is room.
func (e *End) sendDatagrams(now time.Time) {
	for len(e.datagrams) > 0 {
		s := e.datagrams[0]
		if s.outq = expire(s.outq, now); len(s.outq) > 0 {
			if !e.sendDatagram(s.id, s.outq[0].d.Payload) {
				return
			}
			s.outq = s.outq[1:]
			s.recount()
		}
		e.datagrams = e.datagrams[1:]
		if len(s.outq) > 0 {
			e.datagrams = append(e.datagrams, s)
			continue
		}
		s.outq = nil
		s.recount()
		s.waiting = false
	}
	e.datagrams = nil
}
