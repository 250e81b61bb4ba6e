// SPDX-License-Identifier: BSD-3-Clause

package link

import (
	"bytes"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"chive/circuit/cell"
)

// StreamType is the first byte of a stream. Spec: protocol §1
type StreamType byte

// Types of streams.
const (
	StreamCircuit   StreamType = 1
	StreamGossip    StreamType = 2
	StreamDirectory StreamType = 3
	StreamMailbox   StreamType = 4
)

func (t StreamType) known() bool { return t >= StreamCircuit && t <= StreamMailbox }

// maxWrite is the most that goes through the gate at once, fairWrite the most
// while other streams wait there.
const (
	maxWrite  = MaxCellsPerWrite * cell.Size
	fairWrite = CellsPerWrite * cell.Size
)

// Stream is one stream of a link, opened by either side. Reads, of any kind,
// take their turn, and so do writes; both may go on at once. A circuit's stream
// is used through the cell methods (cells.go), the others as byte streams.
type Stream struct {
	link *Link
	id   uint32
	mux  muxStream // set once, before the stream is handed out
	turn turn
	typ  StreamType // under link.mu until handed out

	// Under link.mu.
	outgoing bool // we opened it
	acked    bool // the peer accepted it
	offered  bool // type known, in link.arrived
	taken    bool // handed out by Accept
	sentEnd  bool // our half is closed
	gotEnd   bool // the peer's half is closed
	removed  bool // not in link.streams any more
	endedAt  time.Time

	received atomic.Int64 // bytes handed to the multiplexer
	consumed atomic.Int64 // bytes read
	unread   atomic.Int64 // bytes that the link's account has for it

	mu        sync.Mutex
	cond      sync.Cond
	reading   bool
	writing   bool
	controls  int  // control writers that wait
	closed    bool // Close was called
	ownerless bool // nobody was given it or will be; see disown
	halfEnded bool // CloseWrite or Close was called
	readDL    time.Time
	writeDL   time.Time
	windowing bool   // a writer waits for the window
	ending    bool   // Link.closeStreams is about to end our half
	last      []byte // what CloseWith leaves to be sent

	// The same; see Handler.
	handler  Handler
	handling bool // a goroutine calls it
	over     bool // nothing more will arrive
	told     bool // the handler knows that

	// The reader's.
	typeRead bool // the first byte was taken off
	have     bool // first holds a byte
	first    [1]byte

	// The writer's.
	typeSent atomic.Bool
	partial  int // bytes sent of an unfinished cell
}

func newStream(l *Link, id uint32) *Stream {
	s := &Stream{link: l, id: id}
	s.cond.L = &s.mu
	return s
}

// Type returns the stream's type.
func (s *Stream) Type() StreamType { return s.typ }

// Link returns the link the stream belongs to.
func (s *Stream) Link() *Link { return s.link }

// Buffered returns the bytes that arrived and were not read. Together with the
// peer's window they are at most 256 KiB.
func (s *Stream) Buffered() int { return int(s.received.Load() - s.consumed.Load()) }

// Shrink gives back the memory of an empty receive buffer.
func (s *Stream) Shrink() { s.mux.Shrink() }

// beginRead takes the reader's turn.
func (s *Stream) beginRead() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for (s.reading || s.ending) && !s.closed {
		s.cond.Wait()
	}
	if s.closed {
		return ErrStreamClosed
	}
	s.reading = true
	return nil
}

func (s *Stream) endRead() {
	s.mu.Lock()
	s.reading = false
	s.cond.Broadcast()
	s.mu.Unlock()
}

// beginWrite takes the writer's turn; control writers come first.
func (s *Stream) beginWrite(control bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if control {
		s.controls++
		defer func() { s.controls-- }()
	}
	for (s.writing || (!control && s.controls > 0)) && !s.halfEnded {
		s.cond.Wait()
	}
	if s.halfEnded {
		return ErrStreamClosed
	}
	s.writing = true
	return nil
}

func (s *Stream) endWrite() {
	s.mu.Lock()
	s.writing = false
	s.cond.Broadcast()
	s.mu.Unlock()
}

// Read reads what there is and waits if there is nothing. After the peer closed
// its half it returns io.EOF; if the link ended it returns the link's error.
func (s *Stream) Read(b []byte) (int, error) {
	if err := s.announce(); err != nil {
		return 0, err
	}
	if err := s.beginRead(); err != nil {
		return 0, err
	}
	defer s.endRead()
	return s.read(b)
}

// read is Read with the turn taken.
func (s *Stream) read(b []byte) (int, error) {
	if !s.outgoing && !s.typeRead {
		n, err := s.readMux(s.first[:])
		if n == 0 {
			return 0, err
		}
		s.typeRead = true
	}
	return s.readMux(b)
}

