// SPDX-License-Identifier: BSD-3-Clause

package circuit

import (
	"bytes"
	"errors"
	"net/netip"
	"testing"

	"chive/circuit/cell"
	"chive/circuit/handshake"
)

var linkAddrs = []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:9001")}

// onion returns the onion key and the target of the relay at position i.
func onion(i int) (*handshake.OnionKey, Target) {
	k := handshake.NewOnionKey(&[32]byte{1, byte(i)})
	return k, Target{RID: [16]byte{2, byte(i)}, Onion: k.Public(), Addrs: linkAddrs}
}

// answer is the relay's side of the handshake.
func answer(t tester, i int, create []byte) (*handshake.Keys, []byte) {
	t.Helper()
	k, target := onion(i)
	created, keys, err := handshake.Respond(random(uint64(3000+i)), target.RID, []*handshake.OnionKey{k}, create, Negotiate)
	if err != nil {
		t.Fatal(err)
	}
	return keys, created
}

// createCell makes the CREATED cell that carries msg.
func createdCell(t tester, msg []byte) []byte {
	t.Helper()
	c := make([]byte, cell.Size)
	if err := cell.PutHandshake(c, cell.Created, msg); err != nil {
		t.Fatal(err)
	}
	return c
}

// create takes the client's CREATE cell off its outbox.
func (w *path) create() []byte {
	w.t.Helper()
	ch := w.o.Take(w.now)
	if ch == nil || len(ch.Cells()) != cell.Size || cell.Command(ch.Cells()[0]) != cell.Create {
		w.t.Fatal("no single CREATE cell")
	}
	c := bytes.Clone(ch.Cells())
	w.o.Recycle(w.now, ch)
	return c
}

// extend adds one hop with real handshakes.
func (w *path) extend() {
	w.t.Helper()
	i := len(w.hops)
	_, target := onion(i)
	if err := w.o.Extend(target); err != nil {
		w.t.Fatal(err)
	}
	if i == 0 {
		keys, created := answer(w.t, 0, w.create()[1:1+handshake.CreateSize])
		w.addHop(keys)
		if err := w.o.Receive(w.now, createdCell(w.t, created)); err != nil {
			w.t.Fatal(err)
		}
		w.oEvents = append(w.oEvents, w.o.Events()...)
	} else {
		w.ok()
		e := w.event(EventExtend).Extend
		if e.RID != target.RID || len(e.Addrs) != 1 || e.Addrs[0] != linkAddrs[0] {
			w.t.Fatalf("EXTEND names another relay: %v", e.Addrs)
		}
		keys, created := answer(w.t, i, e.Handshake)
		h := w.last()
		w.addHop(keys)
		if err := h.Extended(created); err != nil {
			w.t.Fatal(err)
		}
		w.ok()
	}
	if w.o.Hops() != i+1 || len(w.oEvents) != 1 || w.oEvents[0].Kind != EventExtended || w.oEvents[0].Hop != i {
		w.t.Fatalf("hops %d, events %v", w.o.Hops(), w.oEvents)
	}
	w.oEvents = nil
}

func TestCircuitsOfOneToEightHopsAreBuiltAndUsed(t *testing.T) {
	w := emptyPath(t, DefaultParams())
	if _, err := w.o.Begin(cell.Begin{Host: "h", Port: 1}); !errors.Is(err, ErrState) {
		t.Fatalf("a stream without a hop: %v", err)
	}
	for n := 1; n <= MaxHops; n++ {
		w.extend()
		c, r := w.stream()
		up, down := pattern(90001, n), pattern(75000, 100+n) // more than one ACK's worth
		if !bytes.Equal(w.put(c, r, up), up) || !bytes.Equal(w.put(r, c, down), down) {
			t.Fatalf("%d hops: other bytes arrived", n)
		}
		for _, err := range []error{c.CloseSend(), r.CloseSend()} {
			if err != nil {
				t.Fatal(err)
			}
		}
		w.ok()
		if w.o.StreamCount() != 0 || w.last().StreamCount() != 0 {
			t.Fatalf("%d hops: streams are left", n)
		}
	}
	_, target := onion(9)
	if err := w.o.Extend(target); !errors.Is(err, ErrState) {
		t.Fatalf("a ninth hop: %v", err)
	}
	for i, h := range w.hops {
		if h.early > cell.MaxRelayEarly-1 {
			t.Errorf("hop %d saw %d RELAY_EARLY cells", i, h.early)
		}
	}
}

