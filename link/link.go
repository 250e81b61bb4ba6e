// SPDX-License-Identifier: BSD-3-Clause

package link

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"io"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Link is an authenticated, encrypted connection to one neighbour that carries
// streams. Its methods are safe for concurrent use. It owns two goroutines, a
// third while it is in use, and a timer, which end when it does.
type Link struct {
	cfg       Config
	initiator bool
	peer      *Certificate // nil: a client
	known     atomic.Bool  // it has a relay's limits
	hash      [32]byte
	start     time.Time
	wire      *wire
	mux       multiplexer
	gate      *gate
	done      chan struct{}

	moved         atomic.Int64 // data of frames, both directions
	movedAtTick   atomic.Int64
	movedAtShrink atomic.Int64

	flood controlBucket // the reader's
	ripe  []*Stream     // the reader's: data for them is on its way to the multiplexer

	mu       sync.Mutex
	cond     sync.Cond // streams arrived, or the link ended
	err      error
	streams  map[uint32]*Stream
	fresh    map[uint32]*Stream // opened by the peer, not yet taken from the multiplexer
	arrived  []*Stream          // type known, to be accepted
	incoming int                // streams of the peer
	outgoing int                // streams of ours
	waiting  int                // the peer's that Accept has not returned
	inflight int                // ours that the peer has not accepted
	refused  int                // since refusedAt
	refuseAt time.Time
	taking   bool // an Accept is at the multiplexer
	lastUsed time.Time
	closeq   []*Stream
	closing  bool // the closing goroutine runs
	ended    []*Stream
	timer    *time.Timer
	after    []func() // to be called when the link has ended
}

// Dial connects over t and makes a link as the initiator. Both together take at
// most as long as ctx, and the handshake HandshakeTimeout.
// Errors: those of errors.go, Config.Verify's, context.Canceled.
func Dial(ctx context.Context, t Transport, addr netip.AddrPort, cfg Config) (*Link, error) {
	conn, err := t.Dial(ctx, addr)
	if err != nil {
		return nil, classify(err)
	}
	return Client(ctx, conn, cfg)
}

// Client makes a link over conn as the initiator. conn is the link's
// afterwards, and closed on an error. Errors as Dial.
func Client(ctx context.Context, conn net.Conn, cfg Config) (*Link, error) {
	return establish(ctx, conn, cfg, true)
}

// Server makes a link over conn as the responder, which needs an Identity. conn
// is the link's afterwards, and closed on an error. Errors as Dial.
func Server(ctx context.Context, conn net.Conn, cfg Config) (*Link, error) {
	if cfg.Identity == nil {
		conn.Close()
		return nil, ErrConfig
	}
	return establish(ctx, conn, cfg, false)
}

func establish(ctx context.Context, conn net.Conn, cfg Config, initiator bool) (*Link, error) {
	cfg = cfg.withDefaults()
	tune(conn)
	now := time.Now()
	_ = conn.SetDeadline(now.Add(HandshakeTimeout))
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(longAgo()) })
	var h *handshake
	var err error
	if initiator {
		h, err = initiate(conn, &cfg, now)
	} else {
		h, err = respond(conn, &cfg, now)
	}
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		conn.Close()
		if ctx.Err() != nil {
			err = classify(ctx.Err())
		}
		return nil, err
	}
	_ = conn.SetDeadline(time.Time{})
	return newLink(conn, cfg, h, initiator)
}

// initiate runs the initiator's side of a handshake. It reads fixed sizes only.
func initiate(conn net.Conn, cfg *Config, now time.Time) (*handshake, error) {
	h, err := newHandshake(cfg, cfg.Suite, true, now)
	if err != nil {
		return nil, err
	}
	flight, err := h.start()
	if err != nil {
		return nil, err
	}
	if _, err := conn.Write(flight); err != nil {
		return nil, handshakeError(err)
	}
	m2 := make([]byte, Message2Size)
	if _, err := io.ReadFull(conn, m2); err != nil {
		return nil, handshakeError(err)
	}
	m3, err := h.finish(m2)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Write(m3); err != nil {
		return nil, handshakeError(err)
	}
	return h, nil
}

