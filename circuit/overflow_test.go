// SPDX-License-Identifier: BSD-3-Clause

package circuit

import (
	"errors"
	"testing"

	"chive/circuit/cell"
)

// largest is the largest answer to RESOLVE.
func largest() cell.Resolved {
	name := string(make([]byte, 0))
	for range cell.MaxHost {
		name += "n"
	}
	r := cell.Resolved{}
	for range 7 {
		r.Names = append(r.Names, name)
	}
	return r
}

// A client asks and asks and never reads an answer: the relay's circuit ends at
// a bound, whatever the owner does with errors.
func TestAClientThatNeverReadsAnswers(t *testing.T) {
	w := newPath(t, 1, DefaultParams())
	h := w.hops[0]
	var err error
	asked := 0
	for id := uint16(1); id <= 1000 && err == nil; id++ {
		say(&w.o.End, cell.Relay, msg(cell.TypeResolve, id, must(cell.Resolve{Name: "h"}.Append(nil))))
		if err = w.oneWayUp(); err != nil {
			break
		}
		asked++
		s := w.event(EventResolve).Stream
		_ = s.Resolved(largest()) // the error comes back with the next cell
		bounded(t, &h.End)
	}
	if !errors.Is(err, ErrOverflow) || asked < maxQueuedCells || asked > maxQueuedCells+2 {
		t.Fatalf("%d answers wait: %v", asked, err)
	}
	if ReasonOf(err) != ReasonBusy {
		t.Fatalf("reason %v", ReasonOf(err))
	}
	if h.Held() > (maxQueuedCells+1)*cell.Size {
		t.Fatalf("%d bytes held", h.Held())
	}
}

func TestAClientThatOnlyAsks(t *testing.T) {
	w := newPath(t, 1, DefaultParams())
	var err error
	asked := 0
	for id := uint16(1); id <= 1000 && err == nil; id++ {
		say(&w.o.End, cell.Relay, msg(cell.TypeResolve, id, must(cell.Resolve{Name: "h"}.Append(nil))))
		if err = w.oneWayUp(); err == nil {
			asked++
		}
	}
	if !errors.Is(err, ErrStreams) || asked != maxStreams || ReasonOf(err) != ReasonBusy {
		t.Fatalf("%d questions: %v", asked, err)
	}
}

// Streams that begin and end in one breath leave an END each.
func TestAClientThatBeginsAndGivesUpForEver(t *testing.T) {
	w := newPath(t, 1, DefaultParams())
	h := w.hops[0]
	var err error
	for id := uint16(1); id < 60000 && err == nil; {
		var m []cell.Message
		for range 100 {
			m = append(m, msg(cell.TypeBeginDir, id, nil), msg(cell.TypeEnd, id, cell.End{Direction: cell.EndBoth}.Append(nil)))
			id++
		}
		say(&w.o.End, cell.Relay, m...)
		err = w.oneWayUp()
		w.events[0] = nil
		bounded(t, &h.End)
	}
	if !errors.Is(err, ErrOverflow) {
		t.Fatalf("%v", err)
	}
}

func TestEventsNobodyFetchesAreBounded(t *testing.T) {
	w := newPath(t, 1, DefaultParams())
	h := w.hops[0]
	var err error
	for id := uint16(1); id < 5000 && err == nil; id++ {
		say(&w.o.End, cell.Relay, msg(cell.TypeBeginDir, id, nil), msg(cell.TypeEnd, id, cell.End{Direction: cell.EndBoth}.Append(nil)))
		w.clientWrites()
		_, err = h.Forward(w.now, deliver(&w.up[0]))
		h.Drop()
	}
	if !errors.Is(err, ErrOverflow) || len(h.events) != maxEvents {
		t.Fatalf("%d events: %v", len(h.events), err)
	}
	if n := len(h.Events()); n != maxEvents || h.Events() != nil {
		t.Fatalf("%d events", n)
	}
}

// Cells of the next hop wait within a bound even if their carrier looks at
// nothing.
func TestPassedCellsAreBounded(t *testing.T) {
	w := newPath(t, 2, DefaultParams())
	h := w.hops[0]
	var err error
	passed := 0
	for ; passed < 1000 && err == nil; passed++ {
		if h.Full() != (passed >= dataCells) {
			t.Fatalf("full %v at %d cells", h.Full(), passed)
		}
		err = h.Backward(relayCell())
	}
	if !errors.Is(err, ErrOverflow) || h.out.cells != maxQueuedCells {
		t.Fatalf("%d cells: %v", h.out.cells, err)
	}
}

