// SPDX-License-Identifier: BSD-3-Clause

package circuit

import (
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net/netip"
	"time"

	"chive/circuit/cell"
	"chive/circuit/handshake"
)

// epoch is when tests begin; machines know no other clock.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// random is deterministic randomness.
func random(seed uint64) io.Reader {
	var s [32]byte
	binary.LittleEndian.PutUint64(s[:], seed)
	return rand.NewChaCha8(s)
}

// tester is what these helpers need of a test: *testing.T and *rapid.T alike.
type tester interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// path is a whole circuit in memory: a client, hops, and the cells on the way
// between them. The tests carry the cells.
type path struct {
	account *tally
	t       tester
	now     time.Time
	o       *Origin
	hops    []*Hop

	up, down [][]byte // up: cells on their way to hop 0, 1, ...; down: from hop 0, 1, ...

	events  [][]Event // of each hop, fetched
	oEvents []Event   // of the client, fetched

	// touch, if set, may change a cell on the link between hop-1 and hop (the
	// client is hop -1), or drop it by returning false.
	touch func(towardsClient bool, hop int, c []byte) bool
}

func lowParams() Params {
	p := DefaultParams()
	p.CreditSize = 64 << 10
	return p
}

// newPath returns a circuit of n hops whose keys both sides were given, without
// handshakes.
func newPath(t tester, n int, p Params) *path {
	t.Helper()
	w := emptyPath(t, p)
	r := random(uint64(n))
	for i := range n {
		var k handshake.Keys
		_, _ = io.ReadFull(r, k.Forward[:])
		_, _ = io.ReadFull(r, k.Backward[:])
		w.o.forward.AddHop(&k.Forward)
		w.o.backward.AddHop(&k.Backward)
		w.o.hops++
		w.addHop(&k)
		if i > 0 {
			w.hops[i-1].next = nextOpen
		}
	}
	return w
}

func emptyPath(t tester, p Params) *path {
	t.Helper()
	account := new(tally)
	o, err := NewOrigin(p, &Buffers{Account: account}, random(1000))
	if err != nil {
		t.Fatal(err)
	}
	return &path{t: t, now: epoch, o: o, account: account}
}

func (w *path) addHop(k *handshake.Keys) *Hop {
	w.t.Helper()
	h, err := NewHop(k, w.o.params, w.o.out.buffers, random(uint64(2000+len(w.hops))))
	if err != nil {
		w.t.Fatal(err)
	}
	w.hops = append(w.hops, h)
	w.up = append(w.up, nil)
	w.down = append(w.down, nil)
	w.events = append(w.events, nil)
	return h
}

func (w *path) last() *Hop { return w.hops[len(w.hops)-1] }

// carry appends cells to a link.
func (w *path) carry(link *[]byte, towardsClient bool, hop int, cells []byte) {
	for ; len(cells) > 0; cells = cells[cell.Size:] {
		at := len(*link)
		*link = append(*link, cells[:cell.Size]...)
		if w.touch != nil && !w.touch(towardsClient, hop, (*link)[at:]) {
			*link = (*link)[:at]
		}
	}
}

// deliver takes the first cell off a link.
func deliver(link *[]byte) []byte {
	c := append([]byte(nil), (*link)[:cell.Size]...)
	*link = append((*link)[:0], (*link)[cell.Size:]...)
	return c
}

// clientWrites puts what the client has queued onto its link.
func (w *path) clientWrites() bool {
	ch := w.o.Take(w.now)
	if ch == nil {
		return false
	}
	w.carry(&w.up[0], false, 0, ch.Cells())
	w.o.Recycle(w.now, ch)
	return true
}

// hopWrites puts what hop i has queued onto its link towards the client.
func (w *path) hopWrites(i int) bool {
	ch := w.hops[i].Take(w.now)
	if ch == nil {
		return false
	}
	w.carry(&w.down[i], true, i, ch.Cells())
	w.hops[i].Recycle(w.now, ch)
	return true
}