// respond runs the responder's side of a handshake. It reads fixed sizes only.
func respond(conn net.Conn, cfg *Config, now time.Time) (*handshake, error) {
	m1 := make([]byte, HelloSize+Message1Size)
	if _, err := io.ReadFull(conn, m1[:HelloSize]); err != nil {
		return nil, handshakeError(err)
	}
	if m1[1] != version {
		return nil, ErrHandshake
	}
	h, err := newHandshake(cfg, Suite(m1[0]), false, now)
	if err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(conn, m1[HelloSize:]); err != nil {
		return nil, handshakeError(err)
	}
	m2, err := h.answer(m1[HelloSize:])
	if err != nil {
		return nil, err
	}
	if _, err := conn.Write(m2); err != nil {
		return nil, handshakeError(err)
	}
	m3 := m1[:Message3Size]
	if _, err := io.ReadFull(conn, m3); err != nil {
		return nil, handshakeError(err)
	}
	return h, h.accept(m3)
}

// handshakeError classifies a broken connection: to close is how a peer says
// that it does not like a handshake.
func handshakeError(err error) error {
	if c := classify(err); c != ErrConnection {
		return c
	}
	return ErrHandshake
}

func newLink(conn net.Conn, cfg Config, h *handshake, initiator bool) (*Link, error) {
	now := time.Now()
	l := &Link{
		cfg:       cfg,
		initiator: initiator,
		peer:      h.peer,
		hash:      h.hash,
		start:     now,
		gate:      newGate(cfg.HalfLife, now),
		done:      make(chan struct{}),
		flood:     controlBucket{tokens: ControlFrameBurst, at: now},
		streams:   make(map[uint32]*Stream),
		fresh:     make(map[uint32]*Stream),
		lastUsed:  now,
	}
	l.cond.L = &l.mu
	l.isRelay()
	l.wire = newWire(l, conn, h.send, h.recv)
	mux, err := newYamux(l.wire, initiator)
	if err != nil {
		conn.Close()
		return nil, ErrConfig
	}
	l.mux = mux
	l.mu.Lock()
	l.timer = time.AfterFunc(cfg.KeepAlive, l.tick)
	l.mu.Unlock()
	return l, nil
}

// Peer returns the identity that the peer proved. For a client relay is false
// and identity nil.
func (l *Link) Peer() (identity ed25519.PublicKey, relay bool) {
	if l.peer == nil {
		return nil, false
	}
	return bytes.Clone(l.peer.Identity), true
}

// isRelay reports whether the link has a relay's limits: who is no relay yet may have
// become one.
func (l *Link) isRelay() bool {
	if !l.known.Load() && l.peer != nil && (l.cfg.Known == nil || l.cfg.Known(l.peer.Identity)) {
		l.known.Store(true)
	}
	return l.known.Load()
}

// Initiator reports whether this side dialled.
func (l *Link) Initiator() bool { return l.initiator }

// HandshakeHash returns the hash of the handshake, equal on both sides and
// different for every link.
func (l *Link) HandshakeHash() [32]byte { return l.hash }

// LocalAddr returns the connection's own address.
func (l *Link) LocalAddr() net.Addr { return l.wire.conn.LocalAddr() }

// RemoteAddr returns the connection's peer address.
func (l *Link) RemoteAddr() net.Addr { return l.wire.conn.RemoteAddr() }

// Done is closed when the link has ended.
func (l *Link) Done() <-chan struct{} { return l.done }

// Err returns why the link ended, nil while it has not.
func (l *Link) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// Quiet returns for how long nothing has come from the peer, padding included.
func (l *Link) Quiet() time.Duration {
	return time.Since(l.start) - time.Duration(l.wire.lastIn.Load())
}

// Streams returns the number of open streams, and since when there are none.
func (l *Link) Streams() (open int, idleSince time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.streams), l.lastUsed
}

// Pad queues n records that carry nothing, at most maxPadding in all; they look
// like any other. Spec: protocol §1
func (l *Link) Pad(n int) { l.wire.pad(n) }