func (s *Stream) readMux(b []byte) (int, error) {
	n, err := s.mux.Read(b)
	for n == 0 && isWindow(err) && s.stepAside() {
		n, err = s.mux.Read(b)
	}
	if n > 0 {
		s.took(n)
		if isStalled(err) {
			s.link.fail(ErrStalled)
		}
		return n, nil
	}
	if err == nil {
		return 0, nil
	}
	return 0, s.readError(err)
}

// stepAside lends the reader's turn to end, if that is why a read was woken.
func (s *Stream) stepAside() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ending || s.closed {
		return false
	}
	s.reading = false
	s.cond.Broadcast()
	for s.ending || s.reading {
		s.cond.Wait()
	}
	s.reading = true
	return !s.closed
}

func (s *Stream) readError(err error) error {
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	switch {
	case closed:
		return ErrStreamClosed
	case isWindow(err):
		return os.ErrDeadlineExceeded
	case isReset(err):
		if lost := s.link.Err(); lost != nil {
			return lost
		}
		return ErrStreamReset
	case isStalled(err):
		s.link.fail(ErrStalled)
	case err == io.EOF && s.ended():
		return io.EOF
	}
	if lost := s.link.Err(); lost != nil {
		return lost
	}
	return ErrPeerClosed
}

// ended reports whether the peer closed its half. The multiplexer says EOF also
// when the link is lost.
func (s *Stream) ended() bool {
	s.link.mu.Lock()
	defer s.link.mu.Unlock()
	return s.gotEnd
}

// announce sends the type of a stream that we opened and have not written to:
// the peer must know of it before anything can come back.
func (s *Stream) announce() error {
	if s.typeSent.Load() || !s.outgoing {
		return nil
	}
	if err := s.beginWrite(false); err != nil {
		if err == ErrStreamClosed && !s.isClosed() {
			return nil // the sending half was closed before anything was sent
		}
		return err
	}
	defer s.endWrite()
	if s.typeSent.Load() {
		return nil
	}
	return s.send(nil, false)
}

func (s *Stream) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// Write sends all of b. It waits for the link and for the peer's window; Close
// and the write deadline end it.
func (s *Stream) Write(b []byte) (int, error) {
	if err := s.beginWrite(false); err != nil {
		return 0, err
	}
	defer s.endWrite()
	for done := 0; ; {
		n := min(len(b)-done, maxWrite)
		if err := s.send(b[done:done+n], false); err != nil {
			return done, err
		}
		if done += n; done == len(b) {
			return done, nil
		}
	}
}

// send writes b, at most maxWrite bytes, with the turn taken, through the gate.
// Inside the gate it never waits for the window: it writes what the window
// permits, leaves, waits outside by writing one byte, and comes back.
func (s *Stream) send(b []byte, control bool) error {
	b = s.withType(b)
	for len(b) > 0 {
		n, err := s.sendOnce(b, control)
		b = b[n:]
		if err == nil {
			continue
		}
		if err == ErrClosed {
			return s.link.Err()
		}
		if !isWindow(err) {
			return s.writeError(err)
		}
		if err := s.awaitWindow(b[:1]); err != nil {
			return err
		}
		s.partial = (s.partial + 1) % cell.Size
		b = b[1:]
	}
	return nil
}

// withType puts the type before the first bytes of a stream that we opened.
func (s *Stream) withType(b []byte) []byte {
	if !s.outgoing || s.typeSent.Load() {
		return b
	}
	s.partial--
	s.typeSent.Store(true)
	return append(append(make([]byte, 0, 1+len(b)), byte(s.typ)), b...)
}

// sendOnce passes the gate once and writes what its turn and the window permit.
func (s *Stream) sendOnce(b []byte, control bool) (int, error) {
	if !s.link.gate.enter(&s.turn, control) {
		return 0, ErrClosed
	}
	if !s.turn.alone {
		b = b[:min(len(b), fairWrite)]
	}
	n, err := s.mux.Write(b)
	s.link.gate.leave(&s.turn, n, time.Now())
	s.partial = (s.partial + n) % cell.Size
	return n, err
}

// awaitWindow writes one byte, which waits until the window opens.
func (s *Stream) awaitWindow(b []byte) error {
	s.mu.Lock()
	if s.halfEnded {
		s.mu.Unlock()
		return ErrStreamClosed
	}
	s.windowing = true
	_ = s.mux.SetWriteDeadline(s.writeDL)
	s.mu.Unlock()

	_, err := s.mux.Write(b)

	s.mu.Lock()
	s.windowing = false
	_ = s.mux.SetWriteDeadline(longAgo())
	s.mu.Unlock()
	if err != nil {
		return s.writeError(err)
	}
	return nil
}

