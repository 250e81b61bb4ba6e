// SPDX-License-Identifier: BSD-3-Clause

package circuit

import (
	"bytes"
	"io"
	"net/netip"
	"time"

	"chive/circuit/cell"
	"chive/circuit/cgo"
	"chive/circuit/handshake"
)

// MaxHops is the longest path a client may build.
const MaxHops = 8

// Target names the relay that becomes the next hop.
type Target struct {
	RID   [16]byte
	Onion [32]byte
	Addrs []netip.AddrPort // of its links; at most cell.MaxLinkSpecifiers
}

// Origin is the client's end of a circuit.
type Origin struct {
	End
	random   io.Reader
	forward  cgo.ClientForward
	backward cgo.ClientBackward
	hops     int
	pending  *handshake.Client // the hop being added
	gone     bool
}

// NewOrigin returns a circuit without hops. random feeds the handshakes and the
// padding.
func NewOrigin(p Params, b *Buffers, random io.Reader) (*Origin, error) {
	o := &Origin{random: random}
	o.asks = true
	if err := o.init(p, b, random); err != nil {
		return nil, err
	}
	o.seal = func(c []byte) [cell.TagSize]byte { return o.forward.Seal(c, o.hops-1) }
	o.accept = o.ownMessage
	return o, nil
}

// Hops returns how many hops the circuit has.
func (o *Origin) Hops() int { return o.hops }

// Extend starts adding t as the next hop: CREATE for the first one, EXTEND for
// the others. EventExtended says that it is there. ErrState while another hop
// is being added, while streams are open, or at MaxHops.
func (o *Origin) Extend(t Target) error {
	if !o.extensible() {
		return ErrState
	}
	p, err := Prepare(o.random, t)
	if err != nil {
		return err
	}
	defer p.Wipe()
	return o.ExtendPrepared(p)
}

// Receive takes one cell from the first link, in place. DESTROY is reported as
// an EventTruncated of Hop -1.
func (o *Origin) Receive(now time.Time, c []byte) error {
	if len(c) != cell.Size || o.gone {
		return ErrProtocol
	}
	if err := o.arrived(); err != nil {
		return err
	}
	switch cell.Command(c[0]) {
	case cell.Created:
		if o.hops != 0 || o.pending == nil {
			return ErrProtocol
		}
		return o.finish(c[1 : 1+handshake.CreatedSize])
	case cell.Relay:
		if o.hops == 0 {
			return ErrProtocol
		}
		hop, tag, ok := o.backward.Open(c)
		if !ok {
			return ErrProtocol
		}
		if hop != o.hops-1 {
			return o.fromEarlierHop(hop, cell.Payload(c))
		}
		return o.receive(now, cell.Payload(c), tag)
	case cell.Destroy:
		o.lost(-1, c[1])
		return nil
	case cell.Padding:
		return nil
	}
	return ErrProtocol
}

// fromEarlierHop takes what a hop before the last may say: padding, and that it
// lost the next one.
func (o *Origin) fromEarlierHop(hop int, payload []byte) error {
	for {
		m, rest, ok, err := cell.Next(payload)
		if err != nil {
			return ErrProtocol
		}
		if !ok {
			return nil
		}
		payload = rest
		switch {
		case m.Type == cell.TypePadding && m.Stream == 0 && !m.More:
		case m.Type == cell.TypeTruncated && m.Stream == 0 && !m.More && !o.gone:
			if err := o.truncated(hop, m.Body); err != nil {
				return err
			}
		default:
			return ErrProtocol
		}
	}
}

func (o *Origin) truncated(hop int, body []byte) error {
	code, err := cell.ParseTruncated(body)
	if err != nil {
		return ErrProtocol
	}
	o.lost(hop, code)
	return nil
}

// lost says that the hops behind hop are gone, and with them the circuit.
func (o *Origin) lost(hop int, code byte) {
	o.gone, o.pending = true, nil
	o.events = append(o.events, Event{Kind: EventTruncated, Reason: reasonOf(code), Hop: hop})
}

