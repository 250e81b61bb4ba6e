// SPDX-License-Identifier: BSD-3-Clause

package link

import (
	"slices"
	"time"
)

// verdict is what becomes of a frame that arrived.
type verdict byte

const (
	drop         verdict = iota
	deliver              // to the multiplexer
	deliverFlags         // without its data
)

// controlBucket bounds frames without data. Spec: security B6
type controlBucket struct {
	tokens float64
	at     time.Time
	moved  int64 // Link.moved at that time
}

// take pays for one frame without data.
func (b *controlBucket) take(now time.Time, moved int64) bool {
	b.tokens += ControlFramesPerSecond*now.Sub(b.at).Seconds() + float64(moved-b.moved)/ControlFrameBytes
	b.tokens = min(b.tokens, ControlFrameBurst)
	b.at, b.moved = now, moved
	b.tokens--
	return b.tokens >= 0
}

// sending sees every frame's header before the multiplexer's sending goroutine
// queues it: a stream that we open is known before the peer can answer.
func (l *Link) sending(h frame) {
	if h.kind == frameData {
		l.moved.Add(int64(h.length))
	}
	if h.flags&flagSYN != 0 {
		s := newStream(l, h.stream)
		s.outgoing = true
		l.mu.Lock()
		l.streams[h.stream] = s
		l.outgoing++
		l.mu.Unlock()
	}
}

// receiving judges every frame before the multiplexer sees it. first is the
// first byte of its data. An error ends the link.
func (l *Link) receiving(h frame, first byte) (verdict, error) {
	if h.kind == frameData && h.length > 0 {
		l.moved.Add(int64(h.length))
	} else if !l.flood.take(time.Now(), l.moved.Load()) {
		return drop, ErrFlood
	}
	switch h.kind {
	case framePing:
		return drop, nil // liveness is the link's own; no answer
	case frameGoAway:
		return drop, ErrPeerClosed
	}
	var over *Stream
	defer func() {
		if over != nil {
			over.wake(true)
		}
	}()
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.streams[h.stream]
	if h.flags&flagSYN != 0 {
		// The initiator's numbers are odd.
		if s != nil || h.stream == 0 || (h.stream%2 == 1) == l.initiator {
			return drop, ErrProtocol
		}
		if !l.admitLocked() {
			return drop, l.refuseLocked(nil, h.stream)
		}
		s = newStream(l, h.stream)
		s.ownerless = l.err != nil // nobody is given streams any more
		l.streams[h.stream] = s
		l.fresh[h.stream] = s
		l.incoming++
		l.waiting++
		l.cond.Broadcast()
	}
	if s == nil {
		return drop, nil // of a stream that is over
	}
	if h.flags&flagACK != 0 {
		if !s.outgoing || s.acked {
			return drop, ErrProtocol
		}
		s.acked = true
		l.inflight--
	}
	if h.flags&flagRST != 0 {
		l.removeLocked(s)
		over = s
		return deliverFlags, nil
	}
	hasData := h.kind == frameData && h.length > 0
	if hasData && s.gotEnd {
		return drop, ErrProtocol
	}
	if !s.outgoing && !s.offered {
		if hasData {
			if s.typ = StreamType(first); !s.typ.known() {
				return drop, l.refuseLocked(s, s.id)
			}
			s.offered = true
			l.arrived = append(l.arrived, s)
			l.cond.Broadcast()
		} else if h.flags&flagFIN != 0 {
			return drop, l.refuseLocked(s, s.id) // it ended without a type
		}
	}
	if h.flags&flagFIN != 0 {
		if s.gotEnd {
			return drop, ErrProtocol
		}
		s.gotEnd = true
		over = s
		if s.sentEnd {
			l.removeLocked(s)
		}
	}
	if hasData {
		if !s.admit(int(h.length)) {
			return deliverFlags, nil
		}
		l.ripe = append(l.ripe, s)
	}
	return deliver, nil
}

// ripen wakes the handlers of streams whose data the multiplexer has stored by now:
// it has asked for more. Woken before, they would run into its reading of a frame.
// partial says that it has not got all of the last one yet.
func (l *Link) ripen(partial bool) {
	n := len(l.ripe)
	if partial {
		n--
	}
	if n <= 0 {
		return
	}
	for _, s := range l.ripe[:n] {
		s.wake(false)
	}
	if cap(l.ripe) > maxRipe {
		l.ripe = append([]*Stream(nil), l.ripe[n:]...)
		return
	}
	l.ripe = slices.Delete(l.ripe, 0, n)
}