// hopReads gives hop i the next cell from the client's side.
func (w *path) hopReads(i int) (bool, error) {
	if len(w.up[i]) == 0 {
		return false, nil
	}
	c := deliver(&w.up[i])
	pass, err := w.hops[i].Forward(w.now, c)
	w.events[i] = append(w.events[i], w.hops[i].Events()...)
	if pass {
		if i+1 == len(w.hops) {
			w.t.Fatalf("the last hop passes a cell on")
		}
		w.carry(&w.up[i+1], false, i+1, c)
	}
	return true, err
}

// clientSideReads gives hop i-1, or the client, the next cell from hop i.
func (w *path) clientSideReads(i int) (bool, error) {
	if len(w.down[i]) == 0 || i > 0 && w.hops[i-1].Full() {
		return false, nil
	}
	c := deliver(&w.down[i])
	if i > 0 {
		return true, w.hops[i-1].Backward(c)
	}
	err := w.o.Receive(w.now, c)
	w.oEvents = append(w.oEvents, w.o.Events()...)
	return true, err
}

// step is one of the moves that carry cells: writes first, then reads.
func (w *path) step(k int) (bool, error) {
	n := len(w.hops)
	switch {
	case k == 0:
		return w.clientWrites(), nil
	case k <= n:
		return w.hopWrites(k - 1), nil
	case k <= 2*n:
		return w.hopReads(k - n - 1)
	default:
		return w.clientSideReads(k - 2*n - 1)
	}
}

func (w *path) steps() int { return 1 + 3*len(w.hops) }

// run carries cells until nobody has anything to say, or until an end refuses
// one.
func (w *path) run() error {
	for moved := true; moved; {
		moved = false
		for k := range w.steps() {
			ok, err := w.step(k)
			if err != nil {
				return err
			}
			moved = moved || ok
		}
	}
	return nil
}

// oneWay carries what one end has said to the other, and nothing back.
func (w *path) oneWay(up bool) error {
	if up {
		return w.oneWayUp()
	}
	return w.oneWayDown()
}

