// SPDX-License-Identifier: BSD-3-Clause

package circuit

import (
	"net/netip"
	"time"

	"chive/circuit/cell"
)

// StreamKind says what a stream carries.
type StreamKind byte

// Kinds of streams.
const (
	StreamTCP StreamKind = iota + 1
	StreamUDP
	StreamDir
	StreamResolve
)

// Stream is one stream of a circuit, seen from one end. Each direction ends on
// its own: the sender says END; when both have, the stream is over and leaves
// the circuit's table. A stream that its owner gave up lingers there until the
// other side has said END too, so that every later message is either expected
// or a breach.
//
// Spec: protocol §5.
type Stream struct {
	end  *End
	id   uint16
	kind StreamKind

	opened     bool // CONNECTED was sent or received
	sendEnded  bool // we said END
	recvEnded  bool // they said END
	recvBoth   bool // and that they take no more
	complete   bool // the first END they said had no fault: they sent all they wanted
	abandoned  bool // we said END both ways: what still arrives is dropped
	waiting    bool // in one of end's queues
	err        error
	connected  cell.Connected
	resolved   cell.Resolved
	isResolved bool

	sendCredit int // bytes we may send
	recvCredit int // bytes they may send
	consumed   int // bytes taken since the last CREDIT
	recv       []byte
	off        int      // of recv, up to here it was read
	in, outq   []queued // UDP: datagrams waiting to be read; to be sent

	// Of the account: bytes that Swap gave out, those of in and outq, and since when
	// recv and what Swap gave out wait.
	hand, queued     int
	since, handSince uint64

	// Notify is called when the stream became readable or writable, opened,
	// or ended. It must not block or call back. Nil is allowed.
	Notify func(readable, writable bool)
}

// queued is one datagram and when it was queued.
type queued struct {
	at time.Time
	d  cell.Datagram
}

// openStream adds a stream to the table.
func (e *End) openStream(id uint16, k StreamKind) *Stream {
	s := &Stream{end: e, id: id, kind: k, sendCredit: e.params.CreditSize, recvCredit: e.params.CreditSize}
	if e.table == nil {
		e.table = make(map[uint16]*Stream)
	}
	e.table[id] = s
	e.lastID = id
	return s
}

// Kind returns what the stream carries.
func (s *Stream) Kind() StreamKind { return s.kind }

// Opened reports whether the far side has said CONNECTED, or this side has.
func (s *Stream) Opened() bool { return s.opened }

// RemoteAddr returns the address that CONNECTED carried, if any.
func (s *Stream) RemoteAddr() netip.Addr { return s.connected.Addr }

// Answer returns the answer to RESOLVE; ok is false while there is none.
func (s *Stream) Answer() (r cell.Resolved, ok bool) { return s.resolved, s.isResolved }

// Err returns why the stream ended before its time, or nil.
func (s *Stream) Err() error { return s.err }

// Ended reports whether the other side has sent all it will.
func (s *Stream) Ended() bool { return s.recvEnded }

// EOF reports whether the other side ended its sending without a fault: what was
// received and not yet taken is all there is. It stays true when the stream or
// the circuit fails later, and is false once this side gave the stream up.
func (s *Stream) EOF() bool { return s.complete && !s.abandoned }

// Over reports whether neither side sends any more.
func (s *Stream) Over() bool { return s.sendEnded && s.recvEnded }

// maySend reports whether data may travel before the stream is open: away from
// the client only, where it saves a round trip.
func (s *Stream) maySend() bool { return s.opened || s.end.asks }

// mayReceive is maySend of the other side.
func (s *Stream) mayReceive() bool { return s.opened || !s.end.asks }

func (s *Stream) readable() { s.notify(true, false) }
func (s *Stream) writable() { s.notify(false, true) }
func (s *Stream) both()     { s.notify(true, true) }

func (s *Stream) notify(readable, writable bool) {
	if s.Notify != nil {
		s.Notify(readable, writable)
	}
}

// Put queues as much of p as credit, window and outbox admit and returns how
// many bytes that was; p is copied. When it is less than len(p) and err is nil,
// Notify tells when to go on. It fails with the stream's error once either side
// has ended it, or ErrState after CloseSend and at a Hop before Connected.
func (s *Stream) Put(p []byte) (n int, err error) {
	for n < len(p) {
		if s.err != nil {
			return n, s.err
		}
		if s.sendEnded || !s.maySend() || s.kind == StreamUDP || s.kind == StreamResolve {
			return n, ErrState
		}
		room := s.end.countedRoom()
		if room <= 0 {
			s.end.wait(s)
			return n, nil
		}
		k := min(len(p)-n, room, s.sendCredit)
		if k == 0 {
			return n, nil // CREDIT will notify
		}
		s.end.sendCounted(cell.TypeData, s.id, p[n:n+k])
		s.sendCredit -= k
		n += k
	}
	return n, nil
}

// Swap returns all bytes received and not yet taken, and takes spare, what an
// earlier call returned, back for others to use. Once the bytes are written on or
// dropped, the caller returns them to the sender's credit with Consumed.
func (s *Stream) Swap(spare []byte) []byte {
	s.end.out.buffers.free(spare)
	s.end.out.hold(-s.hand)
	s.hand, s.handSince = cap(s.recv), s.since
	b := s.recv[s.off:]
	s.recv, s.off = nil, 0
	return b
}