// pattern is n bytes that differ with seed.
func pattern(n, seed int) []byte {
	b := make([]byte, n)
	_, _ = random(uint64(seed)).Read(b)
	return b
}

func TestExtendIsRefusedInTheWrongState(t *testing.T) {
	_, target := onion(5)
	t.Run("while another hop is added", func(t *testing.T) {
		w := newPath(t, 1, DefaultParams())
		if err := w.o.Extend(target); err != nil {
			t.Fatal(err)
		}
		if err := w.o.Extend(target); !errors.Is(err, ErrState) {
			t.Fatal(err)
		}
		if _, err := w.o.BeginDir(); !errors.Is(err, ErrState) {
			t.Fatalf("a stream meanwhile: %v", err)
		}
	})
	t.Run("while streams are open", func(t *testing.T) {
		w := newPath(t, 1, DefaultParams())
		w.stream()
		if err := w.o.Extend(target); !errors.Is(err, ErrState) {
			t.Fatal(err)
		}
	})
	t.Run("after the circuit was lost", func(t *testing.T) {
		w := newPath(t, 1, DefaultParams())
		d := make([]byte, cell.Size)
		cell.PutDestroy(d, 3)
		if err := w.o.Receive(w.now, d); err != nil {
			t.Fatal(err)
		}
		if err := w.o.Extend(target); !errors.Is(err, ErrState) {
			t.Fatal(err)
		}
	})
	t.Run("without an address", func(t *testing.T) {
		w := newPath(t, 1, DefaultParams())
		bad := target
		bad.Addrs = nil
		if err := w.o.Extend(bad); !errors.Is(err, ErrState) {
			t.Fatal(err)
		}
		if err := w.o.Extend(target); err != nil {
			t.Fatalf("a refused Extend left something behind: %v", err)
		}
	})
}

func TestABadCreatedEndsTheCircuit(t *testing.T) {
	_, target := onion(0)
	for at := range handshake.CreatedSize {
		if at%61 != 0 && at < handshake.CreatedSize-64 {
			continue
		}
		w := emptyPath(t, DefaultParams())
		if err := w.o.Extend(target); err != nil {
			t.Fatal(err)
		}
		_, created := answer(t, 0, w.create()[1:1+handshake.CreateSize])
		good := bytes.Clone(created)
		created[at] ^= 1
		if err := w.o.Receive(w.now, createdCell(t, created)); !errors.Is(err, ErrProtocol) {
			t.Fatalf("byte %d changed: %v", at, err)
		}
		if err := w.o.Receive(w.now, createdCell(t, good)); !errors.Is(err, ErrProtocol) || w.o.Hops() != 0 {
			t.Fatalf("a second answer: %v", err)
		}
	}
}

// Spec: protocol §4 (HS-2).
func TestAnAnswerToOtherFeaturesEndsTheCircuit(t *testing.T) {
	answers := map[string][handshake.MessageSize]byte{
		"nothing":         {featureVersion},
		"another version": {2, 1, featureWindow},
		"not offered":     {featureVersion, 2, featureWindow, 9},
		"another feature": {featureVersion, 1, 2},
		"trailing byte":   func() (m [handshake.MessageSize]byte) { m = features.encode(); m[63] = 1; return }(),
	}
	k, target := onion(0)
	for name, sm := range answers {
		w := emptyPath(t, DefaultParams())
		if err := w.o.Extend(target); err != nil {
			t.Fatal(err)
		}
		created, _, err := handshake.Respond(random(1), target.RID, []*handshake.OnionKey{k}, w.create()[1:1+handshake.CreateSize],
			func(*[handshake.MessageSize]byte) [handshake.MessageSize]byte { return sm })
		if err != nil {
			t.Fatal(err)
		}
		if err := w.o.Receive(w.now, createdCell(t, created)); !errors.Is(err, ErrProtocol) || w.o.Hops() != 0 {
			t.Errorf("%s: %v, %d hops", name, err, w.o.Hops())
		}
	}
}