func (s *Stream) writeError(err error) error {
	s.mu.Lock()
	closed := s.halfEnded
	s.mu.Unlock()
	switch {
	case isStalled(err):
		s.link.fail(ErrStalled)
		return ErrStalled
	case isReset(err):
		return ErrStreamReset
	case closed:
		return ErrStreamClosed
	case isWindow(err):
		return os.ErrDeadlineExceeded
	}
	if lost := s.link.Err(); lost != nil {
		return lost
	}
	return ErrStreamClosed
}

// SetReadDeadline ends pending and later reads at t; the zero time is none.
func (s *Stream) SetReadDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrStreamClosed
	}
	if s.readDL = t; s.ending {
		return nil
	}
	return s.mux.SetReadDeadline(t)
}

// SetWriteDeadline ends pending and later waits for the peer's window at t; the
// zero time is none. Waits for the link itself are bounded by WriteTimeout.
func (s *Stream) SetWriteDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.halfEnded {
		return ErrStreamClosed
	}
	s.writeDL = t
	if s.windowing {
		return s.mux.SetWriteDeadline(t)
	}
	return nil
}

// SetDeadline sets both deadlines.
func (s *Stream) SetDeadline(t time.Time) error {
	if err := s.SetReadDeadline(t); err != nil {
		return err
	}
	return s.SetWriteDeadline(t)
}

// CloseWrite ends the sending half; the peer reads what was written, then EOF.
// It does not wait for the link.
func (s *Stream) CloseWrite() error {
	s.mu.Lock()
	if s.halfEnded {
		s.mu.Unlock()
		return nil
	}
	s.halfEnded, s.ending = true, true
	_ = s.mux.SetWriteDeadline(longAgo())
	_ = s.mux.SetReadDeadline(longAgo()) // see end
	s.cond.Broadcast()
	s.mu.Unlock()
	s.link.closeLater(s)
	return nil
}

// Close ends both halves: pending and later calls fail with ErrStreamClosed,
// what was written still reaches the peer, what arrives is dropped. It does not
// wait for the link.
func (s *Stream) Close() error { return s.CloseWith(nil) }

// CloseWith is Close after the last cells of a circuit, which are sent if no
// unfinished cell stands before them and the peer's window has room; they are
// not waited for. cells is copied; four or more are not sent.
func (s *Stream) CloseWith(cells []byte) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	if len(cells) > 0 && len(cells) < fairWrite && !s.halfEnded { // one turn, the stream's type included
		s.last = bytes.Clone(cells)
	}
	s.closed, s.halfEnded = true, true
	s.settleLocked()
	s.handler = nil
	_ = s.mux.SetReadDeadline(longAgo())
	_ = s.mux.SetWriteDeadline(longAgo())
	s.cond.Broadcast()
	s.mu.Unlock()
	s.link.closeLater(s)
	return nil
}

// end closes the multiplexer's stream, in the link's closing goroutine. It
// takes both turns first: reads and closes share a lock inside the multiplexer,
// which a read holds while it waits to send a window update.
func (s *Stream) end() {
	s.mu.Lock()
	for s.writing || s.reading {
		s.cond.Wait()
	}
	s.writing, s.reading = true, true
	last := s.last
	s.last = nil
	s.mu.Unlock()

	start := time.Now()
	if len(last) > 0 && s.partial == 0 {
		_, _ = s.sendOnce(s.withType(last), true)
	}
	_ = s.mux.Close()
	s.discard()
	if time.Since(start) >= muxWriteTimeout {
		s.link.fail(ErrStalled) // the end may be lost
	}

	s.mu.Lock()
	s.writing, s.reading, s.ending = false, false, false
	if !s.closed {
		_ = s.mux.SetReadDeadline(s.readDL)
	}
	s.cond.Broadcast()
	s.mu.Unlock()
}

// discard drops what a stream that was closed has not read, so that the multiplexer does
// not keep it until the peer has closed the stream, too.
func (s *Stream) discard() {
	if !s.isClosed() || s.Buffered() <= 0 {
		return
	}
	room := make([]byte, discardSize)
	for s.Buffered() > 0 {
		n, err := s.mux.Read(room)
		s.consumed.Add(int64(n))
		if n == 0 || err != nil {
			break
		}
	}
	s.mux.Shrink()
}

// abandon tells readers that end will not come: the link is gone.
func (s *Stream) abandon() {
	s.mu.Lock()
	s.ending = false
	s.cond.Broadcast()
	s.mu.Unlock()
}