// A client whose link stands still cannot open streams without end; those it has
// can still say what they owe.
func TestAskingStopsBeforeTheOutboxIsFull(t *testing.T) {
	w := newPath(t, 1, DefaultParams())
	early := make([]byte, cell.MaxEarly("example.org"))
	var streams []*Stream
	for {
		before := w.o.StreamCount()
		s, err := w.o.Begin(cell.Begin{Host: "example.org", Port: 80, Early: early})
		if err != nil {
			if !errors.Is(err, ErrOverflow) || s != nil || w.o.StreamCount() != before {
				t.Fatalf("%v", err)
			}
			break
		}
		streams = append(streams, s)
	}
	if len(streams) != maxAskingCells {
		t.Fatalf("%d streams", len(streams))
	}
	for _, s := range streams {
		if err := s.Abandon(EndTimeout); err != nil {
			t.Fatal(err)
		}
	}
	w.ok()
	if _, err := w.o.Begin(cell.Begin{Host: "example.org", Port: 80, Early: early}); err != nil {
		t.Fatalf("once the link moves again: %v", err)
	}
}

func TestAnEndThatDoesNotFitEndsTheCircuit(t *testing.T) {
	w := newPath(t, 1, DefaultParams())
	_, r := w.stream()
	for w.hops[0].out.cells < maxQueuedCells {
		say(&w.hops[0].End, cell.Relay)
	}
	if err := r.Abandon(EndDone); !errors.Is(err, ErrOverflow) {
		t.Fatal(err)
	}
	pad := make([]byte, cell.Size)
	pad[0] = byte(cell.Padding)
	if _, err := w.hops[0].Forward(w.now, pad); !errors.Is(err, ErrOverflow) {
		t.Fatalf("the next cell: %v", err)
	}
	w.hops[0].Destroy(ReasonBusy) // still goes out
	if w.hops[0].out.cells != maxQueuedCells+1 {
		t.Fatal("DESTROY did not fit")
	}
}

// Fragments of messages this end does not take are refused at the first piece:
// nothing is assembled for them.
func TestPiecesAreOnlyHeldForThoseWhoTakeThem(t *testing.T) {
	for kind := range 256 {
		if cell.FragmentLimit(cell.Type(kind)) == 0 {
			continue
		}
		w := newPath(t, 1, DefaultParams())
		m := msg(cell.Type(kind), 0, make([]byte, 1000))
		m.More = true
		say(&w.o.End, cell.Relay, m)
		w.refused()
		if w.hops[0].asm.Open() {
			t.Fatalf("type %#x is held", kind)
		}
	}
	w := newPath(t, 1, DefaultParams())
	h := w.hops[0]
	const put = cell.Type(0x54)
	h.fragments = func(t cell.Type) bool { return t == put }
	m := msg(put, 3, make([]byte, 1000))
	m.More = true
	say(&w.o.End, cell.Relay, m)
	w.ok()
	if !h.asm.Open() {
		t.Fatal("a piece this end takes is not held")
	}
	w.now = w.now.Add(assemblyLife)
	say(&w.o.End, cell.Relay, m)
	w.ok()
	w.now = w.now.Add(1)
	say(&w.o.End, cell.Relay, m)
	w.refused()
}

func TestHeldCountsWhatWaits(t *testing.T) {
	w := newPath(t, 1, DefaultParams())
	if n := w.o.Held(); n != 0 {
		t.Fatalf("%d bytes on an idle circuit", n)
	}
	c, r := w.stream()
	u, ur := w.udp()
	if n, err := c.Put(make([]byte, 10000)); n != 10000 || err != nil {
		t.Fatal(err)
	}
	if n := w.o.Held(); n != 5*cell.Size {
		t.Fatalf("%d bytes in 5 cells", n)
	}
	w.ok()
	if n := w.last().Held(); n < 10000 || w.o.Held() != 0 {
		t.Fatalf("%d bytes received", n)
	}
	for range 100 {
		if err := u.PutDatagram(w.now, cell.Datagram{Host: "h", Port: 1, Payload: make([]byte, 1000)}); err != nil {
			t.Fatal(err)
		}
	}
	if n := w.o.Held(); n < 60000 {
		t.Fatalf("%d bytes of datagrams", n)
	}
	_, _ = r, ur
}