// admitLocked reports whether the peer may open one more stream. Spec: security B5
func (l *Link) admitLocked() bool {
	room := l.incoming < MaxClientStreams || l.incoming < MaxRelayStreams && l.isRelay()
	return room && max(l.waiting, len(l.fresh)) < MaxWaitingStreams
}

// refuseLocked resets a stream; s is nil if the multiplexer does not know it.
// Too many refusals end the link.
func (l *Link) refuseLocked(s *Stream, id uint32) error {
	now := time.Now()
	if now.Sub(l.refuseAt) >= time.Minute {
		l.refuseAt, l.refused = now, 0
	}
	if l.refused++; l.refused > MaxResetsPerMinute {
		return ErrFlood
	}
	l.resetLocked(s, id)
	return nil
}

// resetLocked tells both ends of a stream that it is over.
func (l *Link) resetLocked(s *Stream, id uint32) {
	if s != nil {
		l.removeLocked(s)
		l.wire.deliverReset(id)
	}
	l.wire.sendReset(id)
}

// removeLocked forgets a stream that is over in both directions.
func (l *Link) removeLocked(s *Stream) {
	if s.removed {
		return
	}
	s.removed = true
	delete(l.streams, s.id)
	if s.unownedLocked() {
		s.disown()
	}
	if s.outgoing {
		l.outgoing--
		if !s.acked {
			l.inflight--
		}
	} else {
		l.incoming--
		if !s.taken {
			l.waiting--
			for i, a := range l.arrived {
				if a == s {
					l.arrived = append(l.arrived[:i:i], l.arrived[i+1:]...)
					break
				}
			}
		}
	}
	if len(l.streams) == 0 {
		l.lastUsed = time.Now()
	}
}

// closeLater has a stream's end sent by a goroutine that runs while there are
// any to send: the multiplexer waits for the connection then, and our callers
// must not.
func (l *Link) closeLater(s *Stream) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		s.abandon()
		return
	}
	l.closeq = append(l.closeq, s)
	if !l.closing {
		l.closing = true
		go l.closeStreams()
	}
}

func (l *Link) closeStreams() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.closeq) > 0 && l.err == nil {
		s := l.closeq[0]
		l.closeq[0] = nil
		l.closeq = l.closeq[1:]
		l.mu.Unlock()
		s.end()
		closed := s.isClosed()
		l.mu.Lock()
		s.sentEnd = true
		switch {
		case s.removed:
		case s.gotEnd:
			l.removeLocked(s)
		case closed && s.endedAt.IsZero():
			s.endedAt = time.Now()
			l.ended = append(l.ended, s)
		}
	}
	for _, s := range l.closeq {
		s.abandon()
	}
	l.closeq = nil
	l.closing = false
}

// tick does what has to be done now and then: it sends padding on a silent
// link, closes one whose peer is silent, resets streams whose peer does not
// close them, and gives the memory of an idle link back.
func (l *Link) tick() {
	now := time.Since(l.start)
	in, out := time.Duration(l.wire.lastIn.Load()), time.Duration(l.wire.lastOut.Load())
	if now-in >= l.cfg.Silence {
		l.fail(ErrSilent)
		return
	}
	if now-out >= l.cfg.KeepAlive {
		l.wire.pad(1)
		out = now
	}
	next := min(in+l.cfg.Silence, out+l.cfg.KeepAlive) - now
	if moved := l.moved.Load(); moved == l.movedAtTick.Swap(moved) {
		l.wire.release()
	}

	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return
	}
	kept := l.ended[:0]
	for _, s := range l.ended {
		switch {
		case s.removed:
		case time.Since(s.endedAt) >= lingerTime:
			l.resetLocked(s, s.id)
		default:
			kept = append(kept, s)
		}
	}
	clear(l.ended[len(kept):])
	l.ended = kept
	if len(kept) > 0 {
		next = min(next, lingerTime)
	}
	l.timer.Reset(max(next, time.Millisecond))
}
