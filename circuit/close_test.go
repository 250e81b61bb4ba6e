// SPDX-License-Identifier: BSD-3-Clause

package circuit

import (
	"bytes"
	"errors"
	"testing"

	"chive/circuit/cell"
)

// gone carries all cells and fails the test unless the stream is over on both
// sides.
func (w *path) gone(c, r *Stream) {
	w.t.Helper()
	w.ok()
	if !c.Over() || !r.Over() {
		w.t.Fatalf("over: client %v, relay %v", c.Over(), r.Over())
	}
	if n, m := w.o.StreamCount(), w.last().StreamCount(); n != 0 || m != 0 {
		w.t.Fatalf("%d and %d streams are left", n, m)
	}
}

// failure returns the reason of a stream's error, and fails if there is none.
func failure(t tester, s *Stream) StreamError {
	t.Helper()
	var e *StreamError
	if !errors.As(s.Err(), &e) {
		t.Fatalf("error %v", s.Err())
	}
	return *e
}

func TestAHalfClosedStreamStaysHalfClosed(t *testing.T) {
	for name, sides := range map[string]func(c, r *Stream) (first, second *Stream){
		"the client first": func(c, r *Stream) (*Stream, *Stream) { return c, r },
		"the relay first":  func(c, r *Stream) (*Stream, *Stream) { return r, c },
	} {
		t.Run(name, func(t *testing.T) {
			w := newPath(t, 2, DefaultParams())
			c, r := w.stream()
			first, second := sides(c, r)
			last := pattern(30000, 4)
			if n, err := first.Put(last); err != nil || n != len(last) {
				t.Fatalf("%d, %v", n, err)
			}
			if err := first.CloseSend(); err != nil {
				t.Fatal(err)
			}
			if err := first.CloseSend(); err != nil {
				t.Fatalf("CloseSend twice: %v", err)
			}
			if _, err := first.Put([]byte("x")); !errors.Is(err, ErrState) {
				t.Fatalf("data after CloseSend: %v", err)
			}
			w.ok()
			if !bytes.Equal(take(t, second), last) || !second.EOF() || second.Over() || second.Err() != nil {
				t.Fatal("what was sent before END did not arrive, or END did not")
			}
			// The other direction still carries as much as it likes.
			more := pattern(1<<20, 5)
			if !bytes.Equal(w.put(second, first, more), more) {
				t.Fatal("the open direction carries other bytes")
			}
			if err := second.CloseSend(); err != nil {
				t.Fatal(err)
			}
			w.gone(c, r)
			if !first.EOF() || first.Err() != nil || second.Err() != nil {
				t.Fatalf("errors %v, %v", first.Err(), second.Err())
			}
		})
	}
}

func TestAbandonEndsBothDirections(t *testing.T) {
	for reason, want := range map[EndReason]EndReason{EndDone: EndReset, EndRefused: EndRefused, EndPolicy: EndPolicy, 200: EndInternal} {
		for _, atClient := range []bool{true, false} {
			w := newPath(t, 2, DefaultParams())
			c, r := w.stream()
			near, far := c, r
			if !atClient {
				near, far = r, c
			}
			if _, err := near.Put([]byte("before")); err != nil {
				t.Fatal(err)
			}
			if _, err := far.Put([]byte("on its way")); err != nil {
				t.Fatal(err)
			}
			if err := near.Abandon(reason); err != nil {
				t.Fatal(err)
			}
			if err := near.Abandon(reason); err != nil {
				t.Fatalf("Abandon twice: %v", err)
			}
			if _, err := near.Put([]byte("x")); err == nil {
				t.Fatal("data after Abandon")
			}
			w.gone(c, r)
			if string(take(t, far)) != "before" {
				t.Fatal("what was sent before is lost")
			}
			if near.Buffered() != 0 || near.EOF() {
				t.Fatal("what came after is kept, or passes for an end in order")
			}
			if far.EOF() != (reason == EndDone) {
				t.Fatalf("reason %d: a complete sending is %v", reason, far.EOF())
			}
			if e := failure(t, far); e.Reason != want || !e.Remote {
				t.Fatalf("reason %d arrived as %+v", reason, e)
			}
			if e := failure(t, near); e.Reason != reason || e.Remote {
				t.Fatalf("%+v", e)
			}
			if _, err := far.Put([]byte("x")); err == nil {
				t.Fatal("data to a side that takes none")
			}
		}
	}
}

// Every order in which two sides can half-close and give up ends with both
// tables empty and no side offended, whatever crosses on the way.
// Spec: protocol §5 (STR-2).
func TestEveryOrderOfEndsClosesTheStream(t *testing.T) {
	type act struct {
		name string
		do   func(*Stream) error
	}
	acts := []act{
		{"half-close", (*Stream).CloseSend},
		{"give up", func(s *Stream) error { return s.Abandon(EndDone) }},
		{"reset", func(s *Stream) error { return s.Abandon(EndReset) }},
		{"send", func(s *Stream) error { _, _ = s.Put([]byte("data")); return nil }},
	}
	// A script is for each step who acts, what it does, and whether cells are
	// carried before the next: 3 steps of 2 * 4 * 2.
	const choices = 16
	for script := range choices * choices * choices {
		w := newPath(t, 1, DefaultParams())
		c, r := w.stream()
		var did []string
		for k := script; len(did) < 3; k /= choices {
			s, who := c, "client"
			if k&1 == 1 {
				s, who = r, "relay"
			}
			a := acts[k>>1&3]
			did = append(did, who+" "+a.name)
			if err := a.do(s); err != nil {
				t.Fatalf("%q: %v", did, err)
			}
			if k>>3&1 == 1 {
				if err := w.run(); err != nil {
					t.Fatalf("%q: %v", did, err)
				}
			}
		}
		for _, s := range []*Stream{c, r} {
			if err := s.CloseSend(); err != nil {
				t.Fatalf("%q: %v", did, err)
			}
		}
		if err := w.run(); err != nil {
			t.Fatalf("%q: %v", did, err)
		}
		if !c.Over() || !r.Over() || w.o.StreamCount()+w.last().StreamCount() != 0 {
			t.Fatalf("%q: the stream is left, over %v and %v", did, c.Over(), r.Over())
		}
	}
}

