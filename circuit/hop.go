// SPDX-License-Identifier: BSD-3-Clause

package circuit

import (
	"bytes"
	"io"
	"time"

	"chive/circuit/cell"
	"chive/circuit/cgo"
	"chive/circuit/handshake"
)

// Hop is one relay's part in a circuit: it recognises cells meant for it,
// passes on the others, and is the far end of streams if the client asks.
type Hop struct {
	End
	forward  *cgo.RelayForward
	backward *cgo.RelayBackward
	early    int  // RELAY_EARLY cells seen away from the client
	isEarly  bool // the cell being taken is RELAY_EARLY
	next     nextState
	gone     bool
}

type nextState byte

const (
	nextNone nextState = iota // this relay is the last hop
	nextPending
	nextOpen
	nextLost
)

// NewHop returns the relay's part in a circuit whose handshake gave keys. keys
// is copied; the caller wipes it.
func NewHop(keys *handshake.Keys, p Params, b *Buffers, random io.Reader) (*Hop, error) {
	h := &Hop{
		forward:  cgo.NewRelayForward(&keys.Forward),
		backward: cgo.NewRelayBackward(&keys.Backward),
	}
	if err := h.init(p, b, random); err != nil {
		return nil, err
	}
	h.seal = func(c []byte) [cell.TagSize]byte {
		h.backward.Originate(c)
		return [cell.TagSize]byte(c[1:])
	}
	h.pass = h.backward.Pass
	h.accept = h.ownMessage
	return h, nil
}

// Forward takes one cell from the client's side, in place. pass means: write c,
// as it is now, to the next relay.
func (h *Hop) Forward(now time.Time, c []byte) (pass bool, err error) {
	if len(c) != cell.Size || h.gone {
		return false, ErrProtocol
	}
	if err := h.arrived(); err != nil {
		return false, err
	}
	switch cell.Command(c[0]) {
	case cell.Relay:
		h.isEarly = false
	case cell.RelayEarly:
		h.early++
		if h.early > cell.MaxRelayEarly {
			return false, ErrProtocol
		}
		h.isEarly = true
	case cell.Padding:
		return false, nil
	default: // DESTROY is the owner's, the others have no place here
		return false, ErrProtocol
	}
	tag := [cell.TagSize]byte(c[1:])
	if !h.forward.Open(c) {
		switch h.next {
		case nextOpen:
			return true, nil
		case nextLost:
			return false, nil // on its way while the next relay went
		}
		return false, ErrProtocol
	}
	return false, h.receive(now, cell.Payload(c), tag)
}

// Backward queues a cell of the next relay towards the client; c is copied. The
// owner has made sure that Full is false. After Truncated, cells that were on
// their way are dropped.
func (h *Hop) Backward(c []byte) error {
	if len(c) != cell.Size || h.gone {
		return ErrProtocol
	}
	switch cell.Command(c[0]) {
	case cell.Relay:
	case cell.Padding:
		return nil
	default:
		return ErrProtocol
	}
	switch {
	case h.next == nextLost:
		return nil
	case h.next != nextOpen:
		return ErrProtocol
	case h.out.cells >= maxQueuedCells:
		return ErrOverflow
	}
	h.close()
	copy(h.out.push(kindPass), c)
	return nil
}

// Extended answers EXTEND: the next relay said created, CreatedSize bytes.
func (h *Hop) Extended(created []byte) error {
	if h.next != nextPending || len(created) != handshake.CreatedSize {
		return ErrState
	}
	h.next = nextOpen
	err := h.send(cell.TypeExtended, 0, created)
	h.close() // from the next message on this is not the last hop
	return err
}

// Truncated says that the next relay was not reached or is gone. It is allowed
// once.
func (h *Hop) Truncated(r Reason) error {
	if h.next != nextPending && h.next != nextOpen {
		return ErrState
	}
	h.next = nextLost
	return h.send(cell.TypeTruncated, 0, []byte{byte(r)})
}

// ownMessage takes what only a relay receives.
func (h *Hop) ownMessage(_ time.Time, m cell.Message) error {
	switch m.Type {
	case cell.TypeExtend:
		return h.extend(m)
	case cell.TypeBegin:
		b, err := cell.ParseBegin(m.Body)
		if err != nil {
			return ErrProtocol
		}
		s, err := h.begun(m.Stream, StreamTCP)
		if err != nil {
			return err
		}
		b.Early = nil
		if n := len(m.Body) - 4 - len(b.Host); n > 0 {
			if n > s.recvCredit {
				return ErrProtocol
			}
			s.recvCredit -= n
			s.store(m.Body[len(m.Body)-n:])
		}
		return h.event(Event{Kind: EventBegin, Stream: s, Begin: b})
	case cell.TypeBeginUDP:
		if cell.ParseBeginUDP(m.Body) != nil {
			return ErrProtocol
		}
		return h.simple(m.Stream, StreamUDP, EventBeginUDP)
	case cell.TypeBeginDir:
		if len(m.Body) != 0 {
			return ErrProtocol
		}
		return h.simple(m.Stream, StreamDir, EventBeginDir)
	case cell.TypeResolve:
		r, err := cell.ParseResolve(m.Body)
		if err != nil {
			return ErrProtocol
		}
		s, err := h.begun(m.Stream, StreamResolve)
		if err != nil {
			return err
		}
		return h.event(Event{Kind: EventResolve, Stream: s, Resolve: r})
	}
	return ErrProtocol
}

func (h *Hop) simple(id uint16, k StreamKind, ev EventKind) error {
	s, err := h.begun(id, k)
	if err != nil {
		return err
	}
	return h.event(Event{Kind: ev, Stream: s})
}

// begun opens a stream the client asked for: numbers only rise, so that none is
// ever used twice.
func (h *Hop) begun(id uint16, k StreamKind) (*Stream, error) {
	if id <= h.lastID {
		return nil, ErrProtocol
	}
	if len(h.table) >= maxStreams {
		return nil, ErrStreams
	}
	return h.openStream(id, k), nil
}

func (h *Hop) extend(m cell.Message) error {
	if m.Stream != 0 || !h.isEarly || h.next != nextNone {
		return ErrProtocol
	}
	e, err := cell.ParseExtend(m.Body)
	if err != nil {
		return ErrProtocol
	}
	e.Handshake = bytes.Clone(e.Handshake)
	h.next = nextPending
	return h.event(Event{Kind: EventExtend, Extend: e})
}

// Shrink gives back what an idle circuit can do without: the layers' expanded keys
// are made again with the next cell.
func (h *Hop) Shrink() {
	h.shrink()
	h.forward.Shrink()
	h.backward.Shrink()
}

// Wipe clears the layers' keys as far as Go allows. The circuit is over, and what
// is queued is dropped.
func (h *Hop) Wipe() {
	h.gone = true
	h.Drop()
	h.forward.Wipe()
	h.backward.Wipe()
}