func TestNegotiateAcceptsOnlyWhatItKnows(t *testing.T) {
	message := func(b ...byte) (m [handshake.MessageSize]byte) { copy(m[:], b); return m }
	full := message(featureVersion, 62)
	for i := 2; i < len(full); i++ {
		full[i] = 7
	}
	full[63] = featureWindow
	yes := message(featureVersion, 1, featureWindow)
	no := message(featureVersion)
	cases := []struct {
		name     string
		cm, want [handshake.MessageSize]byte
	}{
		{"ours", features.encode(), yes},
		{"more features", message(featureVersion, 3, 9, featureWindow, 200), yes},
		{"the window twice", message(featureVersion, 2, featureWindow, featureWindow), yes},
		{"the window at the end of a full list", full, yes},
		{"none", message(featureVersion, 0, featureWindow), no},
		{"another version", message(2, 1, featureWindow), no},
		{"a list longer than the message", message(featureVersion, 63, featureWindow), no},
		{"a list of 255", message(featureVersion, 255, featureWindow), no},
	}
	for _, c := range cases {
		if got := Negotiate(&c.cm); got != c.want {
			t.Errorf("%s: %x", c.name, got[:4])
		}
	}
}

// Spec: protocol §5 (EXT-1).
func TestExtendIsRefusedAtTheRelay(t *testing.T) {
	body, err := cell.Extend{Addrs: linkAddrs, Handshake: make([]byte, handshake.CreateSize)}.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("in a RELAY cell", func(t *testing.T) {
		w := newPath(t, 1, DefaultParams())
		say(&w.o.End, cell.Relay, msg(cell.TypeExtend, 0, body))
		w.refused()
	})
	t.Run("with a stream number", func(t *testing.T) {
		w := newPath(t, 1, DefaultParams())
		say(&w.o.End, cell.RelayEarly, msg(cell.TypeExtend, 1, body))
		w.refused()
	})
	t.Run("twice in one cell", func(t *testing.T) {
		w := newPath(t, 1, DefaultParams())
		small, err := cell.Extend{Addrs: linkAddrs, Handshake: make([]byte, 900)}.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		say(&w.o.End, cell.RelayEarly, msg(cell.TypeExtend, 0, small), msg(cell.TypeExtend, 0, small))
		w.refused()
	})
	for name, after := range map[string]func(h *Hop) error{
		"a second one":       func(*Hop) error { return nil },
		"after an extension": func(h *Hop) error { return h.Extended(make([]byte, handshake.CreatedSize)) },
		"after a failed one": func(h *Hop) error { return h.Truncated(ReasonUnreachable) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newPath(t, 1, DefaultParams())
			h := w.hops[0]
			say(&w.o.End, cell.RelayEarly, msg(cell.TypeExtend, 0, body))
			if _, err := w.step(0); err != nil {
				t.Fatal(err)
			}
			if _, err := w.hopReads(0); err != nil {
				t.Fatal(err)
			}
			w.event(EventExtend)
			if err := after(h); err != nil {
				t.Fatal(err)
			}
			say(&w.o.End, cell.RelayEarly, msg(cell.TypeExtend, 0, body))
			w.clientWrites()
			if _, err := w.hopReads(0); !errors.Is(err, ErrProtocol) {
				t.Fatal(err)
			}
		})
	}
}

// Spec: protocol §2 (CELL-2).
func TestTheNinthRelayEarlyCellEndsTheCircuit(t *testing.T) {
	w := newPath(t, 2, DefaultParams())
	for range cell.MaxRelayEarly {
		say(&w.o.End, cell.RelayEarly, msg(cell.TypePadding, 0, nil))
	}
	w.ok()
	say(&w.o.End, cell.RelayEarly, msg(cell.TypePadding, 0, nil))
	w.refused() // at the first hop already, which only passes them on
	if w.hops[1].early != cell.MaxRelayEarly {
		t.Fatalf("the second hop saw %d", w.hops[1].early)
	}
}