func TestAnAbandonedStreamLingersUntilTheOtherSideAnswers(t *testing.T) {
	w := newPath(t, 1, DefaultParams())
	c, r := w.stream()
	down := pattern(200<<10, 6)
	n, err := r.Put(down)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Abandon(EndDone); err != nil {
		t.Fatal(err)
	}
	w.hopWrites(0)
	for len(w.down[0]) > 0 {
		if _, err := w.clientSideReads(0); err != nil {
			t.Fatal(err)
		}
	}
	if w.o.StreamCount() != 1 || c.Buffered() != 0 || c.recvCredit >= w.o.params.CreditSize || n == 0 {
		t.Fatalf("%d streams, %d bytes kept, credit %d", w.o.StreamCount(), c.Buffered(), c.recvCredit)
	}
	w.gone(c, r)
}

// CREDIT and the END that takes no more may cross the END that closed the
// stream. Nothing else may, and never for a stream that was not opened.
func TestWhatMayCrossTheEndOfAStream(t *testing.T) {
	late := map[string]cell.Message{
		"credit":   msg(cell.TypeCredit, 1, cell.AppendCredit(nil, 1)),
		"end both": msg(cell.TypeEnd, 1, cell.End{Direction: cell.EndBoth}.Append(nil)),
	}
	for name, m := range late {
		w := newPath(t, 1, DefaultParams())
		c, r := w.stream()
		if err := c.CloseSend(); err != nil {
			t.Fatal(err)
		}
		if err := r.CloseSend(); err != nil {
			t.Fatal(err)
		}
		w.gone(c, r)
		say(&w.hops[0].End, cell.Relay, m)
		say(&w.o.End, cell.Relay, m)
		w.ok()
		for _, never := range []uint16{0, 2, 65535} {
			for _, atClient := range []bool{true, false} {
				w := newPath(t, 1, DefaultParams())
				w.stream()
				m := m
				m.Stream = never
				e := &w.o.End
				if !atClient {
					e = &w.hops[0].End
				}
				say(e, cell.Relay, m)
				if err := w.run(); !errors.Is(err, ErrProtocol) {
					t.Errorf("%s for stream %d: %v", name, never, err)
				}
			}
		}
	}
}

func TestCloseSendWakesAWriter(t *testing.T) {
	w := newPath(t, 1, lowParams())
	c, _ := w.stream()
	var told bool
	for {
		n, err := c.Put(make([]byte, 1<<16))
		if err != nil {
			t.Fatal(err)
		}
		w.ok()
		if n == 0 {
			break // out of credit: only CREDIT would tell
		}
	}
	c.Notify = func(_, writable bool) { told = told || writable }
	if err := c.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if !told {
		t.Fatal("a writer out of credit sleeps on")
	}
}

func TestFailEndsEveryStream(t *testing.T) {
	w := newPath(t, 1, DefaultParams())
	c1, r1 := w.stream() // gets data and END, then the circuit goes
	c2, r2 := w.stream() // gets data only
	c3, _ := w.stream()  // waits to write
	for _, r := range []*Stream{r1, r2} {
		if _, err := r.Put([]byte("data")); err != nil {
			t.Fatal(err)
		}
	}
	if err := r1.CloseSend(); err != nil {
		t.Fatal(err)
	}
	w.ok()
	if _, err := c3.Put(make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	var told int
	for _, c := range []*Stream{c1, c2, c3} {
		c.Notify = func(readable, writable bool) {
			if readable && writable {
				told++
			}
		}
	}
	w.o.Fail(EndInternal)
	w.o.Drop()
	if told != 3 || w.o.StreamCount() != 0 || len(w.o.blocked) != 0 || w.o.Pending() {
		t.Fatalf("%d told, %d streams left", told, w.o.StreamCount())
	}
	if string(take(t, c1)) != "data" || !c1.EOF() {
		t.Fatal("a sending that was complete is no longer")
	}
	if string(take(t, c2)) != "data" || c2.EOF() {
		t.Fatal("a sending that was cut off passes for complete")
	}
	for _, c := range []*Stream{c1, c2, c3} {
		if e := failure(t, c); e.Reason != EndInternal || e.Remote {
			t.Fatalf("%+v", e)
		}
		if _, err := c.Put([]byte("x")); err == nil {
			t.Fatal("data on a circuit that is gone")
		}
		for _, err := range []error{c.CloseSend(), c.Abandon(EndDone), c.Consumed(1 << 20)} {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	if w.o.Pending() {
		t.Fatal("something was queued on a circuit that is gone")
	}
}
