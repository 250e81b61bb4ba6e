// SPDX-License-Identifier: BSD-3-Clause

package circuit

import (
	"errors"
	"testing"

	"chive/circuit/cell"
)

// Spec: protocol §5 (EXT-3).
func TestALostHopIsReportedFromWhereverItWas(t *testing.T) {
	for n := 2; n <= MaxHops; n++ {
		for at := range n - 1 {
			w := newPath(t, n, DefaultParams())
			w.stream()
			if err := w.hops[at].Truncated(ReasonLinkLost); err != nil {
				t.Fatal(err)
			}
			w.ok()
			if len(w.oEvents) != 1 || w.oEvents[0].Kind != EventTruncated || w.oEvents[0].Hop != at || w.oEvents[0].Reason != ReasonLinkLost {
				t.Fatalf("hop %d of %d: %+v", at, n, w.oEvents)
			}
			if _, err := w.o.Begin(cell.Begin{Host: "h", Port: 1}); !errors.Is(err, ErrState) {
				t.Fatalf("a stream on a lost circuit: %v", err)
			}
			if err := w.o.Receive(w.now, make([]byte, cell.Size)); !errors.Is(err, ErrProtocol) {
				t.Fatalf("a cell on a lost circuit: %v", err)
			}
			// What was on its way while the hop went is dropped.
			if err := w.hops[at].Backward(relayCell()); err != nil {
				t.Fatalf("a late cell towards the client: %v", err)
			}
			if w.hops[at].Pending() {
				t.Fatal("a late cell is passed on")
			}
		}
	}
}

func TestCellsForALostHopAreDropped(t *testing.T) {
	w := newPath(t, 2, DefaultParams())
	if _, err := w.o.Begin(cell.Begin{Host: "h", Port: 1}); err != nil {
		t.Fatal(err)
	}
	if err := w.hops[0].Truncated(ReasonLinkLost); err != nil {
		t.Fatal(err)
	}
	w.ok()
	if len(w.up[1]) != 0 {
		t.Fatal("a cell went to the lost hop")
	}
}

// A relay that loses the next hop right after it was reached says EXTENDED and
// TRUNCATED in one breath. The client must not take the second for nonsense.
func TestExtendedAndTruncatedAtOnce(t *testing.T) {
	w := emptyPath(t, DefaultParams())
	w.extend()
	_, target := onion(1)
	if err := w.o.Extend(target); err != nil {
		t.Fatal(err)
	}
	w.ok()
	_, created := answer(t, 1, w.event(EventExtend).Extend.Handshake)
	if err := w.hops[0].Extended(created); err != nil {
		t.Fatal(err)
	}
	if err := w.hops[0].Truncated(ReasonLinkLost); err != nil {
		t.Fatal(err)
	}
	w.ok()
	if len(w.oEvents) != 2 || w.oEvents[0].Kind != EventExtended || w.oEvents[1].Kind != EventTruncated || w.oEvents[1].Hop != 0 {
		t.Fatalf("%+v", w.oEvents)
	}
}

func TestTruncatedAnswersExtend(t *testing.T) {
	for code, want := range map[byte]Reason{4: ReasonUnreachable, 8: ReasonInternal, 9: ReasonInternal, 255: ReasonInternal} {
		w := newPath(t, 2, DefaultParams())
		_, target := onion(2)
		if err := w.o.Extend(target); err != nil {
			t.Fatal(err)
		}
		w.ok()
		w.event(EventExtend)
		say(&w.last().End, cell.Relay, msg(cell.TypeTruncated, 0, []byte{code}))
		w.ok()
		if len(w.oEvents) != 1 || w.oEvents[0].Kind != EventTruncated || w.oEvents[0].Reason != want || w.oEvents[0].Hop != 1 {
			t.Fatalf("code %d: %+v", code, w.oEvents)
		}
	}
}

