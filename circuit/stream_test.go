// SPDX-License-Identifier: BSD-3-Clause

package circuit

import (
	"bytes"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"chive/circuit/cell"
)

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

// Spec: protocol §5 (STR-1).
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

// Spec: protocol §5 (STR-5).
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
}

func TestEveryQuestionGetsAnAnswer(t *testing.T) {
	name := strings.Repeat("n", cell.MaxHost)
	for what, answer := range map[string]func(s *Stream) error{
		"names that do not fit": func(s *Stream) error { return s.Resolved(cell.Resolved{Names: slices.Repeat([]string{name}, 8)}) },
		"too many":              func(s *Stream) error { return s.Resolved(cell.Resolved{Names: slices.Repeat([]string{"n"}, 9)}) },
		"a malformed one":       func(s *Stream) error { return s.Resolved(cell.Resolved{Names: []string{"a b"}}) },
		"given up":              func(s *Stream) error { return s.Abandon(EndInternal) },
	} {
		w := newPath(t, 1, DefaultParams())
		c, err := w.o.Resolve(cell.Resolve{Name: "example.org"})
		if err != nil {
			t.Fatal(err)
		}
		w.ok()
		s := w.event(EventResolve).Stream
		if err := answer(s); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		w.gone(c, s)
		if r, ok := c.Answer(); !ok || EndReason(r.Reason) != EndInternal || len(r.Names) != 0 {
			t.Fatalf("%s: %+v", what, r)
		}
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

// Who waits for room is left alone while there is none: a wake-up for nothing is
// work that an attacker can order.
func TestNobodyIsWokenForNothing(t *testing.T) {
	for name, fill := range map[string]func(w *path){
		"the outbox is full again": func(w *path) {
			for !w.o.Full() {
				say(&w.o.End, cell.Relay)
			}
		},
		"the window is used up": func(w *path) { w.o.window.inflight = w.o.window.size },
	} {
		w := newPath(t, 1, DefaultParams())
		c, _ := w.stream()
		told := false
		c.Notify = func(_, writable bool) { told = told || writable }
		if _, err := c.Put(make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
		ch := w.o.Take(w.now)
		fill(w)
		w.o.Recycle(w.now, ch)
		if told || len(w.o.blocked) != 1 {
			t.Errorf("%s, and a writer is woken", name)
		}
	}
}

func TestNoCreditForAStreamThatWasGivenUp(t *testing.T) {
	w := newPath(t, 1, lowParams())
	c, r := w.stream()
	if n, err := r.Put(make([]byte, 16*cell.MaxBody)); err != nil || n == 0 {
		t.Fatal(err)
	}
	w.ok()
	b := c.Swap(nil)
	if err := c.Abandon(EndDone); err != nil {
		t.Fatal(err)
	}
	credit := c.recvCredit
	if err := c.Consumed(len(b) + c.end.params.CreditSize); err != nil || c.recvCredit != credit {
		t.Fatalf("%v, credit %d", err, c.recvCredit)
	}
}

// What a cell does not use is neither an earlier cell's nor zero.
func TestNothingStaleLeavesInACell(t *testing.T) {
	const canary = 0xC7
	w := newPath(t, 1, DefaultParams())
	var seen [][]byte
	w.o.seal = func(c []byte) [cell.TagSize]byte {
		seen = append(seen, bytes.Clone(cell.Payload(c)))
		return [cell.TagSize]byte{}
	}
	stale := func() {
		ch := new(Chunk)
		for i := range ch.buf {
			ch.buf[i] = canary
		}
		w.o.out.buffers.put(ch)
	}
	for used := range cell.MaxBody {
		if used%101 != 0 && used < cell.MaxBody-40 {
			continue
		}
		stale()
		body := bytes.Repeat([]byte{1}, used)
		if err := w.o.send(cell.TypePadding, 0, body); err != nil {
			t.Fatal(err)
		}
		w.o.Recycle(w.now, w.o.Take(w.now))
		p := seen[len(seen)-1]
		m, rest, ok, err := cell.Next(p)
		if err != nil || !ok || !bytes.Equal(m.Body, body) {
			t.Fatalf("%d bytes: not the message", used)
		}
		if len(rest) > 0 && rest[0] != byte(cell.TypeNone) {
			t.Fatalf("%d bytes: no end behind the message", used)
		}
		if len(rest) > 9 && (bytes.Contains(rest, bytes.Repeat([]byte{canary}, 8)) || bytes.Contains(rest[1:], make([]byte, 8))) {
			t.Fatalf("%d bytes: the rest is not random", used)
		}
	}
	for _, raw := range []func(){
		func() { w.o.Destroy(ReasonNone) },
		func() {
			if err := cell.PutHandshake(w.o.raw(), cell.Create, []byte("x")); err != nil {
				t.Fatal(err)
			}
		},
	} {
		stale()
		raw()
		ch := w.o.Take(w.now)
		if bytes.IndexByte(ch.Cells(), canary) >= 0 {
			t.Fatal("a cell that travels as it is holds stale bytes")
		}
		w.o.Recycle(w.now, ch)
	}
}

func TestDataOfNoBytesEndsTheCircuit(t *testing.T) {
	for _, atClient := range []bool{true, false} {
		w := newPath(t, 1, DefaultParams())
		c, _ := w.stream()
		e := &w.o.End
		if !atClient {
			e = &w.hops[0].End
		}
		say(e, cell.Relay, msg(cell.TypeData, c.id, nil))
		w.refused()
	}
}

// A byte that waits must not cost much more than a cell, and buffers that go round
// carry nothing from one stream to another.
func TestReceiveBuffersAreSmallAndGoRound(t *testing.T) {
	for _, c := range []struct{ bytes, held int }{
		{1, tinyReceive}, {tinyReceive, tinyReceive},
		{tinyReceive + 1, smallReceive}, {smallReceive, smallReceive},
		{smallReceive + 1, largeReceive}, {largeReceive, largeReceive},
	} {
		w := newPath(t, 1, DefaultParams())
		client, relay := w.stream()
		for left := c.bytes; left > 0; {
			k, err := relay.Put(make([]byte, left))
			if err != nil {
				t.Fatal(err)
			}
			left -= k
			w.ok()
		}
		if client.Buffered() != c.bytes || w.o.Held() != c.held {
			t.Fatalf("%d bytes wait in %d", client.Buffered(), w.o.Held())
		}
		take(t, client)
		w.ok()
		if w.o.Held() != 0 {
			t.Fatalf("%d bytes are held for an empty stream", w.o.Held())
		}
	}
	// Two that were swapped out at once are never the same memory.
	w := newPath(t, 1, DefaultParams())
	c1, r1 := w.stream()
	c2, r2 := w.stream()
	for range 3 {
		for _, s := range []*Stream{r1, r2} {
			if _, err := s.Put([]byte{byte(s.id)}); err != nil {
				t.Fatal(err)
			}
		}
		w.ok()
		a, b := c1.Swap(nil), c2.Swap(nil)
		if len(a) != 1 || len(b) != 1 || a[0] != byte(r1.id) || b[0] != byte(r2.id) {
			t.Fatalf("%v, %v", a, b)
		}
		c1.Swap(a)
		c2.Swap(b)
		c1.Swap(nil)
	}
}