func (w *path) oneWayUp() error {
	for w.clientWrites() {
	}
	for i := range w.hops {
		for len(w.up[i]) > 0 {
			if _, err := w.hopReads(i); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *path) oneWayDown() error {
	for i := len(w.hops) - 1; i >= 0; i-- {
		for w.hopWrites(i) {
		}
		for len(w.down[i]) > 0 {
			moved, err := w.clientSideReads(i)
			if err != nil {
				return err
			}
			for !moved && i > 0 && w.hopWrites(i-1) {
				moved = true
			}
			if !moved {
				w.t.Fatal("nothing moves")
			}
		}
	}
	return nil
}

// ok runs and fails the test on any error.
func (w *path) ok() {
	w.t.Helper()
	if err := w.run(); err != nil {
		w.t.Fatal(err)
	}
}

// refused runs and fails the test unless an end refuses with ErrProtocol.
func (w *path) refused() {
	w.t.Helper()
	if err := w.run(); !errors.Is(err, ErrProtocol) {
		w.t.Fatalf("%v, not ErrProtocol", err)
	}
}

// event returns the one event of the last hop since the last call.
func (w *path) event(k EventKind) Event {
	w.t.Helper()
	i := len(w.hops) - 1
	if len(w.events[i]) != 1 || w.events[i][0].Kind != k {
		w.t.Fatalf("events %v, not one of kind %d", w.events[i], k)
	}
	ev := w.events[i][0]
	w.events[i] = nil
	return ev
}

// stream opens a TCP stream through to both ends' faces of it.
func (w *path) stream() (client, relay *Stream) {
	w.t.Helper()
	client, err := w.o.Begin(cell.Begin{Host: "example.org", Port: 80})
	if err != nil {
		w.t.Fatal(err)
	}
	w.ok()
	relay = w.event(EventBegin).Stream
	if err := relay.Connected(addr4); err != nil {
		w.t.Fatal(err)
	}
	w.ok()
	if !client.Opened() {
		w.t.Fatal("CONNECTED did not open the stream")
	}
	return client, relay
}

// udp opens an association.
func (w *path) udp() (client, relay *Stream) {
	w.t.Helper()
	client, err := w.o.BeginUDP()
	if err != nil {
		w.t.Fatal(err)
	}
	w.ok()
	relay = w.event(EventBeginUDP).Stream
	if err := relay.Connected(noAddr); err != nil {
		w.t.Fatal(err)
	}
	w.ok()
	return client, relay
}

// say makes e send messages as they are, in one cell of its own, past all
// bookkeeping: what a dishonest end can do.
func say(e *End, cmd cell.Command, messages ...cell.Message) {
	e.close()
	c := e.out.push(kindOwn)
	c[0] = byte(cmd)
	p := cell.Payload(c)
	clear(p)
	for _, m := range messages {
		cell.PutHeader(p, m.Type, m.More, m.Stream, len(m.Body))
		copy(p[cell.HeaderSize:], m.Body)
		p = p[cell.HeaderSize+len(m.Body):]
	}
}

func msg(t cell.Type, stream uint16, body []byte) cell.Message {
	return cell.Message{Type: t, Stream: stream, Body: body}
}

// put sends all of p, carrying cells whenever it has to wait.
func (w *path) put(s, far *Stream, p []byte) (got []byte) {
	w.t.Helper()
	for rounds := 0; ; rounds++ {
		n, err := s.Put(p)
		if err != nil {
			w.t.Fatal(err)
		}
		p = p[n:]
		w.ok()
		got = append(got, take(w.t, far)...)
		if len(p) == 0 {
			w.ok()
			return append(got, take(w.t, far)...)
		}
		if rounds > 1<<16 {
			w.t.Fatal("nothing moves")
		}
	}
}

// take reads everything a stream has.
func take(t tester, s *Stream) []byte {
	t.Helper()
	b := make([]byte, s.Buffered())
	n, err := s.Read(b)
	if err != nil || n != len(b) {
		t.Fatalf("%d of %d bytes: %v", n, len(b), err)
	}
	return b
}

// bounded fails the test if an end holds more than its bounds allow.
func bounded(t tester, e *End) {
	t.Helper()
	w := &e.window
	switch {
	case len(e.table) > maxStreams:
		t.Fatalf("%d streams", len(e.table))
	case e.out.cells > maxQueuedCells+2:
		t.Fatalf("%d cells queued", e.out.cells)
	case len(e.blocked)+len(e.datagrams) > len(e.table):
		t.Fatalf("%d streams wait, %d are open", len(e.blocked)+len(e.datagrams), len(e.table))
	case len(w.marks) > e.params.WindowMax/e.params.AckEvery+1:
		t.Fatalf("%d cells remembered", len(w.marks))
	case w.inflight < 0 || w.inflight > e.params.WindowMax+1:
		t.Fatalf("%d cells in flight", w.inflight)
	case len(e.events) > maxEvents:
		t.Fatalf("%d events", len(e.events))
	}
	for _, s := range e.table {
		switch {
		case s.Buffered() > e.params.CreditSize:
			t.Fatalf("%d bytes wait on a stream", s.Buffered())
		case cap(s.recv) > max(4*e.params.CreditSize, smallReceive):
			t.Fatalf("%d bytes are held for a stream", cap(s.recv))
		case len(s.in) > maxDatagrams, len(s.outq) > maxDatagrams:
			t.Fatal("too many datagrams wait")
		case s.sendCredit < 0 || s.sendCredit > e.params.CreditSize, s.recvCredit < 0 || s.recvCredit > e.params.CreditSize:
			t.Fatalf("credit %d, %d", s.sendCredit, s.recvCredit)
		}
	}
}

// Addresses that CONNECTED carries.
var (
	addr4  = netip.MustParseAddr("192.0.2.1")
	noAddr netip.Addr
)
