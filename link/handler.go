// SPDX-License-Identifier: BSD-3-Clause

package link

import "chive/circuit/cell"

// Handler takes the cells of a stream as they arrive, so that no goroutine waits for
// them: an idle circuit costs its state and no stack.
//
// The stream starts a goroutine when there is something to take and none runs:
//
//	idle     no goroutine. What arrives makes it running.
//	running  one goroutine, which calls Arrived for as long as there is something.
//	         What arrives changes nothing; it is seen by the next look.
//	over     Arrived returned true, or the stream was closed. For good.
//
// Every change is made under Stream.mu, and so is the goroutine's last look before it
// becomes idle. What arrives is counted (Link.receiving) before the stream looks
// whether it is idle (wake), so one of the two looks sees it: no wake-up is lost.
// Data wakes when the multiplexer has stored it (Link.ripen), an end at once; the
// link's own end wakes every stream. Who does not return from Arrived stops the
// reading, and the multiplexer's window then stops the peer. A peer can start as many
// goroutines as it may have streams, no more.
type Handler interface {
	// Arrived is called, by one goroutine at a time, when ReadCells need not wait
	// for the peer: a whole cell is there, or no more will come. It returns true
	// when it wants to hear no more; once ReadCells has failed it must. It may block.
	Arrived() (done bool)
	// Ended is called once, when the peer has ended or reset the stream or the link
	// is gone: what Arrived does not find there already will not come. Arrived may
	// be running, or be over, or be called later. It must not block.
	Ended()
}

// Handle gives the stream's cells to h from now on. Nobody else reads then. It is
// called once.
func (s *Stream) Handle(h Handler) {
	s.mu.Lock()
	if !s.closed {
		s.handler = h
	}
	s.mu.Unlock()
	s.wake(s.link.Err() != nil)
}

// Stop has the handler called once more although nothing has arrived: its owner wants it
// to return true.
func (s *Stream) Stop() { s.wake(true) }

// Join waits until no Arrived runs. Behind Close none is called any more. It must not
// be called inside Arrived of the same stream.
func (s *Stream) Join() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.handling {
		s.cond.Wait()
	}
}

// wake looks whether a handler has to be started. over says that nothing more will
// arrive. It is called without locks, after what arrived was counted.
func (s *Stream) wake(over bool) {
	s.mu.Lock()
	s.over = s.over || over
	h := s.handler
	tell := h != nil && s.over && !s.told
	s.told = s.told || tell
	if h != nil && !s.handling && s.readyLocked() {
		s.handling = true
		go s.handle(h)
	}
	s.mu.Unlock()
	if tell {
		h.Ended()
	}
}

// readyLocked reports whether ReadCells need not wait for the peer. Nobody reads.
func (s *Stream) readyLocked() bool {
	need := cell.Size
	if !s.outgoing && !s.typeRead {
		need++
	}
	if s.have {
		need--
	}
	return s.over || s.Buffered() >= need
}

// handle calls h until there is nothing left to take.
func (s *Stream) handle(h Handler) {
	growStack()
	for done := false; ; done = h.Arrived() {
		s.mu.Lock()
		if done {
			s.handler = nil
		}
		if s.handler == nil || !s.readyLocked() {
			s.handling = false
			s.cond.Broadcast()
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
	}
}

// stackRoom is what growStack asks for. A stack doubles until it fits, so that a
// fresh one grows to 8 KiB, which is enough for a handler that passes cells on.
const stackRoom = 3 << 10

// growStack gives a fresh goroutine the stack that a handler needs in one step, while
// there is next to nothing on it to move: grown ten calls deep it cost more than all
// else about a handler's start.
//
//go:noinline
func growStack() {
	var room [stackRoom]byte
	keepRoom(&room)
}

//go:noinline
func keepRoom(*[stackRoom]byte) {}