// Close ends the link and all its streams. What is queued is still sent, for
// at most a second. It does not wait.
func (l *Link) Close() error {
	l.end(ErrClosed, false)
	return nil
}

// fail ends the link at once; the first reason counts.
func (l *Link) fail(err error) { l.end(err, true) }

func (l *Link) end(err error, hard bool) {
	l.mu.Lock()
	if l.err != nil {
		l.mu.Unlock()
		return
	}
	l.err = err
	if l.timer != nil {
		l.timer.Stop()
	}
	close(l.done)
	l.cond.Broadcast()
	after := l.after
	l.after = nil
	streams := slices.Collect(maps.Values(l.streams))
	for _, s := range streams {
		if s.unownedLocked() {
			s.disown()
		}
	}
	l.mu.Unlock()
	l.gate.close()
	if hard {
		l.wire.kill()
	} else {
		l.wire.finish()
	}
	l.wire.settle()
	for _, s := range streams {
		s.wake(true)
	}
	for _, f := range after {
		f()
	}
}

// whenEnded calls f once the link has ended, at once if it has. f must not block.
func (l *Link) whenEnded(f func()) {
	l.mu.Lock()
	ended := l.err != nil
	if !ended {
		l.after = append(l.after, f)
	}
	l.mu.Unlock()
	if ended {
		f()
	}
}

// Open opens a stream of type t. The type goes out with the first write, or
// before the first read. Errors: ErrBusy if MaxOpenStreams are open or
// MaxWaitingStreams not accepted by the peer yet; the link's.
func (l *Link) Open(t StreamType) (*Stream, error) {
	if !t.known() {
		return nil, ErrConfig
	}
	l.mu.Lock()
	switch {
	case l.err != nil:
		l.mu.Unlock()
		return nil, l.Err()
	case l.outgoing >= MaxOpenStreams || l.inflight >= MaxWaitingStreams:
		l.mu.Unlock()
		return nil, ErrBusy
	}
	l.inflight++
	l.mu.Unlock()
	m, err := l.mux.open() // sending registers the stream
	if err != nil {
		l.mu.Lock()
		l.inflight--
		l.mu.Unlock()
		if isStalled(err) {
			l.fail(ErrStalled)
		}
		if lost := l.Err(); lost != nil {
			return nil, lost
		}
		return nil, ErrBusy // stream numbers ran out
	}
	l.mu.Lock()
	s := l.streams[m.StreamID()]
	if s == nil {
		l.mu.Unlock()
		return nil, ErrStreamReset // the peer was quicker
	}
	s.mux, s.typ = m, t
	l.mu.Unlock()
	_ = m.SetWriteDeadline(longAgo()) // see Stream.send
	return s, nil
}

// Accept waits for the next stream that the peer opened and gave a known type.
// Streams of unknown types are reset. It fails when the link ends.
func (l *Link) Accept() (*Stream, StreamType, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		if l.err != nil {
			return nil, 0, l.err
		}
		if !l.taking && len(l.arrived) > 0 && l.arrived[0].mux != nil {
			s := l.arrived[0]
			l.arrived[0] = nil
			l.arrived = l.arrived[1:]
			s.taken = true
			l.waiting--
			return s, s.typ, nil
		}
		if l.taking || len(l.fresh) == 0 {
			l.cond.Wait()
			continue
		}
		if err := l.takeLocked(); err != nil {
			return nil, 0, err
		}
	}
}

// takeLocked takes the next stream from the multiplexer, which has one or is
// about to. It gives the lock up meanwhile.
func (l *Link) takeLocked() error {
	l.taking = true
	l.mu.Unlock()
	m, err := l.mux.accept()
	if isStalled(err) {
		l.fail(ErrStalled)
	}
	l.mu.Lock()
	l.taking = false
	l.cond.Broadcast()
	if err != nil {
		if l.err == nil {
			return ErrPeerClosed
		}
		return l.err
	}
	_ = m.SetWriteDeadline(longAgo()) // see Stream.send
	if s := l.fresh[m.StreamID()]; s != nil {
		s.mux = m
		delete(l.fresh, m.StreamID())
	}
	return nil
}