func TestTruncatedTwiceInOneCell(t *testing.T) {
	w := newPath(t, 1, DefaultParams())
	_, target := onion(1)
	if err := w.o.Extend(target); err != nil {
		t.Fatal(err)
	}
	w.ok()
	say(&w.hops[0].End, cell.Relay, msg(cell.TypeTruncated, 0, []byte{1}), msg(cell.TypeTruncated, 0, []byte{1}))
	w.refused()
}

func TestDestroyReachesTheOwner(t *testing.T) {
	for code, want := range map[byte]Reason{0: ReasonNone, 2: ReasonBusy, 7: ReasonDraining, 200: ReasonInternal} {
		for _, n := range []int{0, 1, 3} {
			w := emptyPath(t, DefaultParams())
			if n > 0 {
				w = newPath(t, n, DefaultParams())
			}
			d := make([]byte, cell.Size)
			cell.PutDestroy(d, code)
			if err := w.o.Receive(w.now, d); err != nil {
				t.Fatal(err)
			}
			ev := w.o.Events()
			if len(ev) != 1 || ev[0].Kind != EventTruncated || ev[0].Hop != -1 || ev[0].Reason != want {
				t.Fatalf("code %d: %+v", code, ev)
			}
			if err := w.o.Receive(w.now, d); !errors.Is(err, ErrProtocol) {
				t.Fatalf("DESTROY twice: %v", err)
			}
		}
	}
}

func TestDestroyGoesOutBehindWhatWasQueued(t *testing.T) {
	w := newPath(t, 1, DefaultParams())
	c, r := w.stream()
	if _, err := r.Put([]byte("last words")); err != nil {
		t.Fatal(err)
	}
	w.hops[0].Destroy(ReasonDraining)
	w.ok()
	if string(take(t, c)) != "last words" || len(w.oEvents) != 1 || w.oEvents[0].Reason != ReasonDraining {
		t.Fatalf("%+v", w.oEvents)
	}
}

func TestNothingMovesAfterWipe(t *testing.T) {
	w := newPath(t, 1, DefaultParams())
	c, _ := w.stream()
	if _, err := c.Put([]byte("x")); err != nil {
		t.Fatal(err)
	}
	w.o.Wipe()
	w.hops[0].Destroy(ReasonNone)
	w.hops[0].Wipe()
	if w.o.Take(w.now) != nil || w.hops[0].Take(w.now) != nil {
		t.Fatal("cells are left after Wipe")
	}
	if err := w.o.Receive(w.now, relayCell()); !errors.Is(err, ErrProtocol) {
		t.Fatal(err)
	}
	if _, err := w.hops[0].Forward(w.now, relayCell()); !errors.Is(err, ErrProtocol) {
		t.Fatal(err)
	}
	if err := w.hops[0].Backward(relayCell()); !errors.Is(err, ErrProtocol) {
		t.Fatal(err)
	}
	o, err := NewOrigin(DefaultParams(), new(Buffers), random(1))
	if err != nil {
		t.Fatal(err)
	}
	_, target := onion(0)
	if err := o.Extend(target); err != nil {
		t.Fatal(err)
	}
	o.Wipe()
	if o.Pending() {
		t.Fatal("CREATE is left after Wipe")
	}
}

// Spec: protocol §3 (CGO-3).
func TestACircuitEndsAtItsLastCell(t *testing.T) {
	w := newPath(t, 1, DefaultParams())
	w.o.cells, w.hops[0].cells = maxCells-1, maxCells-1
	pad := make([]byte, cell.Size)
	pad[0] = byte(cell.Padding)
	if err := w.o.Receive(w.now, pad); err != nil {
		t.Fatal(err)
	}
	if err := w.o.Receive(w.now, pad); !errors.Is(err, ErrProtocol) {
		t.Fatal(err)
	}
	if _, err := w.hops[0].Forward(w.now, pad); err != nil {
		t.Fatal(err)
	}
	if _, err := w.hops[0].Forward(w.now, pad); !errors.Is(err, ErrProtocol) {
		t.Fatal(err)
	}
}