func TestTheOwnersAnswersToExtendAreCheckedToo(t *testing.T) {
	w := newPath(t, 1, DefaultParams())
	h := w.hops[0]
	created := make([]byte, handshake.CreatedSize)
	if err := h.Extended(created); !errors.Is(err, ErrState) {
		t.Fatalf("Extended without EXTEND: %v", err)
	}
	if err := h.Truncated(ReasonBusy); !errors.Is(err, ErrState) {
		t.Fatalf("Truncated without EXTEND: %v", err)
	}
	h.next = nextPending
	for _, n := range []int{0, handshake.CreatedSize - 1, handshake.CreatedSize + 1} {
		if err := h.Extended(make([]byte, n)); !errors.Is(err, ErrState) {
			t.Fatalf("an answer of %d bytes: %v", n, err)
		}
	}
	if err := h.Extended(created); err != nil {
		t.Fatal(err)
	}
	if err := h.Extended(created); !errors.Is(err, ErrState) {
		t.Fatalf("Extended twice: %v", err)
	}
	if err := h.Truncated(ReasonLinkLost); err != nil {
		t.Fatal(err)
	}
	if err := h.Truncated(ReasonLinkLost); !errors.Is(err, ErrState) {
		t.Fatalf("Truncated twice: %v", err)
	}
}

func relayCell() []byte {
	c := make([]byte, cell.Size)
	c[0] = byte(cell.Relay)
	return c
}

// Spec: protocol §2 (CELL-4).
func TestCommandsOutOfPlaceEndTheCircuit(t *testing.T) {
	for cmd := range 256 {
		for _, size := range []int{cell.Size, cell.Size - 1, cell.Size + 1, 0} {
			raw := func() []byte {
				c := make([]byte, size)
				if size > 0 {
					c[0] = byte(cmd)
				}
				return c
			}
			quiet := size == cell.Size && cell.Command(cmd) == cell.Padding
			w := newPath(t, 2, DefaultParams())
			err := w.o.Receive(w.now, raw())
			if want := quiet || size == cell.Size && cell.Command(cmd) == cell.Destroy; (err == nil) != want || err != nil && !errors.Is(err, ErrProtocol) {
				t.Fatalf("command %d of %d bytes to the client: %v", cmd, size, err)
			}
			pass, err := w.hops[1].Forward(w.now, raw())
			if pass || (err == nil) != quiet || err != nil && !errors.Is(err, ErrProtocol) {
				t.Fatalf("command %d of %d bytes to the last hop: %v, %v", cmd, size, pass, err)
			}
			relay := size == cell.Size && cell.Command(cmd) == cell.Relay
			err = w.hops[0].Backward(raw())
			if (err == nil) != (quiet || relay) || w.hops[0].Pending() != relay {
				t.Fatalf("command %d of %d bytes from the next hop: %v", cmd, size, err)
			}
			if size == 0 {
				break
			}
		}
	}
}

func TestAMiddleHopPassesOnWhatItDoesNotRecognise(t *testing.T) {
	for _, cmd := range []cell.Command{cell.Relay, cell.RelayEarly} {
		w := newPath(t, 3, DefaultParams())
		c := relayCell()
		c[0] = byte(cmd)
		pass, err := w.hops[1].Forward(w.now, c)
		if err != nil || !pass || cell.Command(c[0]) != cmd {
			t.Fatalf("%v, %v", pass, err)
		}
		pass, err = w.hops[2].Forward(w.now, c)
		if pass || !errors.Is(err, ErrProtocol) {
			t.Fatalf("the last hop, which does not recognise it either: %v, %v", pass, err)
		}
	}
}

func TestACellIsNotPassedWhileTheNextHopIsPending(t *testing.T) {
	w := newPath(t, 1, DefaultParams())
	w.hops[0].next = nextPending
	if pass, err := w.hops[0].Forward(w.now, relayCell()); pass || !errors.Is(err, ErrProtocol) {
		t.Fatalf("%v, %v", pass, err)
	}
	if err := w.hops[0].Backward(relayCell()); !errors.Is(err, ErrProtocol) {
		t.Fatalf("a cell from a hop that is not there yet: %v", err)
	}
}

func TestRandomnessThatFailsIsAnError(t *testing.T) {
	none := bytes.NewReader(nil)
	if _, err := NewOrigin(DefaultParams(), new(Buffers), none); err == nil {
		t.Error("NewOrigin")
	}
	var k handshake.Keys
	if _, err := NewHop(&k, DefaultParams(), new(Buffers), none); err == nil {
		t.Error("NewHop")
	}
	o, err := NewOrigin(DefaultParams(), new(Buffers), bytes.NewReader(make([]byte, 32)))
	if err != nil {
		t.Fatal(err)
	}
	_, target := onion(0)
	if err := o.Extend(target); err == nil || o.Pending() {
		t.Errorf("Extend: %v", err)
	}
}
