// SPDX-License-Identifier: BSD-3-Clause

package circuit

import (
	"time"

	"chive/circuit/cell"
)

// PutDatagram queues d towards the other end; d.Payload is copied. When it has
// to wait and 64 others or two seconds are queued already, the oldest goes.
// now is the time it was handed over. It fails with the stream's error once the
// association is over, and with ErrState at a Hop before Connected.
// Spec: protocol §5 (UDP-3).
func (s *Stream) PutDatagram(now time.Time, d cell.Datagram) error {
	if s.err != nil {
		return s.err
	}
	if s.sendEnded || s.kind != StreamUDP || !s.maySend() {
		return ErrState
	}
	body, err := d.Append(nil)
	if err != nil {
		return err
	}
	s.outq = enqueue(s.outq, now, cell.Datagram{Payload: body}) // kept as it travels
	s.end.wait(s)
	s.recount()
	s.end.sendDatagrams(now)
	return nil
}

// sendDatagram queues the body of one DATAGRAM, or reports that it has to wait.
func (e *End) sendDatagram(id uint16, body []byte) bool {
	open, _ := e.out.open()
	if open == nil || e.countedRoom() < len(body) {
		if e.out.cells >= datagramCells || !e.window.room() {
			return false
		}
	}
	e.sendCounted(cell.TypeDatagram, id, body)
	return true
}

// Datagram takes the oldest received datagram. ok is false if there is none.
func (s *Stream) Datagram(now time.Time) (d cell.Datagram, ok bool) {
	s.in = expire(s.in, now)
	defer s.recount()
	if len(s.in) == 0 {
		return cell.Datagram{}, false
	}
	d = s.in[0].d
	s.in = s.in[1:]
	return d, true
}

func (s *Stream) datagram(now time.Time, b []byte) error {
	d, err := cell.ParseDatagram(b)
	if err != nil || s.kind != StreamUDP || s.recvEnded || !s.mayReceive() {
		return ErrProtocol
	}
	if s.abandoned {
		return nil
	}
	d.Payload = append([]byte(nil), d.Payload...)
	s.in = enqueue(s.in, now, d)
	s.recount()
	s.readable()
	return nil
}

// enqueue appends d; beyond the cap the oldest goes.
func enqueue(q []queued, now time.Time, d cell.Datagram) []queued {
	q = expire(q, now)
	if len(q) >= maxDatagrams {
		q = q[1:]
	}
	return append(q, queued{now, d})
}

// expire drops what waited too long.
func expire(q []queued, now time.Time) []queued {
	for len(q) > 0 && now.Sub(q[0].at) > datagramLife {
		q = q[1:]
	}
	if len(q) == 0 {
		return nil
	}
	return q
}
