// SPDX-License-Identifier: BSD-3-Clause

package circuit

import (
	"bytes"
	"errors"
	"net/netip"
	"slices"
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

func TestBytesTravelBothWaysAtOnce(t *testing.T) {
	w := newPath(t, 3, DefaultParams())
	c, r := w.stream()
	up, down := pattern(3<<20, 1), pattern(3<<20, 2)
	var gotUp, gotDown []byte
	for a, b := up, down; len(a) > 0 || len(b) > 0; {
		n, err := c.Put(a[:min(len(a), 50000)])
		if err != nil {
			t.Fatal(err)
		}
		m, err := r.Put(b[:min(len(b), 70000)])
		if err != nil {
			t.Fatal(err)
		}
		a, b = a[n:], b[m:]
		w.ok()
		bounded(t, &w.o.End)
		bounded(t, &w.last().End)
		gotUp, gotDown = append(gotUp, take(t, r)...), append(gotDown, take(t, c)...)
	}
	if !bytes.Equal(gotUp, up) || !bytes.Equal(gotDown, down) {
		t.Fatal("other bytes arrived")
	}
}

func TestEarlyDataArrivesWithBegin(t *testing.T) {
	w := newPath(t, 2, DefaultParams())
	early := pattern(cell.MaxEarly("example.org"), 3)
	c, err := w.o.Begin(cell.Begin{Host: "example.org", Port: 443, Flags: cell.BeginPreferIPv6, Early: early})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Put([]byte("more")); err != nil { // optimistic data needs no CONNECTED
		t.Fatal(err)
	}
	w.ok()
	ev := w.event(EventBegin)
	if ev.Begin.Host != "example.org" || ev.Begin.Port != 443 || ev.Begin.Flags != cell.BeginPreferIPv6 || ev.Begin.Early != nil {
		t.Fatalf("%+v", ev.Begin)
	}
	if !bytes.Equal(take(t, ev.Stream), append(early, "more"...)) {
		t.Fatal("early data is not the first of the stream")
	}
	if c.sendCredit != w.o.params.CreditSize-len(early)-4 || c.sendCredit != ev.Stream.recvCredit {
		t.Fatalf("credit %d at the client, %d at the relay", c.sendCredit, ev.Stream.recvCredit)
	}
}

func TestARelayMustConnectBeforeItSends(t *testing.T) {
	w := newPath(t, 1, DefaultParams())
	if _, err := w.o.Begin(cell.Begin{Host: "h", Port: 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.o.BeginUDP(); err != nil {
		t.Fatal(err)
	}
	w.ok()
	ev := w.events[0]
	if _, err := ev[0].Stream.Put([]byte("x")); !errors.Is(err, ErrState) {
		t.Fatalf("data before CONNECTED: %v", err)
	}
	if err := ev[1].Stream.PutDatagram(w.now, cell.Datagram{Host: "192.0.2.1", Port: 1}); !errors.Is(err, ErrState) {
		t.Fatalf("a datagram before CONNECTED: %v", err)
	}
}

func TestConnectedCarriesTheAddress(t *testing.T) {
	w := newPath(t, 2, DefaultParams())
	c, r := w.stream()
	if c.RemoteAddr() != addr4 {
		t.Fatalf("%v", c.RemoteAddr())
	}
	if err := r.Connected(addr4); err != nil || w.last().Pending() {
		t.Fatalf("CONNECTED twice: %v", err)
	}
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

func TestAStreamThatNobodyReadsStopsAtItsCredit(t *testing.T) {
	for name, sides := range map[string]func(c, r *Stream) (from, to *Stream){
		"up":   func(c, r *Stream) (*Stream, *Stream) { return c, r },
		"down": func(c, r *Stream) (*Stream, *Stream) { return r, c },
	} {
		t.Run(name, func(t *testing.T) {
			p := DefaultParams()
			w := newPath(t, 2, p)
			c, r := w.stream()
			from, to := sides(c, r)
			sent := 0
			for range 100 {
				n, err := from.Put(make([]byte, 1<<20))
				if err != nil {
					t.Fatal(err)
				}
				sent += n
				w.ok()
			}
			if sent != p.CreditSize || to.Buffered() != p.CreditSize {
				t.Fatalf("%d bytes sent, %d waiting", sent, to.Buffered())
			}
			// Another stream is not held up by it.
			c2, r2 := w.stream()
			data := pattern(1<<20, 7)
			if !bytes.Equal(w.put(c2, r2, data), data) {
				t.Fatal("another stream is held up")
			}
			// Reading half returns credit for exactly that half.
			half := make([]byte, p.CreditSize/2)
			if n, err := to.Read(half[:len(half)-1]); err != nil || n != len(half)-1 {
				t.Fatal(err)
			}
			w.ok()
			if n, _ := from.Put([]byte("xy")); n != 0 {
				t.Fatalf("%d bytes more before half of the credit was read", n)
			}
			if n, err := to.Read(half[:1]); err != nil || n != 1 {
				t.Fatal(err)
			}
			w.ok()
			sent = 0
			for range 10 {
				n, err := from.Put(make([]byte, 1<<20))
				if err != nil {
					t.Fatal(err)
				}
				sent += n
				w.ok()
			}
			if sent != p.CreditSize/2 {
				t.Fatalf("%d bytes after a CREDIT of %d", sent, p.CreditSize/2)
			}
		})
	}
}

func TestTheFirstByteBeyondTheCreditEndsTheCircuit(t *testing.T) {
	p := lowParams()
	for _, atClient := range []bool{true, false} {
		w := newPath(t, 1, p)
		c, r := w.stream()
		from, to := &w.o.End, r
		if !atClient {
			from, to = &w.hops[0].End, c
		}
		for left := p.CreditSize; left > 0; {
			n := min(left, cell.MaxBody)
			left -= n
			say(from, cell.Relay, msg(cell.TypeData, to.id, make([]byte, n)))
			// The liar is no concern of this test: it hears of
			// acknowledgements it never asked for.
			from.window.marks, from.window.inflight = nil, 0
			if err := w.oneWay(atClient); err != nil {
				t.Fatalf("%d bytes before the credit ends: %v", left, err)
			}
		}
		if to.Buffered() != p.CreditSize {
			t.Fatalf("%d bytes", to.Buffered())
		}
		say(from, cell.Relay, msg(cell.TypeData, to.id, []byte{1}))
		if err := w.oneWay(atClient); !errors.Is(err, ErrProtocol) {
			t.Fatalf("a byte beyond: %v", err)
		}
		if to.Buffered() != p.CreditSize {
			t.Fatal("it was taken all the same")
		}
	}
}

func TestTheFirstCellBeyondTheWindowEndsTheCircuit(t *testing.T) {
	p := DefaultParams()
	p.CreditSize = 4 << 20 // the window is what binds
	for _, atClient := range []bool{true, false} {
		w := newPath(t, 1, p)
		c, r := w.stream()
		from, to := &w.o.End, r
		if !atClient {
			from, to = &w.hops[0].End, c
		}
		for i := range p.WindowMax {
			say(from, cell.Relay, msg(cell.TypeData, to.id, []byte("data"))) // the answers never leave
			if err := w.oneWay(atClient); err != nil {
				t.Fatalf("cell %d: %v", i+1, err)
			}
		}
		held := to.Buffered()
		say(from, cell.Relay, msg(cell.TypeData, to.id, []byte("data")))
		if err := w.oneWay(atClient); !errors.Is(err, ErrProtocol) {
			t.Fatalf("a cell beyond: %v", err)
		}
		if to.Buffered() != held {
			t.Fatal("it was taken all the same")
		}
	}
}

func TestForgedAcknowledgementsEndTheCircuit(t *testing.T) {
	prepare := func(t *testing.T) (*path, [][cell.TagSize]byte) {
		w := newPath(t, 2, DefaultParams())
		c, _ := w.stream()
		n, err := c.Put(make([]byte, 64*cell.MaxBody))
		if err != nil || n == 0 {
			t.Fatal(err)
		}
		for range 8 { // the relay gets 64 cells; its answers wait
			w.clientWrites()
			for len(w.up[0]) > 0 {
				if _, err := w.hopReads(0); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := c.Put(make([]byte, 16*cell.MaxBody)); err != nil {
				t.Fatal(err)
			}
		}
		var tags [][cell.TagSize]byte
		for _, m := range w.o.window.marks {
			tags = append(tags, m.tag)
		}
		if len(tags) != 2 {
			t.Fatalf("%d cells are remembered", len(tags))
		}
		return w, tags
	}
	ack := func(w *path, tag [cell.TagSize]byte) error {
		say(&w.last().End, cell.Relay, msg(cell.TypeAck, 0, tag[:]))
		w.hopWrites(1)
		for len(w.down[1]) > 0 {
			if _, err := w.clientSideReads(1); err != nil {
				return err
			}
		}
		w.hopWrites(0)
		for len(w.down[0]) > 0 {
			if _, err := w.clientSideReads(0); err != nil {
				return err
			}
		}
		return nil
	}
	t.Run("true ones are taken", func(t *testing.T) {
		w, tags := prepare(t)
		for _, tag := range tags {
			if err := ack(w, tag); err != nil {
				t.Fatal(err)
			}
		}
	})
	t.Run("one bit", func(t *testing.T) {
		for bit := range 8 * cell.TagSize {
			w, tags := prepare(t)
			tags[0][bit/8] ^= 1 << (bit % 8)
			if err := ack(w, tags[0]); !errors.Is(err, ErrProtocol) {
				t.Fatalf("bit %d: %v", bit, err)
			}
			if bit > 16 && testing.Short() {
				return
			}
		}
	})
	t.Run("not the oldest", func(t *testing.T) {
		w, tags := prepare(t)
		if err := ack(w, tags[1]); !errors.Is(err, ErrProtocol) {
			t.Fatal(err)
		}
	})
	t.Run("the same twice", func(t *testing.T) {
		w, tags := prepare(t)
		if err := ack(w, tags[0]); err != nil {
			t.Fatal(err)
		}
		if err := ack(w, tags[0]); !errors.Is(err, ErrProtocol) {
			t.Fatal(err)
		}
	})
	t.Run("never asked for", func(t *testing.T) {
		w := newPath(t, 2, DefaultParams())
		if err := ack(w, [cell.TagSize]byte{}); !errors.Is(err, ErrProtocol) {
			t.Fatal(err)
		}
	})
}

func TestCreditsThatWereNotEarnedEndTheCircuit(t *testing.T) {
	p := lowParams()
	for spent, credits := range map[int]struct {
		n    uint32
		fine bool
	}{
		0:    {1, false},
		1:    {1, true},
		100:  {100, true},
		101:  {102, false},
		1000: {1<<32 - 1, false},
		1001: {1 << 31, false},
	} {
		w := newPath(t, 1, p)
		c, _ := w.stream()
		if n, err := c.Put(make([]byte, spent)); n != spent || err != nil {
			t.Fatal(err)
		}
		w.ok()
		say(&w.hops[0].End, cell.Relay, msg(cell.TypeCredit, c.id, cell.AppendCredit(nil, credits.n)))
		if err := w.run(); (err == nil) != credits.fine {
			t.Errorf("%d spent, %d credited: %v", spent, credits.n, err)
		}
		if c.sendCredit > p.CreditSize {
			t.Errorf("credit %d", c.sendCredit)
		}
	}
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

func TestStreamNumbersOnlyRise(t *testing.T) {
	begin := func(id uint16) cell.Message { return msg(cell.TypeBeginDir, id, nil) }
	for name, ids := range map[string][]uint16{
		"zero": {0}, "twice": {1, 1}, "down": {2, 1}, "the last, then the first": {65535, 1},
	} {
		w := newPath(t, 1, DefaultParams())
		for i, id := range ids {
			say(&w.o.End, cell.Relay, begin(id))
			err := w.run()
			if last := i == len(ids)-1; last != errors.Is(err, ErrProtocol) {
				t.Errorf("%s, stream %d: %v", name, id, err)
			}
		}
	}
	// A stream that is over gives its number up for good.
	w := newPath(t, 1, DefaultParams())
	c, r := w.stream()
	for _, err := range []error{c.CloseSend(), r.CloseSend()} {
		if err != nil {
			t.Fatal(err)
		}
	}
	w.gone(c, r)
	say(&w.o.End, cell.Relay, begin(1))
	w.refused()
}

func TestACircuitHolds256Streams(t *testing.T) {
	w := newPath(t, 1, DefaultParams())
	var all []*Stream
	for i := range maxStreams {
		if w.o.UsedUp() {
			t.Fatalf("used up at %d", i)
		}
		s, err := w.o.BeginDir()
		if err != nil {
			t.Fatalf("stream %d: %v", i+1, err)
		}
		all = append(all, s)
	}
	if _, err := w.o.BeginDir(); !errors.Is(err, ErrStreams) || !w.o.UsedUp() {
		t.Fatalf("stream 257: %v", err)
	}
	w.ok()
	if w.last().StreamCount() != maxStreams {
		t.Fatalf("%d at the relay", w.last().StreamCount())
	}
	say(&w.o.End, cell.Relay, msg(cell.TypeBeginDir, 1000, nil))
	if err := w.run(); !errors.Is(err, ErrStreams) {
		t.Fatalf("stream 257 at the relay: %v", err)
	}
	bounded(t, &w.last().End)
	// Abandoned ones still count, until the relay has answered.
	w = newPath(t, 1, DefaultParams())
	for range maxStreams {
		s, err := w.o.BeginDir()
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Abandon(EndDone); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.o.BeginDir(); !errors.Is(err, ErrStreams) {
		t.Fatal(err)
	}
	w.ok()
	if _, err := w.o.BeginDir(); err != nil || w.o.StreamCount() != 1 {
		t.Fatalf("%v, %d streams", err, w.o.StreamCount())
	}
	_ = all
}

func TestACircuitUsesEachNumberOnce(t *testing.T) {
	w := newPath(t, 1, DefaultParams())
	w.o.lastID = 1<<16 - 2
	s, err := w.o.BeginDir()
	if err != nil || s.id != 1<<16-1 {
		t.Fatalf("%v", err)
	}
	if _, err := w.o.BeginDir(); !errors.Is(err, ErrStreams) || !w.o.UsedUp() {
		t.Fatal(err)
	}
	w.ok()
}

func TestReadGivesBytesInOrderWhateverTheSteps(t *testing.T) {
	p := DefaultParams()
	for _, step := range []int{1, 7, 1000, 4096, 1 << 20} {
		w := newPath(t, 1, p)
		c, r := w.stream()
		data := pattern(400000, step)
		var got []byte
		buf := make([]byte, min(step, 1<<16))
		for rest := data; len(got) < len(data); {
			n, err := r.Put(rest)
			if err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
			w.ok()
			for range max(1, 20000/len(buf)) {
				n, err := c.Read(buf)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, buf[:n]...)
			}
			bounded(t, &w.o.End)
		}
		if !bytes.Equal(got, data) {
			t.Fatalf("steps of %d: other bytes", step)
		}
	}
}

func TestSwapAndReadMix(t *testing.T) {
	w := newPath(t, 1, DefaultParams())
	c, r := w.stream()
	data := pattern(100000, 8)
	var got, spare []byte
	for rest := data; len(rest) > 0; {
		n, err := r.Put(rest[:min(len(rest), 9000)])
		if err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
		w.ok()
		small := make([]byte, 100)
		k, err := c.Read(small)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, small[:k]...)
		b := c.Swap(spare)
		got = append(got, b...)
		if err := c.Consumed(len(b)); err != nil {
			t.Fatal(err)
		}
		spare = b
	}
	w.ok()
	got = append(got, take(t, c)...)
	if !bytes.Equal(got, data) {
		t.Fatal("other bytes")
	}
}

func TestStreamsShareTheCircuit(t *testing.T) {
	w := newPath(t, 2, DefaultParams())
	const n = 8
	var cs, rs []*Stream
	var data [n][]byte
	var got [n][]byte
	for i := range n {
		c, r := w.stream()
		cs, rs = append(cs, c), append(rs, r)
		data[i] = pattern(100000+i*1000, 50+i)
	}
	left := slices.Clone(data[:])
	for open := true; open; {
		open = false
		for i := range n {
			k, err := rs[i].Put(left[i])
			if err != nil {
				t.Fatal(err)
			}
			left[i] = left[i][k:]
			open = open || len(left[i]) > 0
		}
		w.ok()
		for i := range n {
			got[i] = append(got[i], take(t, cs[i])...)
		}
	}
	w.ok()
	for i := range n {
		got[i] = append(got[i], take(t, cs[i])...)
		if !bytes.Equal(got[i], data[i]) {
			t.Fatalf("stream %d: other bytes", i)
		}
	}
}

func TestWhoFoundNoRoomIsTold(t *testing.T) {
	w := newPath(t, 1, DefaultParams())
	told := make(map[*Stream]int)
	var cs []*Stream
	for range 5 {
		c, _ := w.stream()
		c.Notify = func(_, writable bool) {
			if writable {
				told[c]++
			}
		}
		cs = append(cs, c)
	}
	if n, err := cs[0].Put(make([]byte, 1<<20)); err != nil || n == 0 {
		t.Fatal(err)
	}
	for _, c := range cs[1:] {
		if n, err := c.Put([]byte("x")); err != nil || n != 0 {
			t.Fatalf("%d, %v", n, err)
		}
	}
	if len(w.o.blocked) != 5 {
		t.Fatalf("%d wait", len(w.o.blocked))
	}
	ch := w.o.Take(w.now)
	if len(told) != 0 {
		t.Fatal("told before there is room")
	}
	w.carry(&w.up[0], false, 0, ch.Cells())
	w.o.Recycle(w.now, ch)
	for i, c := range cs {
		if told[c] != 1 {
			t.Fatalf("stream %d was told %d times", i, told[c])
		}
	}
	if len(w.o.blocked) != 0 {
		t.Fatal("they still wait")
	}
	// Who gives up while waiting waits no longer.
	for _, c := range cs {
		if _, err := c.Put(make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range cs[1:] {
		if err := c.Abandon(EndDone); err != nil {
			t.Fatal(err)
		}
	}
	bounded(t, &w.o.End)
	if len(w.o.blocked) != 1 {
		t.Fatalf("%d wait", len(w.o.blocked))
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

func TestResolveIsAskedAndAnsweredOnce(t *testing.T) {
	w := newPath(t, 2, DefaultParams())
	c, err := w.o.Resolve(cell.Resolve{Name: "example.org"})
	if err != nil {
		t.Fatal(err)
	}
	w.ok()
	ev := w.event(EventResolve)
	if ev.Resolve.Name != "example.org" || ev.Stream.Kind() != StreamResolve {
		t.Fatalf("%+v", ev)
	}
	if _, ok := c.Answer(); ok {
		t.Fatal("an answer before it came")
	}
	if err := ev.Stream.Resolved(cell.Resolved{TTLSeconds: 300, Addrs: []netip.Addr{addr4}}); err != nil {
		t.Fatal(err)
	}
	if err := ev.Stream.Resolved(cell.Resolved{}); err != nil {
		t.Fatal(err)
	}
	w.gone(c, ev.Stream)
	r, ok := c.Answer()
	if !ok || r.TTLSeconds != 300 || len(r.Addrs) != 1 || r.Addrs[0] != addr4 || c.Err() != nil {
		t.Fatalf("%+v, %v", r, ok)
	}
	// An answer that cannot be encoded is the owner's fault, and nothing goes out.
	c, err = w.o.Resolve(cell.Resolve{Name: "example.org"})
	if err != nil {
		t.Fatal(err)
	}
	w.ok()
	s := w.event(EventResolve).Stream
	if err := s.Resolved(cell.Resolved{Names: make([]string, 9)}); !errors.Is(err, ErrState) || w.last().Pending() {
		t.Fatal(err)
	}
	if err := s.Abandon(EndInternal); err != nil {
		t.Fatal(err)
	}
	w.gone(c, s)
	if r, ok := c.Answer(); !ok || EndReason(r.Reason) != EndInternal {
		t.Fatalf("%+v", r)
	}
}

func TestAnAbandonedQuestionLingersUntilItsAnswer(t *testing.T) {
	w := newPath(t, 1, DefaultParams())
	c, err := w.o.Resolve(cell.Resolve{Name: "example.org"})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Abandon(EndTimeout); err != nil {
		t.Fatal(err)
	}
	w.ok()
	if w.o.StreamCount() != 1 {
		t.Fatal("it was forgotten")
	}
	s := w.event(EventResolve).Stream
	if err := s.Resolved(cell.Resolved{}); err != nil {
		t.Fatal(err)
	}
	w.gone(c, s)
}
