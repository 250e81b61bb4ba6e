// SPDX-License-Identifier: BSD-3-Clause

package circuit

import (
	"io"
	"math/rand/v2"
	"time"

	"chive/circuit/cell"
)

// End is what both ends of a circuit share: it packs messages into cells, keeps
// the windows and holds the streams. Origin and Hop embed it.
type End struct {
	params Params
	out    outbox
	seed   [32]byte      // of pad; from the owner's randomness
	pad    *rand.ChaCha8 // fills the rest of cells; nil before the first and after shrink
	window window
	acker  acker
	asm    cell.Assembler
	table  map[uint16]*Stream
	lastID uint16
	events []Event
	cells  uint64 // received, those passed on included
	broken error  // something we owe did not fit: the circuit ends at the next cell

	asmSince time.Time // when asm was opened

	// Set by Origin and Hop.
	asks      bool                              // streams are opened at this end
	seal      func(c []byte) [cell.TagSize]byte // adds our layers; returns the wire tag
	pass      func(c []byte)                    // adds one layer to another hop's cell
	accept    func(now time.Time, m cell.Message) error
	fragments func(t cell.Type) bool // fragmented messages this end takes; nil: none

	blocked, datagrams []*Stream // wait for room, first come first served
}

// EventKind says what an Event asks of the owner.
type EventKind byte

// Kinds of events. The first group happens at a Hop, the second at an Origin.
const (
	EventExtend   EventKind = iota + 1 // Extend is set: reach the next relay, then Extended or Truncated
	EventBegin                         // Stream and Begin are set: connect, then Stream.Connected or Stream.Abandon
	EventBeginUDP                      // Stream is set
	EventBeginDir                      // Stream is set
	EventResolve                       // Stream and Resolve are set: then Stream.Resolved

	EventExtended  // the circuit has one more hop
	EventTruncated // Reason is set: the circuit lost the hops after Hop
)

// Event is something the owner has to act on. It holds no views: its slices
// belong to the receiver.
type Event struct {
	Kind    EventKind
	Stream  *Stream
	Extend  cell.Extend
	Begin   cell.Begin
	Resolve cell.Resolve
	Reason  Reason
	Hop     int // position of the hop that sent Truncated, from 0
}

// init prepares e. random seeds the padding of cells.
func (e *End) init(p Params, b *Buffers, random io.Reader) error {
	if !p.usable() {
		return ErrState
	}
	if _, err := io.ReadFull(random, e.seed[:]); err != nil {
		return ErrState
	}
	e.params = p
	e.out.buffers = b
	e.window = newWindow(p)
	e.acker = newAcker(p)
	return nil
}

// Events returns what happened since the last call and forgets it.
func (e *End) Events() []Event {
	ev := e.events
	e.events = nil
	return ev
}

// event records what the owner has to act on.
func (e *End) event(ev Event) error {
	if len(e.events) >= maxEvents {
		return ErrOverflow
	}
	e.events = append(e.events, ev)
	return nil
}

// arrived counts a cell that was received. It fails when the circuit has to end.
func (e *End) arrived() error {
	if e.broken != nil {
		return e.broken
	}
	if e.cells >= maxCells {
		return ErrProtocol
	}
	e.cells++
	return nil
}

// receive takes the messages of a recognised cell; tag is its wire tag.
func (e *End) receive(now time.Time, payload []byte, tag [cell.TagSize]byte) error {
	counted, due := false, false
	for {
		m, rest, ok, err := cell.Next(payload)
		if err != nil {
			return ErrProtocol
		}
		if !ok {
			break
		}
		payload = rest
		if !counted && (m.Type == cell.TypeData || m.Type == cell.TypeDatagram) {
			counted = true
			if due, err = e.acker.counted(); err != nil {
				return err
			}
		}
		whole, done, err := e.assemble(now, m)
		if err != nil {
			return err
		}
		if !done {
			continue
		}
		if err := e.message(now, whole); err != nil {
			return err
		}
	}
	if due {
		return e.send(cell.TypeAck, 0, tag[:])
	}
	return nil
}

// assemble joins the pieces of the fragmented messages that this end takes. The
// first piece of any other is refused, so that nothing is held for it.
func (e *End) assemble(now time.Time, m cell.Message) (whole cell.Message, done bool, err error) {
	if m.More && (e.fragments == nil || !e.fragments(m.Type)) {
		return cell.Message{}, false, ErrProtocol
	}
	if e.asm.Open() && now.Sub(e.asmSince) > assemblyLife {
		return cell.Message{}, false, ErrProtocol
	}
	if !e.asm.Open() {
		e.asmSince = now
	}
	if whole, done, err = e.asm.Add(m); err != nil {
		return cell.Message{}, false, ErrProtocol
	}
	return whole, done, nil
}

// message handles what both ends handle alike and leaves the rest to accept.
func (e *End) message(now time.Time, m cell.Message) error {
	switch m.Type {
	case cell.TypeAck:
		tag, err := cell.ParseAck(m.Body)
		if err != nil || m.Stream != 0 {
			return ErrProtocol
		}
		if err := e.window.ack(now, tag); err != nil {
			return err
		}
		e.wake(now)
		return nil
	case cell.TypePadding:
		if m.Stream != 0 {
			return ErrProtocol
		}
		return nil
	case cell.TypeData, cell.TypeEnd, cell.TypeCredit, cell.TypeDatagram:
		return e.streamMessage(now, m)
	}
	return e.accept(now, m)
}

// Fail ends every stream with reason: the circuit is gone. Nothing is sent.
func (e *End) Fail(r EndReason) {
	for _, s := range e.table {
		s.fail(&StreamError{Reason: r})
	}
	e.table = nil
	e.blocked, e.datagrams = nil, nil
}

// StreamCount returns how many streams the circuit holds.
func (e *End) StreamCount() int { return len(e.table) }

// Held returns about how many bytes wait at this end of the circuit: cells to be
// written, and received data and datagrams that nobody has read yet.
func (e *End) Held() int {
	n := e.out.cells * cell.Size
	for _, s := range e.table {
		n += cap(s.recv)
		for _, q := range s.in {
			n += len(q.d.Payload)
		}
		for _, q := range s.outq {
			n += len(q.d.Payload)
		}
	}
	return n
}