// finish completes the pending handshake.
func (o *Origin) finish(created []byte) error {
	keys, sm, err := o.pending.Finish(created)
	o.pending = nil
	if err != nil {
		return ErrProtocol
	}
	defer keys.Wipe()
	if !features.accepts(&sm) {
		return ErrProtocol
	}
	o.forward.AddHop(&keys.Forward)
	o.backward.AddHop(&keys.Backward)
	o.hops++
	o.window = newWindow(o.params)
	o.acker = newAcker(o.params)
	o.events = append(o.events, Event{Kind: EventExtended, Hop: o.hops - 1})
	return nil
}

// ownMessage takes what only a client receives.
func (o *Origin) ownMessage(_ time.Time, m cell.Message) error {
	switch m.Type {
	case cell.TypeExtended:
		if m.Stream != 0 || o.pending == nil || len(m.Body) != handshake.CreatedSize {
			return ErrProtocol
		}
		return o.finish(bytes.Clone(m.Body))
	case cell.TypeTruncated:
		if m.Stream != 0 || o.pending == nil {
			return ErrProtocol
		}
		return o.truncated(o.hops-1, m.Body)
	case cell.TypeConnected:
		return o.connected(m)
	case cell.TypeResolved:
		return o.resolved(m)
	}
	return ErrProtocol
}

func (o *Origin) connected(m cell.Message) error {
	s := o.table[m.Stream]
	if s == nil || s.opened || s.recvEnded || s.kind == StreamResolve {
		return ErrProtocol
	}
	c, err := cell.ParseConnected(m.Body)
	if err != nil {
		return ErrProtocol
	}
	s.opened, s.connected = true, c
	s.both()
	return nil
}

func (o *Origin) resolved(m cell.Message) error {
	s := o.table[m.Stream]
	if s == nil || s.kind != StreamResolve || s.isResolved {
		return ErrProtocol
	}
	r, err := cell.ParseResolved(m.Body)
	if err != nil {
		return ErrProtocol
	}
	s.resolved, s.isResolved = r, true
	s.sendEnded, s.recvEnded = true, true
	s.both()
	s.forget()
	return nil
}

// ask sends the message that opens a stream, under the next number. It fails
// without having done anything.
func (o *Origin) ask(k StreamKind, t cell.Type, body []byte) (*Stream, error) {
	switch {
	case o.gone || o.hops == 0 || o.pending != nil:
		return nil, ErrState
	case o.UsedUp():
		return nil, ErrStreams
	case !o.fits(len(body), maxAskingCells):
		return nil, ErrOverflow
	}
	s := o.openStream(o.lastID+1, k)
	return s, o.send(t, s.id, body)
}

// Begin opens a TCP stream through the last hop. b.Early, at most
// cell.MaxEarly(b.Host) bytes, travels with it and counts against its credit.
// ErrStreams, ErrOverflow: it has to go over another circuit, or later.
func (o *Origin) Begin(b cell.Begin) (*Stream, error) {
	body, err := b.Append(nil)
	if err != nil {
		return nil, err
	}
	s, err := o.ask(StreamTCP, cell.TypeBegin, body)
	if err != nil {
		return nil, err
	}
	s.sendCredit -= len(b.Early)
	return s, nil
}

// BeginUDP opens a UDP association at the last hop. It fails as Begin does.
func (o *Origin) BeginUDP() (*Stream, error) {
	return o.ask(StreamUDP, cell.TypeBeginUDP, cell.AppendBeginUDP(nil))
}

// BeginDir opens a stream of directory requests to the last hop. It fails as
// Begin does.
func (o *Origin) BeginDir() (*Stream, error) {
	return o.ask(StreamDir, cell.TypeBeginDir, nil)
}

// Resolve asks the last hop; the answer arrives in Stream.Answer. It fails as
// Begin does.
func (o *Origin) Resolve(r cell.Resolve) (*Stream, error) {
	body, err := r.Append(nil)
	if err != nil {
		return nil, err
	}
	return o.ask(StreamResolve, cell.TypeResolve, body)
}

// UsedUp reports whether the circuit can take no further stream.
func (o *Origin) UsedUp() bool { return o.gone || o.lastID == 1<<16-1 || len(o.table) >= maxStreams }

// Wipe clears the layers' keys as far as Go allows. The circuit is over, and what
// is queued is dropped.
func (o *Origin) Wipe() {
	o.gone = true
	o.Drop()
	if o.pending != nil {
		o.pending.Wipe()
		o.pending = nil
	}
	o.forward.Wipe()
	o.backward.Wipe()
}