// Read copies received bytes into p and returns them to the sender's credit.
func (s *Stream) Read(p []byte) (n int, err error) {
	n = copy(p, s.recv[s.off:])
	s.off += n
	if s.off == len(s.recv) {
		s.end.out.hold(-cap(s.recv))
		s.end.out.buffers.free(s.recv)
		s.recv, s.off = nil, 0
	}
	return n, s.Consumed(n)
}

// store keeps received bytes. What was read is overwritten once it is half of
// the buffer, so that a byte moves once at most on average. An empty stream holds
// no buffer.
func (s *Stream) store(b []byte) {
	if s.Buffered() == 0 {
		s.since = s.end.out.stamp()
	}
	if s.off > 0 && s.off >= len(s.recv)/2 && len(s.recv)+len(b) > cap(s.recv) {
		s.recv = s.recv[:copy(s.recv, s.recv[s.off:])]
		s.off = 0
	}
	if len(s.recv)+len(b) > cap(s.recv) {
		larger := s.end.out.buffers.bytes(len(s.recv) - s.off + len(b))
		larger = append(larger, s.recv[s.off:]...)
		s.end.out.hold(cap(larger) - cap(s.recv))
		s.end.out.buffers.free(s.recv)
		s.recv, s.off = larger, 0
	}
	s.recv = append(s.recv, b...)
}

// drop forgets what waits on this side.
func (s *Stream) drop() {
	s.end.out.hold(-cap(s.recv) - s.hand)
	s.hand = 0
	s.end.out.buffers.free(s.recv)
	s.recv, s.off, s.in, s.outq = nil, 0, nil, nil
	s.recount()
}

// Discard forgets what was received and not taken, and what Swap gave out: nobody reads
// the stream any more.
func (s *Stream) Discard() { s.drop() }

// Buffered returns how many received bytes wait to be read.
func (s *Stream) Buffered() int { return len(s.recv) - s.off }

// Consumed says that n received bytes have left; the sender gets credit for
// them in creditSteps steps.
func (s *Stream) Consumed(n int) error {
	if s.recvEnded || s.abandoned {
		return nil
	}
	s.consumed += n
	if s.consumed < s.end.params.CreditSize/creditSteps {
		return nil
	}
	var b [4]byte
	s.recvCredit += s.consumed
	body := cell.AppendCredit(b[:0], uint32(s.consumed))
	s.consumed = 0
	return s.end.send(cell.TypeCredit, s.id, body)
}

// Connected answers BEGIN, BEGIN_UDP or BEGIN_DIR: the stream is open. Only at a
// Hop. addr may be the zero value.
func (s *Stream) Connected(addr netip.Addr) error {
	if s.opened || s.sendEnded {
		return nil
	}
	s.opened = true
	var b [17]byte
	return s.end.send(cell.TypeConnected, s.id, cell.Connected{Addr: addr}.Append(b[:0]))
}

// Resolved answers RESOLVE and ends its stream. Only at a Hop. An answer that
// cannot be said, because names of strangers are too long or malformed, becomes
// EndInternal: every question gets its answer.
func (s *Stream) Resolved(r cell.Resolved) error {
	if s.sendEnded {
		return nil
	}
	body, err := r.Append(nil)
	if err != nil {
		body = []byte{byte(EndInternal), 0, 0, 0, 0, 0}
	}
	s.sendEnded, s.recvEnded = true, true
	err = s.end.send(cell.TypeResolved, s.id, body)
	s.forget()
	return err
}

// streamMessage takes DATA, DATAGRAM, END and CREDIT.
func (e *End) streamMessage(now time.Time, m cell.Message) error {
	s := e.table[m.Stream]
	if s == nil {
		return e.lateMessage(m)
	}
	if s.kind == StreamResolve {
		return ErrProtocol
	}
	switch m.Type {
	case cell.TypeData:
		return s.data(m.Body)
	case cell.TypeDatagram:
		return s.datagram(now, m.Body)
	case cell.TypeCredit:
		return s.credit(m.Body)
	default:
		return s.ended(m.Body)
	}
}

// lateMessage takes a message of a stream that is not in the table. CREDIT and
// the END that takes no more may cross the END that closed the stream; nothing
// else may.
func (e *End) lateMessage(m cell.Message) error {
	if m.Stream == 0 || m.Stream > e.lastID {
		return ErrProtocol
	}
	switch m.Type {
	case cell.TypeCredit:
		if _, err := cell.ParseCredit(m.Body); err == nil {
			return nil
		}
	case cell.TypeEnd:
		if end, err := cell.ParseEnd(m.Body); err == nil && end.Direction == cell.EndBoth {
			return nil
		}
	}
	return ErrProtocol
}

func (s *Stream) data(b []byte) error {
	if s.recvEnded || s.kind == StreamUDP || !s.mayReceive() || len(b) == 0 || len(b) > s.recvCredit {
		return ErrProtocol
	}
	s.recvCredit -= len(b)
	if s.abandoned {
		return nil
	}
	s.store(b)
	s.readable()
	return nil
}

func (s *Stream) credit(b []byte) error {
	n, err := cell.ParseCredit(b)
	if err != nil || s.kind == StreamUDP || int64(n)+int64(s.sendCredit) > int64(s.end.params.CreditSize) {
		return ErrProtocol
	}
	s.sendCredit += int(n)
	if !s.sendEnded {
		s.writable()
	}
	return nil
}
